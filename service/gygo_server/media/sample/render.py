"""A story's frames: the picture, with smooth edges, and the labels, exact."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from gygo_server.media.sample.backdrop import HORIZON, draw_backdrop
from gygo_server.media.sample.products import ACCENTS, COLOURS
from gygo_server.media.sample.sprites import Sprite, draw_sprite
from gygo_server.media.sample.stories import Actor, Story

Labels = NDArray[np.uint8]
Matrix = NDArray[np.floating[Any]]

_SHADOW_FACTOR = 4
"""Shadows are soft, so they are drawn this many times smaller."""
_FORESHORTENING = 0.62
"""How high a thing that lies on the table looks, compared with a view from above."""


@dataclass(frozen=True)
class Frame:
    picture: Image.Image
    labels: Labels
    """0 is the table and the wall; an object's number is its actor's place in the story, from 1."""
    unoccluded: tuple[int, ...]
    """For each object, how many pixels of the picture it would have if nothing stood before it."""


@dataclass(frozen=True)
class _Placed:
    """An actor at one moment: matrices from its sprite's pixels to the picture's."""

    number: int
    sprite: Sprite
    near: float
    lies_flat: bool
    body: Matrix
    cast_shadow: Matrix


def render(story: Story, size: tuple[int, int]) -> Iterator[Frame]:
    rng = np.random.default_rng(story.seed)
    backdrop = draw_backdrop(story.theme, size, rng)
    sprites = [_sprite(actor, _scale_of(size)) for actor in story.actors]
    shake = rng.uniform(0, 2 * math.pi, 8)
    for index in range(story.frames):
        time = index / (story.frames - 1)
        camera = _camera(time, index, shake, size)
        placed = [
            _place(actor, number, sprite, time, size)
            for number, (actor, sprite) in enumerate(zip(story.actors, sprites, strict=True), 1)
        ]
        # What lies flat is under whatever stands on the table; of what stands, the farther is behind.
        placed.sort(key=lambda one: (not one.lies_flat, one.near, one.number))
        yield _frame(backdrop, camera, placed, size)


def _sprite(actor: Actor, height: float) -> Sprite:
    parts = actor.product.draw(COLOURS[actor.colour], COLOURS[ACCENTS[actor.colour]])
    # 1.7 sprite pixels to a pixel of the picture at the front of the table, for smooth edges.
    return draw_sprite(parts, max(24, round(actor.product.size * height * 1.7)))


def _scale_of(size: tuple[int, int]) -> float:
    """The height that products are measured by: the picture's, but for narrow ones, where they would fill it."""
    return min(size[1], size[0] * 9 / 16)


def _camera(time: float, index: int, shake: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
    """A phone held by hand: slow drift, and a tremble from frame to frame."""
    width, height = size
    drift = [math.sin(2 * math.pi * time * rate + shake[n]) for n, rate in enumerate((0.7, 0.9, 0.6, 0.8))]
    tremble = [math.sin(index * rate + shake[4 + n]) for n, rate in enumerate((2.3, 2.9, 1.7))]
    zoom = 1.015 + 0.02 * drift[0]
    tilt = math.radians(0.7 * drift[1] + 0.15 * tremble[0])
    across = width * (0.018 * drift[2] + 0.0015 * tremble[1])
    down = height * (0.018 * drift[3] + 0.002 * tremble[2])
    middle = _shift(width / 2, height / 2)
    return middle @ _shift(across, down) @ _turn(tilt) @ _scale(zoom, zoom) @ _shift(-width / 2, -height / 2)


def _place(actor: Actor, number: int, sprite: Sprite, time: float, size: tuple[int, int]) -> _Placed:
    width, height = size
    across, near = actor.path(time)
    product = actor.product
    if product.lies_flat:
        near = min(max(near, 0.3), 0.65)  # or it would reach beyond the table's far edge, or the picture's lower one
    stand = _shift(width * across, height * (HORIZON + 0.08 + 0.42 * near))
    pixel = product.size * _scale_of(size) * (0.66 + 0.42 * near) / sprite.silhouette.width
    side = sprite.silhouette.width
    sway = math.sin(2 * math.pi * (1.3 * time + actor.phase))
    if product.lies_flat:
        angle = 2 * math.pi * (actor.phase - 0.5) * 0.25 + 1.1 * (time - 0.5) + 0.1 * sway
        body = stand @ _scale(pixel, pixel * _FORESHORTENING) @ _turn(angle) @ _shift(-side / 2, -side / 2)
        return _Placed(number, sprite, near, True, body, _shift(0.012 * height, 0.012 * height) @ body)
    facing = 1 if not actor.follows_path or _goes_right(actor, time) == (product.faces > 0) else -1
    yaw = 0.6 * sway
    turned = np.array([[facing * math.cos(yaw), 0, 0], [0.06 * math.sin(yaw), 1, 0], [0, 0, 1]])
    upright = _scale(pixel, pixel) @ turned @ _shift(-side / 2, -side * 0.985)
    lying = np.array([[1, -0.62, 0], [0, 0.26, 0], [0, 0, 1.0]])
    rocking = _turn(math.radians(1.6) * math.sin(2 * math.pi * (2.1 * time + 2 * actor.phase)))
    return _Placed(number, sprite, near, False, stand @ rocking @ upright, stand @ lying @ upright)


def _goes_right(actor: Actor, time: float) -> bool:
    return actor.path(min(time + 0.02, 1.0))[0] >= actor.path(max(time - 0.02, 0.0))[0]


def _frame(backdrop: Image.Image, camera: Matrix, placed: list[_Placed], size: tuple[int, int]) -> Frame:
    width, height = size
    corner = _shift((backdrop.width - width) / 2, (backdrop.height - height) / 2)
    picture = backdrop.transform(
        size, Image.Transform.AFFINE, _coefficients(corner @ np.linalg.inv(camera)), Image.Resampling.BILINEAR
    )
    picture.paste((34, 24, 22), mask=_shadows(camera, placed, size))
    labels: Labels = np.zeros((height, width), np.uint8)
    unoccluded = [0] * len(placed)
    for one in placed:
        matrix = camera @ one.body
        window = _window(one.sprite, matrix, size)
        if window is None:
            continue
        left, top, right, bottom = window
        unoccluded[one.number - 1] = _stamp(labels[top:bottom, left:right], one, matrix, window)
        fine = _shift(left, top) @ _scale(0.5, 0.5)
        double = ((right - left) * 2, (bottom - top) * 2)
        smooth = one.sprite.picture.transform(
            double, Image.Transform.AFFINE, _coefficients(np.linalg.inv(matrix) @ fine), Image.Resampling.BILINEAR
        ).reduce(2)
        picture.paste(smooth, (left, top), smooth)
    return Frame(picture, labels, tuple(unoccluded))


def _stamp(labels: Labels, one: _Placed, matrix: Matrix, window: tuple[int, int, int, int]) -> int:
    """Write the object's number over the labels in the window; say how many pixels it covers."""
    left, top, right, bottom = window
    outline = one.sprite.silhouette.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        _coefficients(np.linalg.inv(matrix) @ _shift(left, top)),
        Image.Resampling.NEAREST,
    )
    inside = np.asarray(outline) > 0
    labels[inside] = one.number
    return int(np.count_nonzero(inside))


