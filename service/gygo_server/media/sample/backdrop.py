"""The room: a lit wall and a table top. Drawn once for a video, larger than its pictures: the camera moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from gygo_server.media.sample.shapes import RGB, darker, lighter

HORIZON = 0.44
"""Where the table meets the wall, as a share of the picture's height."""
MARGIN = 0.09
"""What the backdrop has beyond each side of the picture, as a share of that side."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Theme:
    wall: RGB
    table: RGB
    surface: str
    """`planks`, `cloth` or `stone`."""


THEMES = (
    Theme((196, 214, 208), (196, 146, 96), "planks"),
    Theme((236, 214, 196), (140, 94, 62), "planks"),
    Theme((180, 200, 222), (226, 222, 214), "stone"),
    Theme((232, 226, 212), (120, 152, 160), "cloth"),
    Theme((222, 196, 190), (222, 192, 150), "planks"),
    Theme((150, 172, 166), (232, 222, 202), "cloth"),
    Theme((214, 208, 226), (172, 130, 92), "planks"),
)


def draw_backdrop(theme: Theme, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The room for pictures of that size, `MARGIN` larger on each side."""
    width, height = (round(side * (1 + 2 * MARGIN)) for side in size)
    horizon = round(height * (HORIZON + MARGIN) / (1 + 2 * MARGIN))
    room = np.empty((height, width, 3), np.float32)
    room[:horizon] = _wall(theme, (width, horizon), rng)
    room[horizon:] = _table(theme, (width, height - horizon), rng)
    room *= _light(width, height, horizon, rng)[..., None]
    edge = np.abs(np.arange(height) - horizon) / height
    room *= (1 - 0.3 * np.exp(-edge / 0.006) - 0.12 * np.exp(-edge / 0.05)).astype(np.float32)[:, None, None]
    return Image.fromarray(np.clip(room, 0, 255).astype(np.uint8))


