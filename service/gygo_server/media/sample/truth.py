"""What is true of a video, measured on the labels that were drawn, never declared."""

from dataclasses import dataclass, field

import numpy as np

from gygo_server.media.sample.render import Frame

HIDDEN_SHARE = 0.2
"""`occlusion`: something stands before at least this share of the object's pixels in the picture."""
FAST_SHARE = 0.08
"""`fast-motion`: the middle of the object's mask moves by more than this share of the picture's width in one frame."""

DEFINITIONS = {
    "multiple-objects": "the video shows more than one object",
    "occlusion": f"in some frame other objects hide at least {HIDDEN_SHARE:.0%} of the object's pixels in the picture",
    "out-of-view": "in some frame after its first the object is wholly outside the picture",
    "appears-late": "the object is not in the first frame's mask",
    "fast-motion": f"the middle of its mask moves by more than {FAST_SHARE:.0%} of the picture's width in one frame",
}


@dataclass
class Witness:
    """Watches one object through a video's frames."""

    number: int
    _frames: int = 0
    _seen: bool = False
    _middle: tuple[float, float] | None = None
    _attributes: set[str] = field(default_factory=set)

    def watch(self, frame: Frame) -> None:
        rows, columns = np.nonzero(frame.labels == self.number)
        visible, unoccluded = len(rows), frame.unoccluded[self.number - 1]
        if unoccluded and visible <= (1 - HIDDEN_SHARE) * unoccluded:
            self._attributes.add("occlusion")
        if self._seen and not unoccluded:
            self._attributes.add("out-of-view")
        if not self._frames and not visible:
            self._attributes.add("appears-late")
        middle = (float(columns.mean()), float(rows.mean())) if visible else None
        if middle and self._middle:
            moved = np.hypot(middle[0] - self._middle[0], middle[1] - self._middle[1])
            if moved > FAST_SHARE * frame.labels.shape[1]:
                self._attributes.add("fast-motion")
        self._middle = middle
        self._seen = self._seen or bool(visible)
        self._frames += 1

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(name for name in DEFINITIONS if name in self._attributes)


def of_video(objects: list[tuple[str, ...]]) -> tuple[str, ...]:
    """A video has what any of its objects has, and may show several."""
    held = {name for attributes in objects for name in attributes}
    if len(objects) > 1:
        held.add("multiple-objects")
    return tuple(name for name in DEFINITIONS if name in held)
