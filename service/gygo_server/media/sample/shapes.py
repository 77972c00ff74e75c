"""Outlines in a square of 100 by 100 units, y down: what the products are made of."""

import math
from dataclasses import dataclass

Point = tuple[float, float]
Outline = tuple[Point, ...]
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """One piece of a product, drawn over the pieces before it."""

    outline: Outline
    colour: RGB
    width: float = 0.0
    """0 fills the outline; otherwise it is a round-ended stroke so many units wide."""
    puff: float = 1.0
    """How rounded the piece looks: 0 is flat, as a print."""
    gloss: float = 0.35


def ellipse(x: float, y: float, rx: float, ry: float | None = None) -> Outline:
    ry = rx if ry is None else ry
    steps = [2 * math.pi * step / 48 for step in range(48)]
    return tuple((x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in steps)


def box(left: float, top: float, right: float, bottom: float, corner: float = 2.0) -> Outline:
    """A rectangle with round corners."""
    centres = [
        (right - corner, bottom - corner),
        (left + corner, bottom - corner),
        (left + corner, top + corner),
        (right - corner, top + corner),
    ]
    points: list[Point] = []
    for quarter, (x, y) in enumerate(centres):
        for step in range(7):
            angle = math.pi / 2 * (quarter + step / 6)
            points.append((x + corner * math.cos(angle), y + corner * math.sin(angle)))
    return tuple(points)


def blob(*points: Point) -> Outline:
    """The closed smooth curve (Catmull-Rom) through the points."""
    curve: list[Point] = []
    count = len(points)
    for index in range(count):
        curve += _segment(*(points[(index + shift) % count] for shift in (-1, 0, 1, 2)))
    return tuple(curve)


def curve(*points: Point) -> Outline:
    """The open smooth curve through the points, for strokes."""
    padded = (points[0], *points, points[-1])
    line: list[Point] = []
    for index in range(len(points) - 1):
        line += _segment(*padded[index : index + 4])
    return (*line, points[-1])


def star(x: float, y: float, radius: float) -> Outline:
    spikes = [(radius if step % 2 == 0 else radius * 0.45, math.pi * (step / 5 - 0.5)) for step in range(10)]
    return tuple((x + reach * math.cos(angle), y + reach * math.sin(angle)) for reach, angle in spikes)


def heart(x: float, y: float, size: float) -> Outline:
    steps = [2 * math.pi * step / 40 for step in range(40)]
    return tuple(
        (
            x + size / 16 * 16 * math.sin(a) ** 3,
            y - size / 16 * (13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)),
        )
        for a in steps
    )


def darker(colour: RGB, by: float = 0.25) -> RGB:
    red, green, blue = (round(channel * (1 - by)) for channel in colour)
    return red, green, blue


def lighter(colour: RGB, by: float = 0.35) -> RGB:
    red, green, blue = (round(channel + (255 - channel) * by) for channel in colour)
    return red, green, blue


def _segment(before: Point, start: Point, end: Point, after: Point) -> list[Point]:
    points: list[Point] = []
    for step in range(10):
        t = step / 10
        weights = (
            (-(t**3) + 2 * t**2 - t) / 2,
            (3 * t**3 - 5 * t**2 + 2) / 2,
            (-3 * t**3 + 4 * t**2 + t) / 2,
            (t**3 - t**2) / 2,
        )
        corners = (before, start, end, after)
        points.append(
            (
                sum(weight * corner[0] for weight, corner in zip(weights, corners, strict=True)),
                sum(weight * corner[1] for weight, corner in zip(weights, corners, strict=True)),
            )
        )
    return points