def _wall(theme: Theme, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Plaster, with a picture and a plant out of focus."""
    width, height = size
    wall = Image.new("RGB", size, theme.wall)
    pen = ImageDraw.Draw(wall)
    left = width * rng.uniform(0.1, 0.25) if rng.random() < 0.5 else width * rng.uniform(0.55, 0.68)
    frame = (left, height * 0.1, left + height * 0.62, height * 0.66)
    pen.rectangle(frame, fill=lighter(theme.wall, 0.75))
    inset = height * 0.05
    inner = (frame[0] + inset, frame[1] + inset, frame[2] - inset, frame[3] - inset)
    pen.rectangle(inner, fill=darker(theme.wall, 0.14))
    pen.ellipse(
        (inner[0] + inset, inner[1] + inset, inner[0] + 4 * inset, inner[1] + 4 * inset), fill=lighter(theme.table)
    )
    pot = width * 0.84 if left < width / 2 else width * 0.14
    _plant(pen, (pot, float(height)), height, rng)
    blurred = wall.filter(ImageFilter.GaussianBlur(height * 0.022))
    plaster = _noise(rng, size, (width // 24 + 2, height // 24 + 2)) * 3
    return np.asarray(blurred, np.float32) + plaster[..., None]


def _plant(pen: ImageDraw.ImageDraw, foot: tuple[float, float], height: int, rng: np.random.Generator) -> None:
    x, y = foot
    for index in range(9):
        angle = -np.pi / 2 + (index - 4) * 0.3 + rng.uniform(-0.1, 0.1)
        reach = height * rng.uniform(0.42, 0.66)
        tip = (x + reach * np.cos(angle), y - height * 0.22 + reach * np.sin(angle) * 0.95)
        bend = height * 0.055
        middle = ((x + tip[0]) / 2, (y - height * 0.22 + tip[1]) / 2 - bend)
        green = (70 + int(rng.integers(30)), 124 + int(rng.integers(30)), 92)
        pen.polygon(
            [(x, y - height * 0.2), (middle[0] - bend, middle[1]), tip, (middle[0] + bend, middle[1])], fill=green
        )
    rim, base = height * 0.15, height * 0.11
    pen.polygon(
        [(x - rim, y - height * 0.26), (x + rim, y - height * 0.26), (x + base, y), (x - base, y)], fill=(206, 128, 96)
    )


def _table(theme: Theme, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """The table top, drawn from above and laid into perspective."""
    width, height = size
    flat_size = (width, max(8, round(height * 1.6)))
    draw = {"planks": _planks, "cloth": _cloth, "stone": _stone}[theme.surface]
    flat = np.asarray(theme.table, np.float32) * (1 + draw(flat_size, rng))[..., None]
    picture = Image.fromarray(np.clip(flat, 0, 255).astype(np.uint8))
    # The picture's width spans 62 % of the top at the far edge, and less and less of it towards the near edge.
    flat_width, flat_height = flat_size
    far_span, nearer = 0.62, 0.38
    centre, tilt = flat_width / 2, nearer / height
    across = (far_span, centre * tilt, centre * (1 - far_span))
    down = (0.0, flat_height * (1 + nearer) / height, 0.0)
    coefficients = (*across, *down, 0.0, tilt)
    laid = picture.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(laid, np.float32)


def _planks(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Boards from left to right: each its own tone, with grain along it and a dark joint."""
    height = size[1]
    grain = _noise(rng, size, (6, height // 2 + 2)) * 0.06 + _noise(rng, size, (14, height // 5 + 2)) * 0.05
    boards = 7
    place = np.arange(height) / height * boards
    tones = rng.uniform(-0.09, 0.09, boards)
    tone = tones[np.minimum(place.astype(int), boards - 1)]
    joint = np.abs(place - np.round(place)) * height / boards
    rows = tone - 0.35 * np.exp(-((joint / max(1.0, height * 0.0022)) ** 2))
    return np.asarray(grain + rows[:, None], np.float32)


def _cloth(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Linen with broad stripes and a few soft folds."""
    width, height = size
    stripes = 0.10 * (np.arange(width) // max(1, width // 22) % 2) - 0.05
    weave = _noise(rng, size, (width // 2 + 2, height // 24 + 2)) + _noise(
        rng, size, (width // 24 + 2, height // 2 + 2)
    )
    return np.asarray(stripes[None, :] + 0.025 * weave + 0.07 * _noise(rng, size, (7, 4)), np.float32)


def _stone(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Pale stone: clouds, and veins where a smooth noise crosses zero."""
    cloud = _noise(rng, size, (9, 7)) * 0.05 + _noise(rng, size, (40, 30)) * 0.03
    field = _noise(rng, size, (8, 6)) + 0.35 * _noise(rng, size, (26, 20)) + 0.1 * _noise(rng, size, (90, 60))
    return np.asarray(cloud - 0.14 * np.exp(-((field / 0.045) ** 2)), np.float32)


def _light(width: int, height: int, horizon: int, rng: np.random.Generator) -> Pixels:
    """A lamp's pool of light, the window's bright panes aslant over wall and table, darker corners."""
    down, right = np.mgrid[0:height, 0:width].astype(np.float32)
    across, along = right / width, down / height
    pool = np.exp(-((across - 0.42) ** 2 / 0.22 + (along - 0.5) ** 2 / 0.30))
    panes = Image.new("L", (width, height))
    pen = ImageDraw.Draw(panes)
    start = width * rng.uniform(0.05, 0.45)
    pane = width * 0.12
    for index in range(3):
        x = start + index * pane * 1.18
        pen.polygon([(x, 0), (x + pane, 0), (x + pane * 1.5, horizon), (x + pane * 0.5, horizon)], fill=255)
        x += pane * 0.5
        drift = width * 0.16
        pen.polygon([(x, horizon), (x + pane, horizon), (x + pane + drift, height), (x + drift, height)], fill=255)
    soft = np.asarray(panes.filter(ImageFilter.GaussianBlur(height * 0.02)), np.float32) / 255
    return np.asarray(0.80 + 0.24 * pool + 0.09 * soft, np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Pixels:
    """Smooth noise between -1 and 1 with so many cells across and down."""
    columns, rows = cells
    grid = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    return np.asarray(grid.resize(size, Image.Resampling.BICUBIC), np.float32)
