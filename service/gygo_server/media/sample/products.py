"""The products, each a stack of coloured pieces."""

from collections.abc import Callable
from dataclasses import dataclass

from gygo_server.media.sample.shapes import RGB, Part, blob, box, curve, darker, ellipse, heart, lighter, star

WHITE: RGB = (246, 243, 236)
BLACK: RGB = (38, 38, 44)
STEEL: RGB = (178, 184, 192)
GLASS: RGB = (158, 206, 226)
WOOD: RGB = (176, 126, 78)

COLOURS: dict[str, RGB] = {
    "red": (214, 58, 54),
    "blue": (52, 104, 192),
    "yellow": (248, 200, 52),
    "green": (74, 152, 92),
    "orange": (240, 138, 50),
    "pink": (236, 130, 160),
    "teal": (38, 150, 154),
    "purple": (128, 92, 176),
    "white": WHITE,
    "black": (58, 60, 68),
}
ACCENTS: dict[str, str] = {
    "red": "yellow",
    "blue": "orange",
    "yellow": "red",
    "green": "yellow",
    "orange": "teal",
    "pink": "purple",
    "teal": "orange",
    "purple": "yellow",
    "white": "blue",
    "black": "red",
}


def toy_car(main: RGB, accent: RGB) -> tuple[Part, ...]:
    wheels = [
        part
        for x in (25, 75)
        for part in (
            Part(ellipse(x, 86, 12), BLACK, gloss=0.15),
            Part(ellipse(x, 86, 6.5), STEEL, gloss=0.7),
            Part(ellipse(x, 86, 2.4), darker(STEEL), puff=0.6),
        )
    ]
    return (
        Part(blob((20, 64), (29, 43), (40, 38), (62, 38), (74, 46), (84, 64), (52, 72)), main, gloss=0.7),
        Part(box(3, 58, 97, 87, 11), main, gloss=0.7),
        Part(blob((28, 60), (33, 48), (40, 44), (48, 44), (48, 60)), GLASS, puff=0.4, gloss=0.9),
        Part(blob((53, 60), (53, 44), (61, 44), (69, 49), (76, 60)), GLASS, puff=0.4, gloss=0.9),
        Part(box(6, 70, 94, 75, 2), accent, puff=0.3),
        Part(curve((50.5, 62), (51, 70), (49, 84)), darker(main), width=0.9, puff=0),
        Part(box(55, 64, 62, 66.2, 1), STEEL, puff=0.5),
        Part(ellipse(92.5, 67, 3.6, 4.2), (255, 238, 170), gloss=0.9),
        Part(box(3.5, 63, 7.5, 70, 1.6), (170, 30, 34), gloss=0.8),
        Part(box(0.8, 79, 13, 86, 3), STEEL),
        Part(box(87, 79, 99.2, 86, 3), STEEL),
        *wheels,
    )


def rubber_duck(main: RGB, accent: RGB) -> tuple[Part, ...]:
    orange = (242, 120, 40) if accent != (242, 120, 40) else accent
    body = blob((9, 74), (12, 58), (34, 50), (56, 57), (74, 58), (88, 47), (95, 52), (92, 76), (76, 95), (44, 98.5))
    return (
        Part((*body,), main, puff=1.5, gloss=0.5),
        Part(ellipse(35, 35, 25, 24), main, puff=1.5, gloss=0.6),
        Part(blob((44, 72), (60, 67), (80, 69), (84, 76), (70, 87), (52, 85)), lighter(main, 0.12), gloss=0.4),
        Part(blob((1.5, 40), (10, 36), (19, 38), (21, 44), (12, 49), (4, 47)), orange, gloss=0.6),
        Part(curve((4, 43), (11, 43.5), (19, 42)), darker(orange), width=0.9, puff=0),
        Part(ellipse(27, 29, 4.2, 5.2), BLACK, gloss=0.9),
        Part(ellipse(25.8, 27, 1.5), (255, 255, 255), puff=0),
        Part(blob((33, 12), (39, 4), (44, 9), (38, 13)), main),
    )


