"""What happens in each video: which products, in which colours, on which ways across the table."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gygo_server.media.sample.backdrop import THEMES, Theme
from gygo_server.media.sample.products import CATEGORIES, Product

Path = Callable[[float], tuple[float, float]]
"""Where an actor stands at a time from 0 to 1: across (0 left, 1 right) and near (0 far edge, 1 near edge)."""


@dataclass(frozen=True)
class Actor:
    """One product in one video."""

    product: Product
    colour: str
    path: Path
    phase: float
    """Where in its turning back and forth it starts, from 0 to 1."""
    follows_path: bool = False
    """It faces where it goes."""


@dataclass(frozen=True)
class Story:
    """One video before it is drawn. The first actor is its subject, and gives its name and category."""

    name: str
    split: str
    frames: int
    theme: Theme
    actors: tuple[Actor, ...]
    void_border: bool
    seed: tuple[int, ...]

    @property
    def category(self) -> str:
        return self.actors[0].product.category


class Casting:
    """Picks products and colours by chance, each product of a category in its turn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._turns = {category: list(rng.permutation(len(products))) for category, products in CATEGORIES.items()}
        self.subject = CATEGORIES["toys"][0]
        self._cast: set[str] = set()
        self._colours: set[str] = set()

    def new_video(self, category: str, turn: int) -> None:
        turns = self._turns[category]
        self.subject = CATEGORIES[category][turns[turn % len(turns)]]
        self._cast = {self.subject.slug}
        self._colours = set()

    def companion(self, *, category: str | None = None) -> Product:
        """Another product that stands upright, of that category if it has one left."""
        among = [product for products in CATEGORIES.values() for product in products]
        free = [product for product in among if not product.lies_flat and product.slug not in self._cast]
        wanted = [product for product in free if product.category == category] or free
        product = wanted[self._rng.integers(len(wanted))]
        self._cast.add(product.slug)
        return product

    def actor(self, product: Product, path: Path, *, follows_path: bool = False) -> Actor:
        fresh = [colour for colour in product.colours if colour not in self._colours] or list(product.colours)
        colour = fresh[self._rng.integers(len(fresh))]
        self._colours.add(colour)
        return Actor(product, colour, path, self._rng.random(), follows_path)