def _shadows(camera: Matrix, placed: list[_Placed], size: tuple[int, int]) -> Image.Image:
    """How dark the table is: long soft shadows away from the light, and dark ones where things stand."""
    small = (math.ceil(size[0] / _SHADOW_FACTOR), math.ceil(size[1] / _SHADOW_FACTOR))
    shrink = _scale(1 / _SHADOW_FACTOR, 1 / _SHADOW_FACTOR)
    soft, contact = Image.new("L", small), Image.new("L", small)
    for one in placed:
        silhouette = one.sprite.silhouette
        soft = ImageChops.lighter(soft, _shadow(silhouette, shrink @ camera @ one.cast_shadow, small))
        foot = silhouette
        if not one.lies_flat:
            foot = silhouette.copy()
            foot.paste(0, (0, 0, foot.width, round(foot.height * 0.90)))
        lower = _shift(0, (0.004 if one.lies_flat else 0.012) * size[1])
        contact = ImageChops.lighter(contact, _shadow(foot, shrink @ camera @ lower @ one.body, small))
    soft = soft.filter(ImageFilter.GaussianBlur(small[1] * 0.016)).point([round(level * 0.34) for level in range(256)])
    contact = contact.filter(ImageFilter.GaussianBlur(small[1] * 0.009)).point(
        [round(level * 0.55) for level in range(256)]
    )
    return ImageChops.lighter(soft, contact).resize(size, Image.Resampling.BILINEAR)


def _shadow(silhouette: Image.Image, matrix: Matrix, size: tuple[int, int]) -> Image.Image:
    return silhouette.transform(
        size, Image.Transform.AFFINE, _coefficients(np.linalg.inv(matrix)), Image.Resampling.BILINEAR
    )


def _window(sprite: Sprite, matrix: Matrix, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The part of the picture that the sprite may touch."""
    bounds = sprite.silhouette.getbbox()
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    corners = matrix @ np.array([[left, right, right, left], [top, top, bottom, bottom], [1, 1, 1, 1]])
    window = (
        max(0, math.floor(corners[0].min()) - 1),
        max(0, math.floor(corners[1].min()) - 1),
        min(size[0], math.ceil(corners[0].max()) + 1),
        min(size[1], math.ceil(corners[1].max()) + 1),
    )
    return window if window[0] < window[2] and window[1] < window[3] else None


def _coefficients(matrix: Matrix) -> tuple[float, ...]:
    """What Pillow wants: the first two rows of the matrix from the new picture's pixels to the old one's."""
    return tuple(float(value) for value in matrix[:2].ravel())


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _scale(x: float, y: float) -> Matrix:
    return np.array([[x, 0, 0], [0, y, 0], [0, 0, 1]], np.float64)


def _turn(angle: float) -> Matrix:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)
