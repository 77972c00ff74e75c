"""What people are told of a pull: what would be done, what was done, what the loader will not like."""

from __future__ import annotations

from collections.abc import Iterable

from gygo.progress import human_bytes, say
from gygo.pull.layouts import IMAGES, MASKS
from gygo.pull.plan import Plan
from gygo.pull.run import Summary
from gygo.pull.tree import Placed

#: Names that are given before "and so many more".
_NAMES = 10


def say_plan(plan: Plan, *, delete: bool) -> None:
    """What a pull would do."""
    for job in plan.jobs:
        say(f"{job.why:<10}  {human_bytes(job.archive.bytes):>9}  {job.video.name}")
    for placed in plan.removed:
        say(f"{'delete' if delete else 'removed':<10}  {human_bytes(placed.bytes):>9}  {placed.name}")
    _say_left_out(plan)
    say(
        f"would fetch {_count(len(plan.jobs), 'video')} of {plan.release.name} at {plan.rules.resolution}, "
        f"{human_bytes(plan.bytes)}; {len(plan.whole)} already there"
    )


def say_summary(summary: Summary, *, quiet: bool) -> None:
    """What a pull did. What failed is said in any case, on standard error."""
    for name, why in summary.failed:
        say(f"failed: {name}: {why}", err=True)
    if summary.ended:
        say(f"error: {summary.ended}; run the same command again to go on", err=True)
    elif summary.failed:
        say(f"error: {_count(len(summary.failed), 'video')} could not be fetched; the others are there", err=True)
    if quiet:
        return
    plan = summary.plan
    _say_warnings([*summary.done, *plan.whole], plan)
    _say_left_out(plan)
    _say_removed(summary)
    files = sum(placed.images + placed.masks for placed in summary.done)
    say(
        f"{plan.release.name} at {plan.rules.resolution}: fetched {_count(len(summary.done), 'video')}, "
        f"{_count(files, 'file')}, {human_bytes(summary.fetched_bytes)}; {len(plan.whole)} already there"
    )
    if summary.rewritten:
        say(
            f"{_count(summary.rewritten, 'mask')} rewritten for {plan.rules.layout.name}; "
            "all other files are as published"
        )
    say(_how_to(summary))


def _say_warnings(placed: Iterable[Placed], plan: Plan) -> None:
    layout, videos = plan.rules.layout, sorted(placed, key=lambda each: each.name)
    for each in videos:
        if each.late_objects:
            numbers = ", ".join(map(str, each.late_objects))
            _warn(f"{each.name}: DAVIS's reader drops object {numbers}, which the first mask does not show yet")
    short = [each.name for each in videos if each.images < layout.shortest]
    if short:
        few = f"fewer than {layout.shortest} frames, which training passes over"
        _warn(f"{_count(len(short), 'video')} of {few}: {_names(short)}")
    frames = sum(each.left_out for each in videos)
    if frames:
        of = [each.name for each in videos if each.left_out]
        _warn(f"{_count(frames, 'frame')} without a mask left out (--all-frames keeps them), of: {_names(of)}")
    renamed = [each.name for each in videos if each.renamed]
    if renamed:
        _warn(f"frames are called by their index, as {layout.name} wants it, in: {_names(renamed)}")
    if plan.renamed:
        _warn(f"videos' folders have other names: {_names([f'{name} is {folder}' for name, folder in plan.renamed])}")
    if plan.outdated:
        _warn(
            f"{_count(len(plan.outdated), 'video')} of an earlier release, not selected and left as they are: "
            f"{_names(plan.outdated)}"
        )
    unlisted = [each.name for each in videos if not each.splits]
    if unlisted:
        _warn(f"{_count(len(unlisted), 'video')} in no split, so that no list names them: {_names(unlisted)}")


def _say_left_out(plan: Plan) -> None:
    for why, names in plan.left_out.items():
        say(f"left out, {why}: {_count(len(names), 'video')}: {_names(names)}")


def _say_removed(summary: Summary) -> None:
    names = _names([placed.name for placed in summary.plan.removed])
    if summary.deleted:
        say(f"deleted {_count(summary.deleted, 'video')} that {summary.plan.release.name} does not have: {names}")
    elif names:
        say(f"{summary.plan.release.name} does not have these any more; --delete removes them: {names}")


def _how_to(summary: Summary) -> str:
    """Where the loader finds the tree."""
    root, rules = summary.root.resolve(), summary.plan.rules
    images, masks = root / rules.folder(IMAGES), root / rules.folder(MASKS)
    lists = [str(root / path) for path in summary.lists if path.endswith(".txt")]
    first = lists[0] if lists else "none: the release has no splits"
    return {
        "davis": f"DAVIS(root={str(root)!r}, task='semi-supervised', subset=…, resolution={rules.resolution!r})",
        "davis2016": f"root {root}, list {first}",
        "youtube-vos": f"images {images}, masks {masks}, meta {root / 'meta.json'}",
        "cutie": f"image_directory: {images}, mask_directory: {masks}, subset: {first}",
        "sam2": f"img_folder: {images}, gt_folder: {masks}, file_list_txt: {first}",
    }[rules.layout.name]


def _warn(text: str) -> None:
    say(f"note: {text}", err=True)


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
