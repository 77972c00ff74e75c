"""What a pull has to do: which videos the release has, which are in the tree already, which have to come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gygo.client import Archive, Client, Release, Video, Videos
from gygo.errors import PullError
from gygo.pictures import Void
from gygo.pull.layouts import IMAGES, LAYOUTS, Rules, check_video_name, is_safe_part
from gygo.pull.tree import Placed, Tree

#: Videos that are asked for at a time.
_PAGE = 500


@dataclass(frozen=True)
class Request:
    """What is asked for. None: as the tree has it, or else as usual."""

    #: ``DATASET`` or ``DATASET@RELEASE``.
    name: str
    out: Path
    filters: Mapping[str, Any] = field(default_factory=dict)
    videos: tuple[str, ...] = ()
    resolution: str | None = None
    layout: str | None = None
    void: Void | None = None
    all_frames: bool = False
    workers: int = 8
    since: str | None = None
    delete: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Job:
    """A video to fetch."""

    number: int
    video: Video
    archive: Archive
    folder: str
    why: str  # new, changed, incomplete


@dataclass
class Plan:
    """What is to be done. ``left_out`` is names by the reason why they are not fetched."""

    release: Release
    rules: Rules
    jobs: list[Job] = field(default_factory=list)
    #: Videos that are whole, with what is to be known of them from now on.
    whole: list[Placed] = field(default_factory=list)
    #: The same for videos in the tree that these filters do not select.
    others: list[Placed] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    removed: list[Placed] = field(default_factory=list)
    #: Videos in the tree that the release has otherwise, and that these filters do not select.
    outdated: list[str] = field(default_factory=list)
    #: Names that the layout cannot take: published one and folder.
    renamed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Of the archives to fetch."""
        return sum(job.archive.bytes for job in self.jobs)


def rules_for(request: Request, release: Release, tree: Tree) -> Rules:
    """The rules of the tree, or of the request when the tree is new.

    Raises:
        PullError: the request contradicts the tree, or itself.
    """
    old = tree.rules
    if old is not None and tree.dataset != release.dataset:
        raise PullError(f"{tree.root} holds the dataset {tree.dataset!r}; pull {release.dataset!r} to another folder")
    layout = LAYOUTS[request.layout or (old.layout.name if old else "davis")]
    resolution = request.resolution or (old.resolution if old else release.default_resolution)
    void: Void = request.void or (old.void if old and old.layout == layout else layout.void)
    if void == "keep" and not layout.may_keep_void:
        raise PullError(f"the loaders of {layout.name} know no void: 255 would be an object; leave --void keep out")
    all_frames = request.all_frames or (old is not None and old.all_frames)
    rules = Rules(layout, resolution, void, all_frames)
    if old is not None and rules != old:
        have = ", ".join(f"{name} {value}" for name, value in old.document().items() if name != "all_frames")
        raise PullError(
            f"{tree.root} was pulled with {have}, {'all' if old.all_frames else 'not all'} frames: "
            "repeat it without these options, or pull to another folder"
        )
    known = [each["resolution"] for each in release.document["resolutions"]]
    if resolution not in known or not is_safe_part(resolution):
        raise PullError(f"{release.name} has no resolution {resolution!r}; it has: {', '.join(known)}")
    return rules


def make_plan(client: Client, request: Request, release: Release, rules: Rules, tree: Tree) -> Plan:
    """Ask the service what the release has, and look what the tree has.

    Raises:
        PullError: two videos would have the same place, or something else has it.
    """
    plan = Plan(release, rules)
    selected = list(_selected(release, request, rules, plan))
    if not selected and not plan.left_out:
        known = f"splits: {', '.join(release.splits) or 'none'}; categories: {', '.join(release.categories) or 'none'}"
        raise PullError(f"no video of {release.name} is selected; it has {known}")
    check_places(tree, rules, [video.name for video in selected])
    before = _archives(client.release(f"{release.dataset}@{request.since}"), rules) if request.since else None
    for video in selected:
        archive = video.archive(rules.resolution)
        folder = rules.layout.folder(video.name)
        if folder != video.name:
            plan.renamed.append((video.name, folder))
        if before is not None and before.get(video.name) == archive.sha256:
            plan.left_out.setdefault(f"as in {request.since}", []).append(video.name)
            continue
        _sort(plan, tree, video, archive, folder)
    _look_at_the_rest(plan, tree, {video.name for video in selected})
    return plan