def make_stories(videos: int, frames: tuple[int, int], seed: int) -> tuple[Story, ...]:
    """The videos in order. Every third goes to `val`, which meets all four categories in twelve videos."""
    rng = np.random.default_rng([seed, 0])
    casting = Casting(rng)
    themes = rng.permutation(len(THEMES))
    categories = tuple(CATEGORIES)
    stories: list[Story] = []
    names: set[str] = set()
    for index in range(videos):
        casting.new_video(categories[index % len(categories)], index // len(categories))
        actors = _PLOTS[index % len(_PLOTS)](casting)
        stories.append(
            Story(
                name=_unused_name(f"{actors[0].colour}-{actors[0].product.slug}", names),
                split="val" if index % 3 == 2 else "train",
                frames=int(rng.integers(frames[0], frames[1] + 1)),
                theme=THEMES[themes[index % len(themes)]],
                actors=actors,
                void_border=index == 1,
                seed=(seed, index + 1),
            )
        )
    return tuple(stories)


def _unused_name(wanted: str, names: set[str]) -> str:
    name, number = wanted, 1
    while name in names:
        number += 1
        name = f"{wanted}-{number}"
    names.add(name)
    return name


def keyed(*keys: tuple[float, float, float]) -> Path:
    """Through the keys (time, across, near), with a soft start and stop at each."""

    def path(time: float) -> tuple[float, float]:
        for (start, x, near), (end, next_x, next_near) in pairwise(keys):
            if time <= end:
                share = (time - start) / (end - start)
                ease = share * share * (3 - 2 * share)
                return x + (next_x - x) * ease, near + (next_near - near) * ease
        return keys[-1][1:]

    return path


def orbit(start: float, turns: float = 0.6) -> Path:
    """Round the middle of the table."""

    def path(time: float) -> tuple[float, float]:
        angle = 2 * math.pi * (start + turns * time)
        return 0.5 + 0.31 * math.cos(angle), 0.5 + 0.42 * math.sin(angle)

    return path


def _passes_behind(casting: Casting) -> tuple[Actor, ...]:
    # It lingers there, so that a video of few frames shows it too.
    way = keyed((0, 0.14, 0.4), (0.38, 0.46, 0.35), (0.62, 0.56, 0.33), (1, 0.87, 0.3))
    return (
        casting.actor(casting.subject, way, follows_path=True),
        casting.actor(casting.companion(), keyed((0, 0.49, 0.56), (1, 0.53, 0.5))),
    )


def _another_arrives(casting: Casting) -> tuple[Actor, ...]:
    newcomer = casting.companion(category=casting.subject.category)
    return (
        casting.actor(casting.subject, keyed((0, 0.40, 0.45), (0.5, 0.33, 0.66), (1, 0.28, 0.55))),
        casting.actor(newcomer, keyed((0, 1.35, 0.5), (0.15, 1.35, 0.5), (0.75, 0.72, 0.78), (1, 0.68, 0.7))),
    )


def _leaves_and_returns(casting: Casting) -> tuple[Actor, ...]:
    out = ((0.4, -0.42, 0.6), (0.6, -0.42, 0.5))
    return (
        casting.actor(casting.subject, keyed((0, 0.34, 0.75), *out, (1, 0.36, 0.6)), follows_path=True),
        casting.actor(casting.companion(), keyed((0, 0.74, 0.4), (1, 0.68, 0.55))),
    )


def _leaves_the_table_empty(casting: Casting) -> tuple[Actor, ...]:
    out = ((0.4, 1.44, 0.6), (0.6, 1.44, 0.7))
    return (casting.actor(casting.subject, keyed((0, 0.5, 0.55), *out, (1, 0.48, 0.75)), follows_path=True),)


def _comes_near(casting: Casting) -> tuple[Actor, ...]:
    return (casting.actor(casting.subject, keyed((0, 0.36, 0.02), (0.55, 0.62, 0.55), (1, 0.45, 1.0))),)


def _four_go_round(casting: Casting) -> tuple[Actor, ...]:
    cast = [casting.subject, *(casting.companion() for _ in range(3))]
    return tuple(casting.actor(product, orbit(0.07 + place / 4)) for place, product in enumerate(cast))


def _two_swap(casting: Casting) -> tuple[Actor, ...]:
    other = casting.companion(category=casting.subject.category)
    return (
        casting.actor(casting.subject, keyed((0, 0.24, 0.7), (0.5, 0.5, 0.92), (1, 0.76, 0.6)), follows_path=True),
        casting.actor(other, keyed((0, 0.76, 0.45), (0.5, 0.52, 0.2), (1, 0.26, 0.4)), follows_path=True),
    )


def _hurries(casting: Casting) -> tuple[Actor, ...]:
    way = keyed((0, 0.16, 0.75), (0.3, 0.84, 0.5), (0.62, 0.2, 0.55), (1, 0.7, 0.85))
    return (casting.actor(casting.subject, way, follows_path=True),)


def _two_guests(casting: Casting) -> tuple[Actor, ...]:
    return (
        casting.actor(casting.subject, keyed((0, 0.5, 0.85), (1, 0.46, 0.7))),
        casting.actor(casting.companion(), keyed((0, 0.2, 0.2), (0.6, 0.72, 0.12), (1, 0.78, 0.3))),
        casting.actor(casting.companion(), keyed((0, -0.4, 0.6), (0.25, -0.4, 0.6), (0.8, 0.2, 0.6), (1, 0.22, 0.65))),
    )


_PLOTS: tuple[Callable[[Casting], tuple[Actor, ...]], ...] = (
    _passes_behind,
    _another_arrives,
    _leaves_and_returns,
    _leaves_the_table_empty,
    _comes_near,
    _four_go_round,
    _two_swap,
    _passes_behind,
    _hurries,
    _comes_near,
    _four_go_round,
    _two_guests,
)
