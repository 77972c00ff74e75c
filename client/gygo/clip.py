"""A clip: some frames of a video with their masks, as bytes and as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gygo.errors import UnreadablePictureError
from gygo.pictures import MaskKind, Size, Void, decode_image, decode_mask


@dataclass(frozen=True)
class ClipRequest:
    """Which clip: ``length`` frames of ``video`` (its id), ``step`` apart, the first with index ``start``."""

    video: str
    start: int
    length: int
    step: int = 1

    @property
    def indices(self) -> range:
        """The frames' indices in the video."""
        return range(self.start, self.start + self.length * self.step, self.step)


@dataclass(frozen=True)
class Clip:
    """T frames of one video with their masks.

    ``image_files`` are T JPEG files and ``mask_files`` T PNG files as published, None where there is none, or where
    the clip was asked for without.
    """

    dataset: str
    release: str
    request: ClipRequest
    resolution: str
    mask_kind: MaskKind
    names: tuple[str, ...]
    image_files: tuple[bytes | None, ...] = field(repr=False)
    mask_files: tuple[bytes | None, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def video(self) -> str:
        """The video's id."""
        return self.request.video

    @property
    def start(self) -> int:
        """Index of its first frame in the video."""
        return self.request.start

    @property
    def step(self) -> int:
        """From each frame to the next."""
        return self.request.step

    @property
    def has_images(self) -> bool:
        """Whether it was asked for with its images."""
        return None not in self.image_files

    @property
    def has_masks(self) -> bool:
        """Whether it has a mask."""
        return any(content is not None for content in self.mask_files)

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """T×H×W×3 uint8 RGB."""
        return self.decode_images()

    @cached_property
    def masks(self) -> NDArray[np.uint8]:
        """T×H×W uint8 object ids; all 0 where :attr:`has_mask` is False."""
        return self.decode_masks()

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """T booleans: whether the frame was annotated."""
        return np.array([content is not None for content in self.mask_files])

    def decode_images(self, size: Size | None = None) -> NDArray[np.uint8]:
        """T×H×W×3 uint8 RGB; with ``size`` (height, width) scaled to cover it and cut out of the middle."""
        if not self.has_images:
            raise ValueError("the clip was asked for without its images")
        first, *others = [content for content in self.image_files if content is not None]
        begin = decode_image(first, size)
        images = np.empty((len(self), *begin.shape), np.uint8)
        images[0] = begin
        for image, content in zip(images[1:], others, strict=True):
            decoded = decode_image(content, size, image)
            if decoded.shape != image.shape:
                raise UnreadablePictureError("the frames of a clip have different sizes")
            if not np.shares_memory(decoded, image):
                image[:] = decoded
        return images

    def decode_masks(self, size: Size | None = None, void: Void = "keep") -> NDArray[np.uint8]:
        """T×H×W uint8 object ids, resized by nearest neighbour. ``void="zero"`` makes 255 background."""
        decoded = [
            None if content is None else decode_mask(content, self.mask_kind, size, void) for content in self.mask_files
        ]
        shape = next((labels.shape for labels in decoded if labels is not None), None)
        if shape is None:
            shape = size or self._image_shape()
        if any(labels is not None and labels.shape != shape for labels in decoded):
            raise UnreadablePictureError("the masks of a clip have different sizes")
        return np.stack([np.zeros(shape, np.uint8) if labels is None else labels for labels in decoded])

    def _image_shape(self) -> Size:
        first = self.image_files[0]
        if first is None:
            raise ValueError("the clip has neither images nor masks")
        height, width = decode_image(first).shape[:2]
        return height, width
