"""Training clips as a PyTorch dataset. Needs the extra ``torch``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from gygo import clips as plain
from gygo.clip import Clip
from gygo.pictures import Size, Void

Sample = dict[str, Any]


class Clips(IterableDataset[Any]):
    """Clips of ``length`` frames with their masks, mixed from several releases, shared by ranks and workers.

    Each sample is a dict: ``images`` T×3×H×W uint8, ``masks`` T×H×W uint8 (object ids; 0 background, 255 void),
    ``has_mask`` T bool, and ``dataset``, ``video``, ``start``, ``step``.

    Args:
        releases, weights, length, step, max_skip, shuffle, seed, resolution: see :class:`gygo.Clips`.
        size: height and width that frames and masks are scaled to cover, and cut out of the middle; without it they
            have the sizes of their videos, which make no batch.
        void: ``"zero"`` makes 255 of palette masks background.
        transform: what to do with each sample, in their order; it may draw from torch's random numbers.
        batch_size: the DataLoader's. Then the batches come in the same order whatever the number of workers.
        drop_last: give all ranks equally many whole batches, as DistributedDataParallel needs it.
        rank, world: as torch.distributed says, or the variables RANK and WORLD_SIZE, when not given.
        cache_dir, cache_bytes: keep whole archives on disk.
        connections, prefetch: a worker's requests in flight, and clips ahead.

    Each epoch has an order of its own: call :meth:`set_epoch` before it, as for a DistributedSampler.
    """

    def __init__(
        self,
        releases: plain.Source | Sequence[plain.Source],
        *,
        weights: Sequence[float] | None = None,
        length: int = 8,
        step: int = 1,
        max_skip: int | None = None,
        size: Size | None = None,
        shuffle: bool = True,
        seed: int = 0,
        void: Void = "keep",
        transform: Callable[[Sample], Any] | None = None,
        batch_size: int = 1,
        drop_last: bool = False,
        rank: int | None = None,
        world: int | None = None,
        resolution: str | None = None,
        cache_dir: str | Path | None = None,
        cache_bytes: int = 100 * 10**9,
        connections: int = 8,
        prefetch: int | None = None,
    ) -> None:
        if (rank is None) != (world is None):
            raise ValueError("rank and world are given together, or neither")
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ValueError(f"size is a height and a width in pixels, not {size!r}")
        found = _distributed() if rank is None or world is None else (rank, world)
        self._clips = plain.Clips(
            releases,
            weights=weights,
            length=length,
            step=step,
            max_skip=max_skip,
            shuffle=shuffle,
            seed=seed,
            rank=found[0],
            world=found[1],
            batch_size=batch_size,
            drop_last=drop_last,
            resolution=resolution,
            cache_dir=cache_dir,
            cache_bytes=cache_bytes,
            connections=connections,
            prefetch=prefetch,
        )
        self._size, self._void, self._transform = size, void, transform
        # In shared memory: workers that outlive an epoch see it change, and the loop's process sees that they are.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._has_workers = torch.zeros(1, dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        """Clips of this rank in an epoch."""
        return len(self._clips)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        self._clips.set_epoch(int(self._epoch))
        if worker is None:
            samples = self._clips.iterate(self._sample)
        else:
            self._has_workers.fill_(True)
            samples = self._clips.iterate(self._sample, worker.id, worker.num_workers)
        return samples if self._transform is None else map(self._transform, samples)

    def __getstate__(self) -> dict[str, Any]:
        # The list of videos is asked for once, here, and not by each worker.
        self._clips.listed()
        return self.__dict__

    def set_epoch(self, epoch: int) -> None:
        """Turn to this epoch; nothing if it is the one that was resumed."""
        self._epoch.fill_(epoch)
        self._clips.set_epoch(epoch)

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Where this rank is; see :meth:`gygo.Clips.state_dict`.

        torchdata's StatefulDataLoader calls it in each worker. With a plain DataLoader and workers say how many clips
        the training loop has taken since the epoch was begun or resumed: ``taken=batches * batch_size``.
        """
        if taken is None and bool(self._has_workers) and get_worker_info() is None:
            raise ValueError("workers have read these clips: say how many the loop has taken of the epoch, taken=…")
        return self._clips.state_dict(taken)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called, before the DataLoader is iterated."""
        self._clips.load_state_dict(state)
        self._epoch.fill_(self._clips.epoch)

    def _sample(self, clip: Clip) -> Sample:
        images = torch.from_numpy(clip.decode_images(self._size)).permute(0, 3, 1, 2).contiguous()
        return {
            "images": images,
            "masks": torch.from_numpy(clip.decode_masks(self._size, self._void)),
            "has_mask": torch.from_numpy(clip.has_mask),
            "dataset": clip.dataset,
            "video": clip.video,
            "start": clip.start,
            "step": clip.step,
        }


def _distributed() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
