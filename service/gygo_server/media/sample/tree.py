"""Writing the sample as a DAVIS tree."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gygo_server.media.sample.render import Frame, Labels, render
from gygo_server.media.sample.stories import Story, make_stories
from gygo_server.media.sample.truth import DEFINITIONS, Witness, of_video

Kind = Literal["binary", "palette"]

VOID = 255
_JPEG_QUALITY = 85
_LEAST_VIDEOS = 4
_LEAST_FRAMES = 3
_LEAST_SIDE = 64


@dataclass(frozen=True)
class _Told:
    """A video that has been written: its name in the tree, and what is true of it and of each object."""

    name: str
    story: Story
    objects: tuple[tuple[str, ...], ...]
    attributes: tuple[str, ...]


def write_sample(
    root: Path,
    *,
    kind: Kind,
    videos: int = 12,
    frames: tuple[int, int] = (12, 30),
    seed: int = 0,
    original_size: tuple[int, int] = (1280, 720),
    progress: Callable[[], None] | None = None,
) -> None:
    """Draw a data set under `root`, as DAVIS lays it out; the same arguments give the same bytes (for a given Pillow).

    `binary` is as GyGO publishes: masks of 0 and 255, names such as `batch-00001/red-toy-car`. `palette` is as
    DAVIS 2017: each object has its own index; one video has a thin border of 255, void. The same seed draws the same
    pictures for both kinds, so take two seeds for two data sets side by side.

    The folder `480p` holds pictures 480 pixels high, but half the original's size when the original is no higher.

    `frames` is the least and the most frames of a video; `progress` is called after each video. Fewer than four videos
    cannot show all categories and in fewer than three frames nothing can leave and come back: those are a `ValueError`.
    A root that holds a data set already is a `FileExistsError`.
    """
    if videos < _LEAST_VIDEOS:
        raise ValueError(f"a sample has at least {_LEAST_VIDEOS} videos, one for each category, not {videos}")
    if not _LEAST_FRAMES <= frames[0] <= frames[1]:
        raise ValueError(f"frames is the least and the most of a video, at least {_LEAST_FRAMES}, not {frames}")
    if min(original_size) < _LEAST_SIDE:
        raise ValueError(f"the original is at least {_LEAST_SIDE} pixels wide and high, not {original_size}")
    for folder in ("JPEGImages", "Annotations", "ImageSets"):
        if (root / folder).exists():
            raise FileExistsError(f"{root / folder} exists: a sample is written to a new folder")
    told = []
    for index, story in enumerate(make_stories(videos, frames, seed)):
        name = f"batch-{1 + 2 * index // videos:05d}/{story.name}" if kind == "binary" else story.name
        told.append(_write_video(root, kind, name, story, original_size))
        if progress is not None:
            progress()
    _write_lists(root, kind, told)
    _write_categories(root, kind, told)
    _write_readme(root, kind)


def small_size(original: tuple[int, int]) -> tuple[int, int]:
    """The size of the `480p` pictures: even sides; half the original where 480 lines would not be smaller than it."""
    width, height = original
    if height <= 480:
        return max(2, width // 2), max(2, height // 2)
    return max(2, 2 * round(width * 480 / height / 2)), 480


def colour_map() -> list[int]:
    """The VOC colour map, which DAVIS uses: 256 times red, green, blue; the index's bits dealt out from the top."""
    return [
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for index in range(256)
        for channel in range(3)
    ]


def _write_video(root: Path, kind: Kind, name: str, story: Story, size: tuple[int, int]) -> _Told:
    witnesses = [Witness(number) for number in range(1, len(story.actors) + 1)]
    sizes = {"original": size, "480p": small_size(size)}
    for resolution in sizes:
        for top in ("JPEGImages", "Annotations"):
            (root / top / resolution / name).mkdir(parents=True)
    for index, frame in enumerate(render(story, size)):
        for witness in witnesses:
            witness.watch(frame)
        mask = _mask(frame, kind, void_border=story.void_border)
        for resolution, its_size in sizes.items():
            picture = frame.picture
            if its_size != size:
                picture = picture.resize(its_size, Image.Resampling.LANCZOS)
            picture.save(root / "JPEGImages" / resolution / name / f"{index:05d}.jpg", quality=_JPEG_QUALITY)
            labels = mask if its_size == size else mask.resize(its_size, Image.Resampling.NEAREST)
            labels.save(root / "Annotations" / resolution / name / f"{index:05d}.png")
    objects = tuple(witness.attributes for witness in witnesses)
    return _Told(name, story, objects, of_video(list(objects)))


def _mask(frame: Frame, kind: Kind, *, void_border: bool) -> Image.Image:
    if kind == "binary":
        return Image.fromarray(np.where(frame.labels > 0, 255, 0).astype(np.uint8))
    mask = Image.fromarray(_with_void(frame.labels) if void_border else frame.labels)
    # All 256 entries: with fewer Pillow would write fewer bits a pixel, and lose 255.
    mask.putpalette(colour_map())
    return mask


def _with_void(labels: Labels) -> Labels:
    """A border of void two pixels wide, one on either side, wherever two labels meet."""
    border: NDArray[np.bool_] = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return np.where(border, VOID, labels).astype(np.uint8)


def _write_lists(root: Path, kind: Kind, told: list[_Told]) -> None:
    split = {which: [video.name for video in told if video.story.split == which] for which in ("train", "val")}
    if kind == "palette":
        lists = {"2017/train.txt": split["train"], "2017/val.txt": split["val"]}
    else:
        everything = [video.name for video in told]
        lists = {"Train.txt": split["train"], "trainval.txt": everything, "val.txt": split["val"]}
    for path, names in lists.items():
        target = root / "ImageSets" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_text(target, "".join(f"{name}\n" for name in sorted(names)))


def _write_categories(root: Path, kind: Kind, told: list[_Told]) -> None:
    """For `palette` each object has a row of its own too; the row with no object is the video's."""
    header = ["video", "object", "category", "attributes"] if kind == "palette" else ["video", "category", "attributes"]
    rows = []
    for video in told:
        own = [video.story.category, ";".join(video.attributes)]
        if kind == "binary":
            rows.append([video.name, *own])
            continue
        rows.append([video.name, "", *own])
        for number, actor in enumerate(video.story.actors, 1):
            rows.append([video.name, str(number), actor.product.category, ""])
    with (root / "categories.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _write_readme(root: Path, kind: Kind) -> None:
    masks = (
        "8-bit grey PNGs, 0 for the background and 255 for any object."
        if kind == "binary"
        else "palette PNGs; the index is the object's number, 255 is void (a thin border, in one video)."
    )
    definitions = "".join(f"  {name}: {meaning}.\n" for name, meaning in DEFINITIONS.items())
    text = (
        "A synthetic data set\n\n"
        "Every picture here was drawn by a program (GyGO server's sample generator) to try software with.\n"
        "Nothing was filmed, no product exists, and none of it is part of GyGO or DAVIS.\n\n"
        "The layout is DAVIS's: JPEGImages, Annotations and ImageSets, at the resolutions 480p and original.\n"
        f"The masks are exact: {masks}\n\n"
        "categories.csv names each video's category and what was measured of it on the masks:\n"
        f"{definitions}"
    )
    _write_text(root / "README.txt", text)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