def block_tower(main: RGB, accent: RGB) -> tuple[Part, ...]:
    third, fourth = (86, 170, 120), (108, 148, 214)
    return (
        Part(box(14, 68, 48, 99, 3), main),
        Part(box(52, 68, 87, 99, 3), fourth),
        Part(ellipse(31, 84, 8), lighter(main), puff=0.5),
        Part(star(69.5, 84, 10), lighter(fourth, 0.5), puff=0.5),
        Part(box(19, 55, 81, 68, 2.5), WOOD, gloss=0.15),
        Part(box(33, 26, 64, 55, 3), accent),
        Part(heart(48.5, 41, 8.5), lighter(accent, 0.55), puff=0.5),
        Part(((29, 26), (48.5, 2), (68, 26)), third),
        Part(ellipse(48.5, 18, 3.6), lighter(third, 0.5), puff=0.5),
    )


def t_shirt(main: RGB, accent: RGB) -> tuple[Part, ...]:
    outline = (
        *curve((36, 7), (43, 13), (57, 13), (64, 7)),
        *curve((64, 7), (79, 12), (98, 33)),
        *((83, 46), (77, 40)),
        *curve((77, 40), (76, 65), (78, 96)),
        *curve((78, 96), (50, 98), (22, 96)),
        *curve((22, 96), (24, 65), (23, 40)),
        *((17, 46), (2, 33)),
        *curve((2, 33), (21, 12), (36, 7)),
    )
    fold = darker(main, 0.14)
    return (
        Part(outline, main, puff=0.7, gloss=0.05),
        Part(curve((35, 9), (42, 17.5), (58, 17.5), (65, 9)), darker(main, 0.2), width=3.2, puff=0.5, gloss=0.05),
        Part(curve((23, 41), (23.5, 30), (27, 20)), fold, width=1.1, puff=0, gloss=0),
        Part(curve((77, 41), (76.5, 30), (73, 20)), fold, width=1.1, puff=0, gloss=0),
        Part(curve((6, 36.5), (12, 32), (19, 43.5)), fold, width=0.7, puff=0, gloss=0),
        Part(curve((94, 36.5), (88, 32), (81, 43.5)), fold, width=0.7, puff=0, gloss=0),
        Part(curve((31, 92), (36, 82), (34, 70)), fold, width=1.4, puff=0.6, gloss=0),
        Part(curve((68, 90), (63, 80), (67, 66)), fold, width=1.2, puff=0.6, gloss=0),
        Part(ellipse(50, 46, 15), lighter(accent, 0.1), puff=0, gloss=0),
        Part(star(50, 46, 11), WHITE, puff=0, gloss=0),
        Part(box(23.5, 90, 76.5, 91, 0.5), fold, puff=0, gloss=0),
    )


def sneaker(main: RGB, accent: RGB) -> tuple[Part, ...]:
    upper = blob((7, 84), (6, 60), (9, 42), (22, 46), (38, 44), (48, 56), (66, 67), (88, 72), (96, 84), (50, 88))
    laces = [Part(curve((39 + 6 * n, 50 + 4.4 * n), (46 + 6 * n, 47 + 5 * n)), WHITE, width=2.6) for n in range(4)]
    return (
        Part(upper, main, puff=1.3, gloss=0.25),
        Part(blob((74, 68), (88, 72), (95, 84), (72, 85), (70, 76)), lighter(main, 0.55), gloss=0.2),
        Part(blob((37, 46), (42, 43), (70, 67), (64, 70), (52, 62)), darker(main, 0.18), puff=0.5),
        Part(curve((24, 80), (40, 77), (52, 66)), accent, width=5, puff=0.5),
        Part(curve((34, 82), (47, 80), (58, 70)), WHITE, width=2.6, puff=0.5),
        Part(blob((6.5, 62), (9, 44), (16, 46), (16, 78), (8, 80)), darker(main, 0.3), puff=0.7),
        Part(ellipse(24, 46.5, 12, 2.6), darker(main, 0.55), puff=0.2),
        *laces,
        Part(box(3, 82, 98, 97, 6), WHITE, gloss=0.3),
        Part(box(4, 90, 97, 92, 1), accent, puff=0),
    )


