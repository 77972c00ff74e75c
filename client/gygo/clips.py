"""Training clips of one or several releases: an iterable over an epoch, for one of many readers, that can resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from gygo.client import Release, Videos
from gygo.clip import Clip, ClipRequest
from gygo.disk_cache import DiskCache
from gygo.errors import EmptySourceError
from gygo.fetching import ClipFetcher, prefetched
from gygo.sampling import ClipAt, Epoch, ReleaseClips, Shard

T = TypeVar("T")

Source = Release | Videos


class Clips:
    """Clips of ``length`` frames, ``step`` apart, with their masks, in the order of :mod:`gygo.sampling`.

    Args:
        sources: releases, or videos of them: ``release.videos(split="train")``; one or several, to be mixed.
        weights: how many times an epoch has each source's clips; 1 when not given, and 0.5 or 5 may be.
        max_skip: draw each clip's step between ``step`` and this, as far as the video is long enough.
        shuffle: False gives the videos in order, each with its clips evenly spread.
        seed: the order, and where clips begin, is a function of this, the sources and the epoch.
        rank, world: this reader's place among the readers of the epoch, which share it without overlap.
        batch_size: how many clips the consumer takes at once; see :class:`gygo.sampling.Shard`.
        resolution: which one, and only videos that have it; when not given, the one that the sources were filtered by,
            or else their releases' default one.
        drop_last: leave out the clips at the end of an epoch that do not make a batch for each rank, so that all ranks
            have equally many: DistributedDataParallel waits for ever otherwise.
        decode: decode ahead, in the threads that fetch.
        cache_dir: keep whole archives in this folder, ``cache_bytes`` at most, shared by any number of processes.
        connections: requests to the store in flight at the same time.
        prefetch: clips fetched ahead; when not given, twice the connections, or four times without decoding.

    Iterating gives this reader's clips of :attr:`epoch`, and turns to the next epoch at its end. ``len()`` is how many
    that are. Videos shorter than a clip are left out, and counted in :attr:`too_short`.
    """

    def __init__(
        self,
        sources: Source | Sequence[Source],
        *,
        weights: Sequence[float] | None = None,
        length: int = 8,
        step: int = 1,
        max_skip: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_size: int = 1,
        resolution: str | None = None,
        images: bool = True,
        masks: bool = True,
        drop_last: bool = False,
        decode: bool = True,
        cache_dir: str | Path | None = None,
        cache_bytes: int = 100 * 10**9,
        connections: int = 8,
        prefetch: int | None = None,
    ) -> None:
        self.sources: list[Source] = [sources] if isinstance(sources, (Release, Videos, str)) else list(sources)
        if not self.sources:
            raise ValueError("there must be at least one source")
        for source in self.sources:
            if not isinstance(source, (Release, Videos)):
                raise TypeError(f"a source is a release, or videos of one, not {source!r}")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not below world {world}")
        if min(length, step, batch_size, connections) < 1 or not (images or masks):
            raise ValueError(
                "length, step, batch_size and connections count from 1, and images or masks must be wanted"
            )
        filtered_by = {source.filters.get("resolution") for source in self.sources}
        if resolution is None and len(filtered_by) > 1:
            raise ValueError("the sources were filtered by different resolutions: say which one the clips are to have")
        self.resolution = resolution or filtered_by.pop()
        self.weights = weights
        self.length, self.step, self.max_skip = length, step, max_skip
        self.shuffle, self.seed = shuffle, seed
        self.rank, self.world, self.batch_size = rank, world, batch_size
        self.connections, self.prefetch = connections, prefetch or (2 if decode else 4) * connections
        self.drop_last = drop_last
        self.decode = decode
        cache = DiskCache(Path(cache_dir), cache_bytes) if cache_dir is not None else None
        self._fetcher = ClipFetcher(resolution=self.resolution, images=images, masks=masks, cache=cache)
        self._listed: list[tuple[list[str], ReleaseClips]] | None = None
        self._epoch = 0
        self._start = _Progress(Shard(rank, world))  # where the next iteration begins
        self._progress = self._start  # where the current one is
        self._resumed_at = 0  # the place of the epoch at which it was begun or resumed

    def __len__(self) -> int:
        return Shard(self.rank, self.world).size(0, self._end(len(self.order()), 0))

    def __iter__(self) -> Iterator[Clip]:
        epoch = self._epoch
        yield from self.iterate(self._decoded if self.decode else _as_it_is)
        if epoch == self._epoch:
            self.set_epoch(epoch + 1)

    @property
    def epoch(self) -> int:
        """The epoch that iterating gives, from 0."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Turn to this epoch; where it was resumed stays, if it is the one that was resumed."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._resumed_at = 0
            self._start = self._progress = _Progress(Shard(self.rank, self.world))

    @property
    def too_short(self) -> int:
        """Videos of the sources that have too few frames for a clip."""
        return sum(clips.too_short for _, clips in self.listed())

    def listed(self) -> list[tuple[list[str], ReleaseClips]]:
        """The sources' video ids and clips. Asks the service on first use: do that before workers are started."""
        if self._listed is None:
            self._listed = [self._list(source) for source in self.sources]
        return self._listed

    def order(self) -> Epoch:
        """All clips of the epoch, of all readers."""
        releases = [clips for _, clips in self.listed()]
        return Epoch(releases, self.weights, seed=self.seed, number=self._epoch, shuffle=self.shuffle)

    def iterate(self, work: Callable[[Clip], T], worker: int = 0, workers: int = 1) -> Iterator[T]:
        """The clips of the epoch that are left to this reader, or to one of its ``workers``, each put through ``work``.

        ``work`` is done by the threads that fetch. The next iteration begins the epoch anew.
        """
        order = self.order()
        progress = self._start.taken_up_by(Shard(self.rank, self.world, worker, workers, self.batch_size))
        self._start, self._progress = _Progress(progress.shard), progress
        end = self._end(len(order), progress.begin)
        left = islice(progress.shard.positions(min(progress.begin, end), end), progress.taken, None)
        wanted = (self._request(order[position]) for position in left)
        for made in prefetched(self._fetcher, wanted, work, connections=self.connections, ahead=self.prefetch):
            progress.taken += 1
            yield made

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Where this reader is, to go on from later: plain values, fit for JSON.

        ``taken`` says how many clips this rank has taken since the epoch was begun or resumed, where this object can
        not know because the workers of a DataLoader iterate copies of it: ``batches * batch_size``. Such a state, and
        one of a reader without workers, may be resumed with other numbers of workers and, as all ranks take equally
        many, of ranks.
        """
        progress = self._progress
        if taken is not None:
            progress = _Progress(Shard(self.rank, self.world), self._resumed_at, taken)
        return {
            "version": 1,
            "order": self._fingerprint(),
            "epoch": self._epoch,
            "begin": progress.begin,
            "taken": progress.taken,
            "shard": list(progress.shard),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called: the next iteration gives exactly the clips that were left.

        Raises:
            ValueError: the state is of clips in another order, and which settings differ.
        """
        if state.get("version") != 1:
            raise ValueError("not a state of gygo clips, or one of a newer version")
        known, here = state["order"], self._fingerprint()
        differ = [name for name in here if known.get(name) != here[name]]
        if differ:
            raise ValueError(f"the state is of clips in another order; these differ: {', '.join(differ)}")
        self._epoch = state["epoch"]
        saved = _Progress(Shard(*state["shard"]), state["begin"], state["taken"])
        if saved.shard.workers == 1:  # all that was taken lies before one place
            saved = saved.taken_up_by(Shard(self.rank, self.world))
        self._resumed_at = saved.begin
        self._start = self._progress = saved

    def _end(self, clips: int, begin: int) -> int:
        """Where the epoch ends that has so many clips and goes on at ``begin``."""
        return clips - (max(0, clips - begin) % (self.world * self.batch_size) if self.drop_last else 0)

    def _fingerprint(self) -> dict[str, Any]:
        return {
            "sources": [[source.name, _plain(source.filters)] for source in self.sources],
            "weights": list(self.weights) if self.weights is not None else None,
            "length": self.length,
            "step": self.step,
            "max_skip": self.max_skip,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "resolution": self.resolution,
        }

    def _list(self, source: Source) -> tuple[list[str], ReleaseClips]:
        ids, frames = source.frame_counts(self.resolution)
        name = f"{source.release.dataset}/{source.release.id}"
        clips = ReleaseClips(name, frames, self.length, self.step, self.max_skip)
        if not clips.count:
            raise EmptySourceError(
                f"{source.name} gives no clip of {self.length} frames: {len(ids)} of {len(source.release)} videos "
                f"are selected by {source.filters or 'no filter'}, {clips.too_short} of them too short; "
                f"its splits are: {', '.join(source.release.splits) or 'none'}"
            )
        return ids, clips

    def _request(self, at: ClipAt) -> tuple[Release, ClipRequest]:
        video = self.listed()[at.release][0][at.video]
        return self.sources[at.release].release, ClipRequest(video, at.start, self.length, at.step)

    def _decoded(self, clip: Clip) -> Clip:
        # Looked at here, in the thread that fetched the clip, they are there when the consumer looks.
        if clip.has_images:
            clip.images  # noqa: B018
        if clip.has_masks:
            clip.masks  # noqa: B018
        return clip


@dataclass
class _Progress:
    """How far a reader is: what lies before ``begin`` was taken by all together, ``taken`` clips since by this one."""

    shard: Shard
    begin: int = 0
    taken: int = 0

    def taken_up_by(self, shard: Shard) -> _Progress:
        """The same place, for a reader that may have another part.

        Raises:
            ValueError: what one of several workers took says nothing of what the others did.
        """
        if self.shard == shard and shard.workers > 1:
            return replace(self)
        if self.shard.workers > 1 and self.taken:
            raise ValueError(
                f"the state is of one of {self.shard.workers} workers: resume with as many, and the same ranks"
            )
        return _Progress(shard, self.begin + self.shard.world * self.taken)


def _plain(filters: dict[str, Any]) -> dict[str, Any]:
    """Filters as JSON gives them back."""
    return {name: sorted(value) if isinstance(value, (list, tuple)) else value for name, value in filters.items()}


def _as_it_is(clip: Clip) -> Clip:
    return clip