def _sort(plan: Plan, tree: Tree, video: Video, archive: Archive, folder: str) -> None:
    """Whether a video is whole, is to come, or cannot."""
    placed = tree.videos.get(folder)
    if placed is not None and (placed.name, placed.sha256) == (video.name, archive.sha256):
        if tree.is_whole(placed):
            plan.whole.append(_refreshed(placed, video))
            return
        why = "incomplete"
    else:
        why = "changed" if placed else "new"
    if plan.rules.layout.kept == "mask" and not plan.rules.all_frames and not archive.mask_count:
        plan.left_out.setdefault("no frame has a mask", []).append(video.name)
        return
    plan.jobs.append(Job(len(plan.jobs), video, archive, folder, why))


def _refreshed(placed: Placed, video: Video) -> Placed:
    """What the release says of a video whose files are as they were."""
    categories = {str(each["id"]): each["category"] for each in video.objects}
    objects = {number: {**shown, "category": categories.get(number)} for number, shown in placed.objects.items()}
    return replace(placed, splits=list(video.splits), release=video.release.id, objects=objects)


def _selected(release: Release, request: Request, rules: Rules, plan: Plan) -> Iterator[Video]:
    """The videos that are asked for and have the resolution, each once."""
    if request.videos and not request.filters:
        chosen: Iterable[Video] = [release.video(each) for each in dict.fromkeys(_ids(request.videos))]
    else:
        chosen = Videos(release, {**request.filters, "limit": _PAGE}, None)
        if request.videos:
            wanted = set(_ids(request.videos))
            chosen = [video for video in chosen if video.id in wanted]
            if missing := wanted - {video.id for video in chosen}:
                plan.left_out["not selected by the filters"] = sorted(missing)
    for video in chosen:
        check_video_name(video.name)
        if any(archive.resolution == rules.resolution for archive in video.archives):
            yield video
        else:
            plan.left_out.setdefault(f"no resolution {rules.resolution}", []).append(video.name)


def _ids(videos: Iterable[str]) -> Iterator[str]:
    return (video.replace("/", ":") for video in videos)


def check_places(tree: Tree, rules: Rules, names: list[str]) -> None:
    """Refuse videos that would lie in, or over, one another or something that is not ours."""
    folders: dict[str, str] = {}
    for name in names:
        folder = rules.layout.folder(name)
        other = folders.setdefault(folder, name)
        if other != name:
            raise PullError(
                f"the layout {rules.layout.name} has one place, {folder!r}, for the videos {other!r} and {name!r}: "
                "pull them to two folders with --video, or choose another layout"
            )
    places = {**{folder: placed.name for folder, placed in tree.videos.items()}, **folders}
    for folder, name in folders.items():
        parts = folder.split("/")
        for length in range(1, len(parts)):
            if "/".join(parts[:length]) in places:
                raise PullError(
                    f"in the layout {rules.layout.name} the video {name!r} would lie inside of the video "
                    f"{places['/'.join(parts[:length])]!r}: choose another layout, or two folders and --video"
                )
        if tree.rules is not None and tree.occupied(folder):
            raise PullError(
                f"{tree.root / rules.folder(IMAGES, folder)}, or the masks to it, is there, "
                "and gygo pull has not written it: move it away"
            )


def _look_at_the_rest(plan: Plan, tree: Tree, selected: set[str]) -> None:
    """Find videos in the tree that the release does not have, or has otherwise."""
    others = {placed.name: placed for placed in tree.videos.values() if placed.name not in selected}
    if not others:
        return
    for video in Videos(plan.release, {"limit": _PAGE}, None):
        placed = others.pop(video.name, None)
        if placed is None:
            continue
        if placed.sha256 == _sha256(video, plan.rules):
            plan.others.append(_refreshed(placed, video))
        else:
            plan.outdated.append(placed.name)
    plan.removed += others.values()


def _archives(release: Release, rules: Rules) -> dict[str, str | None]:
    """SHA-256 of each video's archive at the resolution, None without one, by the video's name."""
    return {video.name: _sha256(video, rules) for video in Videos(release, {"limit": _PAGE}, None)}


def _sha256(video: Video, rules: Rules) -> str | None:
    return next((each.sha256 for each in video.archives if each.resolution == rules.resolution), None)