def hat(main: RGB, accent: RGB) -> tuple[Part, ...]:
    crown = blob((23, 82), (25, 58), (33, 42), (47, 44), (56, 41), (68, 44), (75, 60), (77, 82), (50, 90))
    return (
        Part(ellipse(50, 86, 49, 12), darker(main, 0.12), puff=1.2, gloss=0.15),
        Part(crown, main, puff=1.5, gloss=0.15),
        Part(
            (*curve((23, 72), (50, 80), (77, 72)), *curve((77.4, 83), (50, 91), (22.6, 83))),
            accent,
            puff=0.6,
            gloss=0.4,
        ),
        Part(blob((64, 76), (72, 70), (74, 78), (70, 86)), lighter(accent, 0.15), gloss=0.4),
        Part(curve((40, 50), (49, 54), (58, 49)), darker(main, 0.16), width=2.4, puff=0.5, gloss=0),
    )


def small_house(main: RGB, accent: RGB) -> tuple[Part, ...]:
    cream = (240, 226, 198)
    windows = [
        part
        for x, y in ((22, 58), (66, 58))
        for part in (
            Part(box(x - 1.5, y - 1.5, x + 13.5, y + 15.5, 1), WHITE, puff=0.5),
            Part(box(x, y, x + 12, y + 14, 0.6), (255, 224, 138), puff=0.3, gloss=0.8),
            Part(((x + 6, y), (x + 6, y + 14)), WHITE, width=1.4, puff=0.3),
            Part(((x, y + 7), (x + 12, y + 7)), WHITE, width=1.4, puff=0.3),
            Part(box(x - 2.5, y + 15, x + 14.5, y + 18, 1), accent, puff=0.6),
        )
    ]
    roof = ((6, 50), (50, 9), (94, 50), (90, 54), (10, 54))
    return (
        Part(box(2, 91, 98, 99, 3), (112, 168, 92), gloss=0.1),
        Part(box(68, 14, 79, 40, 1), darker(main, 0.3), gloss=0.1),
        Part(box(66.5, 12, 80.5, 16.5, 1), lighter(main, 0.2)),
        Part(((14, 93), (14, 48), (50, 16), (86, 48), (86, 93)), cream, puff=0.5, gloss=0.1),
        Part(roof, main, puff=0.8, gloss=0.2),
        *[Part(((50 - w, y), (50 + w, y)), darker(main, 0.14), width=0.9, puff=0) for w, y in ((15, 27), (25, 36))],
        Part(((16, 45), (84, 45)), darker(main, 0.14), width=0.9, puff=0),
        Part(box(42, 64, 58, 93, 2), accent, puff=0.6),
        Part(ellipse(54.5, 79, 1.4), (250, 220, 120), gloss=0.9),
        *windows,
        Part(blob((6, 93), (5, 82), (12, 77), (19, 83), (18, 93)), (86, 146, 80), gloss=0.1),
        Part(blob((84, 93), (83, 84), (89, 80), (95, 86), (95, 93)), (98, 158, 86), gloss=0.1),
    )


def ship(main: RGB, accent: RGB) -> tuple[Part, ...]:
    hull = (
        *curve((3, 58), (9, 77), (17, 88)),
        *curve((17, 88), (50, 89), (82, 88)),
        *curve((82, 88), (92, 74), (98, 54)),
    )
    portholes = [part for n in range(5) for part in _porthole(26 + 12 * n, 70)]
    funnels = [
        part
        for x in (40, 56)
        for part in (
            Part(((x, 40), (x + 1.5, 16), (x + 10.5, 16), (x + 9, 40)), accent),
            Part(((x + 1.3, 20), (x + 1.5, 15), (x + 10.5, 15), (x + 10.2, 20)), BLACK),
        )
    ]
    return (
        Part(box(26, 84, 33, 99, 1), WOOD),
        Part(box(66, 84, 73, 99, 1), WOOD),
        Part(box(18, 93, 81, 99, 2), WOOD),
        Part(((82, 58), (82, 16)), WOOD, width=1.8),
        Part(((82, 17), (93, 22), (82, 27)), accent, puff=0.5),
        *funnels,
        Part(box(30, 38, 72, 50, 2), WHITE),
        Part(box(18, 48, 80, 60, 2), WHITE),
        *[Part(box(24 + 9 * n, 51, 29 + 9 * n, 56, 1), GLASS, puff=0.3, gloss=0.8) for n in range(6)],
        *[Part(box(35 + 9 * n, 41, 39 + 9 * n, 45.5, 1), GLASS, puff=0.3, gloss=0.8) for n in range(4)],
        Part(hull, main, puff=1.1, gloss=0.45),
        Part(((4, 60.5), (50, 61), (96.4, 58.5)), WHITE, width=2.6, puff=0.4),
        Part(
            (*curve((12, 81), (14, 85), (17, 89)), (82, 89), *curve((82, 89), (85, 86), (88, 81))), darker(main, 0.45)
        ),
        *portholes,
    )


