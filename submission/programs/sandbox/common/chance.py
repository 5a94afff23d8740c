"""Functions with chance in them, which generators of inputs use: they draw from `random`, which the sandbox seeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells, dilated, steps
from submission.programs.sandbox.common.objects import collision, is_contiguous

__all__ = [
    "generate_position_has_interval", "random_free_location_for_object", "random_free_location_for_sprite",
    "random_sprite", "randomly_scatter_points", "randomly_spaced_indices",
]  # fmt: skip

Indices = npt.NDArray[np.int_]


def randomly_scatter_points(grid: Cells, color: int, density: float = 0.5, background: int = Color.BLACK) -> Cells:
    """Colour that share of the grid's cells, all of them background so far, in place; return the grid."""
    free = [tuple(cell) for cell in np.argwhere(grid == background).tolist()]
    for cell in random.sample(free, min(len(free), int(np.ceil(density * grid.size)))):
        grid[cell] = color
    return grid


def randomly_spaced_indices(max_len: int, n_indices: int, border_size: int = 1, padding: int = 1) -> Indices:
    """Indices below `max_len`, in order, with `padding` free places between them and `border_size` at both ends.

    ValueError if there is no room for them.
    """
    places = max_len - 2 * border_size - padding * (n_indices - 1)
    if n_indices > max(places, 0):
        raise ValueError(f"{n_indices} indices do not fit into {max_len} places")
    chosen = sorted(random.sample(range(places), n_indices))
    return np.array([border_size + each + k * padding for k, each in enumerate(chosen)], dtype=int)


def generate_position_has_interval(max_len: int, position_num: int, if_padding: bool = False) -> Indices:
    """Positions of lines, none next to another; with padding none at an end. ValueError if there is no room."""
    return randomly_spaced_indices(max_len, position_num, border_size=int(if_padding), padding=1)


def random_free_location_for_sprite(
    grid: Cells,
    sprite: Cells,
    background: int = Color.BLACK,
    border_size: int = 0,
    padding: int = 0,
    padding_connectivity: int = 8,
) -> tuple[int, int]:
    """An (x, y) at which a sprite meets nothing in the grid; ValueError if there is none.

    It keeps `border_size` cells from the grid's edge, and `padding` cells from all that is in the grid.
    """
    taken = dilated(grid != background, padding_connectivity, padding)
    shown = sprite != background
    (n, m), (width, height) = grid.shape, sprite.shape
    free = [
        (x, y)
        for x in range(border_size, n - border_size - width + 1)
        for y in range(border_size, m - border_size - height + 1)
        if not collision(object1=taken, object2=shown, x2=x, y2=y, background=False)
    ]
    if not free:
        raise ValueError("the sprite fits nowhere")
    return random.choice(free)


random_free_location_for_object = random_free_location_for_sprite
"""Its older name."""

Image = Callable[[int, int, int, int], list[tuple[int, int]]]

IMAGES: dict[str, Image] = {
    "not_symmetric": lambda x, y, n, m: [(x, y)],
    "horizontal": lambda x, y, n, m: [(x, y), (n - 1 - x, y)],
    "vertical": lambda x, y, n, m: [(x, y), (x, m - 1 - y)],
    "mirror": lambda x, y, n, m: [(x, y), (n - 1 - x, y), (x, m - 1 - y), (n - 1 - x, m - 1 - y)],
    "diagonal": lambda x, y, n, m: [(x, y), (y, x)],
    "radial": lambda x, y, n, m: [(x, y), (y, n - 1 - x), (n - 1 - x, n - 1 - y), (n - 1 - y, x)],
}
"""Symmetry of a sprite of n by m -> the cells with the colour of (x, y); the last two are for squares."""


def random_sprite(
    n: int | Sequence[int],
    m: int | Sequence[int],
    density: float = 0.5,
    symmetry: str | None = None,
    color_palette: Sequence[int] | None = None,
    connectivity: int = 4,
    background: int = Color.BLACK,
) -> Cells:
    """A connected sprite of n by m that touches all four edges; of lists of sizes, one is drawn.

    `symmetry`: "horizontal", "vertical", "mirror" (both), "diagonal", "radial" (quarter turns), "not_symmetric"; None
    draws one. Without a palette, one or more colours are drawn. IndexError if a square is wanted and there is none.
    """
    sizes = [(int(a), int(b)) for a in np.atleast_1d(n) for b in np.atleast_1d(m)]
    squares = [(a, b) for a, b in sizes if a == b]
    if symmetry is None:
        symmetry = random.choice([each for each in IMAGES if squares or each not in ("diagonal", "radial")])
    if symmetry not in IMAGES:
        raise ValueError(f"random_sprite: there is no symmetry {symmetry!r}")
    width, height = random.choice(squares if symmetry in ("diagonal", "radial") else sizes)
    palette = list(color_palette) if color_palette is not None else _palette(background)
    return _grown(width, height, IMAGES[symmetry], palette, density, connectivity, background)


def _palette(background: int) -> list[int]:
    """One colour, or with falling probability more."""
    count = 1
    while count < 9 and random.random() < 0.3:
        count += 1
    return random.sample([each for each in Color.ALL_COLORS if each != background], count)


def _grown(
    n: int, m: int, images: Image, palette: list[int], density: float, connectivity: int, background: int
) -> Cells:
    """A sprite that a random walk colours until it is dense enough, connected, and at all edges: at last it is full."""
    sprite = np.full((n, m), background)
    moves = steps(connectivity)
    x, y, colour = n // 2, m // 2, random.choice(palette)
    while True:
        for cell in images(x, y, n, m):
            sprite[cell] = colour
        shown = sprite != background
        at_edges = shown[0].any() and shown[-1].any() and shown[:, 0].any() and shown[:, -1].any()
        if shown.sum() >= density * n * m and at_edges and is_contiguous(sprite, background, connectivity):
            return sprite
        dx, dy = random.choice(moves)
        x, y = min(max(x + dx, 0), n - 1), min(max(y + dy, 0), m - 1)
        colour = random.choice(palette) if random.random() < 0.33 else colour