def model_plane(main: RGB, accent: RGB) -> tuple[Part, ...]:
    fuselage = blob((2, 45), (20, 42), (48, 37), (74, 36), (90, 40), (96, 48), (88, 56), (62, 59), (24, 52))
    return (
        Part(ellipse(52, 95, 24, 4.6), WOOD),
        Part(((52, 94), (54, 54)), STEEL, width=2.6),
        Part(blob((3, 46), (1, 22), (9, 20), (22, 44)), accent),
        Part(blob((46, 40), (40, 23), (48, 22), (62, 40)), darker(main, 0.3)),
        Part(fuselage, main, puff=1.3, gloss=0.6),
        Part(blob((64, 41), (70, 34), (78, 36), (83, 42), (74, 45)), GLASS, puff=0.8, gloss=0.9),
        Part(((6, 48), (30, 51), (62, 53), (94, 50)), accent, width=3, puff=0.3),
        *[Part(ellipse(30 + 8 * n, 45 - 0.4 * n, 2.3), GLASS, puff=0.4, gloss=0.8) for n in range(4)],
        Part(blob((42, 52), (28, 74), (37, 76), (66, 53)), accent, puff=0.8, gloss=0.4),
        Part(blob((4, 46), (0.8, 52), (7, 53), (17, 47)), darker(accent, 0.15)),
        Part(blob((95.5, 48), (93.5, 30), (97, 26), (98, 40)), darker(WOOD)),
        Part(blob((95.5, 48), (94, 64), (97, 70), (98.2, 56)), darker(WOOD)),
        Part(ellipse(96, 48, 2.8, 3.6), STEEL, gloss=0.9),
    )


def mug(main: RGB, accent: RGB) -> tuple[Part, ...]:
    bottom = [point for point in box(15.5, 60, 70.5, 98, 11) if point[1] > 80][::-1]
    bottom = [point for point in box(15.5, 60, 70.5, 98, 11) if point[1] > 80]
    body = (*curve((72, 22), (71.6, 60), (70.5, 84)), *bottom, *curve((15.5, 84), (14.4, 60), (14, 22)))
    return (
        Part(curve((70, 38), (88, 36), (93, 54), (86, 72), (68, 78)), main, width=8.5, puff=0.8, gloss=0.6),
        Part(body, main, puff=1.6, gloss=0.6),
        Part(ellipse(43, 22, 29, 8), lighter(main, 0.4), puff=0.6, gloss=0.5),
        Part(ellipse(43, 23, 25.5, 6.2), darker(main, 0.4), puff=0.2),
        Part(ellipse(43, 24.4, 23.6, 4.8), (84, 52, 34), puff=0.1, gloss=0.2),
        Part(heart(43, 58, 13), lighter(accent, 0.08), puff=0.3, gloss=0.3),
    )


def stapler(main: RGB, accent: RGB) -> tuple[Part, ...]:
    arm = blob((5, 74), (6, 56), (18, 50), (44, 52), (76, 58), (95, 66), (97, 74), (84, 77), (40, 77))
    return (
        Part(box(3, 88, 97, 98, 4), BLACK, gloss=0.25),
        Part(box(74, 85.5, 90, 89, 1.4), STEEL, gloss=0.8),
        Part(blob((5, 90), (5, 66), (14, 62), (28, 70), (32, 90)), darker(main, 0.3)),
        Part(box(20, 73, 96, 82, 2.5), STEEL, gloss=0.9),
        Part(arm, main, puff=1.2, gloss=0.7),
        Part(box(40, 61, 64, 67, 3), lighter(accent, 0.1), puff=0.4),
        Part(ellipse(15, 72, 4.4), STEEL, gloss=0.9),
        Part(ellipse(15, 72, 1.7), BLACK, puff=0.3),
    )


def notebook(main: RGB, accent: RGB) -> tuple[Part, ...]:
    return (
        Part(box(17, 6, 87, 98, 4), darker(main, 0.35)),
        Part(box(18, 5, 85.5, 96, 3), WHITE, gloss=0.05),
        Part(box(14, 3, 83, 94, 4), main, puff=0.8, gloss=0.25),
        Part(box(14, 3, 24, 94, 3), darker(main, 0.25), puff=0.6, gloss=0.2),
        Part(box(34, 20, 66, 40, 2), WHITE, puff=0.3, gloss=0.05),
        *[Part(((39, y), (61 - 5 * (y > 30), y)), darker(WHITE, 0.45), width=1.3, puff=0) for y in (26, 33)],
        Part(box(73, 3, 77, 94, 0.8), accent, puff=0.6, gloss=0.1),
    )


def pen(main: RGB, accent: RGB) -> tuple[Part, ...]:
    return (
        Part(((93, 47), (99, 50), (93, 53)), STEEL, gloss=0.9),
        Part(((82, 44.4), (94, 47), (94, 53), (82, 55.6)), BLACK, puff=0.8, gloss=0.4),
        Part(box(8, 44, 84, 56, 3.5), main, gloss=0.8),
        Part(box(1.5, 43.4, 34, 56.6, 4), accent, gloss=0.7),
        Part(box(33, 43.2, 36, 56.8, 1), STEEL, gloss=0.9),
        Part(box(5, 46.4, 40, 49.4, 1.4), (236, 206, 122), gloss=0.9),
    )


def _porthole(x: float, y: float) -> tuple[Part, ...]:
    return Part(ellipse(x, y, 3.2), STEEL, gloss=0.8), Part(ellipse(x, y, 2.1), GLASS, puff=0.4, gloss=0.8)


@dataclass(frozen=True)
class Product:
    slug: str
    category: str
    draw: Callable[[RGB, RGB], tuple[Part, ...]]
    size: float
    """Its 100 units, as a share of the picture's height, at the front of the table."""
    colours: tuple[str, ...]
    lies_flat: bool = False
    """Seen from above, lying on the table: it may then turn all the way round."""
    faces: int = 1
    """Which way it is drawn: 1 to the right, -1 to the left."""


CATEGORIES: dict[str, tuple[Product, ...]] = {
    "toys": (
        Product("toy-car", "toys", toy_car, 0.50, ("red", "blue", "teal", "orange")),
        Product("rubber-duck", "toys", rubber_duck, 0.42, ("yellow", "pink", "teal"), faces=-1),
        Product("block-tower", "toys", block_tower, 0.52, ("red", "orange", "purple")),
    ),
    "clothes": (
        Product("t-shirt", "clothes", t_shirt, 0.62, ("blue", "green", "red", "white", "purple"), lies_flat=True),
        Product("sneaker", "clothes", sneaker, 0.50, ("red", "teal", "black", "blue")),
        Product("hat", "clothes", hat, 0.50, ("orange", "pink", "white", "green")),
    ),
    "models": (
        Product("model-house", "models", small_house, 0.54, ("red", "blue", "purple", "teal")),
        Product("model-ship", "models", ship, 0.58, ("blue", "red", "black", "green")),
        Product("model-plane", "models", model_plane, 0.56, ("white", "red", "yellow", "teal")),
    ),
    "office": (
        Product("mug", "office", mug, 0.40, ("white", "teal", "red", "yellow", "black")),
        Product("stapler", "office", stapler, 0.46, ("red", "blue", "black", "green")),
        Product("notebook", "office", notebook, 0.52, ("green", "black", "orange", "pink"), lies_flat=True),
        Product("pen", "office", pen, 0.64, ("blue", "red", "green", "purple"), lies_flat=True),
    ),
}
