"""Rules about panels between lines: they are combined, compared, summarised."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid, grid_key
from submission.arc.views import COLOURS, View
from submission.training.generators.canvas import (
    Mask,
    box,
    core,
    extreme,
    joined,
    odd_index,
    palette,
    parted,
    scattered,
    sides,
    specks,
)
from submission.training.generators.instances import (
    COIN,
    INK,
    MAYBE_INK,
    SYMMETRY,
    Instance,
    inks,
    one_of,
    rule,
    several,
    viewed,
)

OPERATIONS: dict[str, Callable[[Mask, Mask], Mask]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "nor": lambda first, second: ~(first | second),
    "nand": lambda first, second: ~(first & second),
    "same": lambda first, second: first == second,
    "only first": lambda first, second: first & ~second,
    "only second": lambda first, second: second & ~first,
}


@rule(operation=one_of(*OPERATIONS), colours=inks(4), turns=one_of(0, 1))
def combine_halves(operation: str, colours: tuple[int, ...], turns: int) -> Instance:
    """The output is coloured where a logical operation on the two halves holds."""
    left, right, line, ink = colours

    def draw(rng: Generator) -> Grid:
        shape = int(rng.integers(2, 7)), int(rng.integers(2, 5))
        return joined([scattered(rng, shape, (each,), 0.5) for each in (left, right)], line)

    def apply(cells: Grid) -> Grid:
        first, second = (panel != 0 for panel in parted(cells, line))
        return OPERATIONS[operation](first, second) * np.uint8(ink)

    return viewed(turns, draw, apply)


@rule(colours=inks(4), order=several(3, range(3)), turns=one_of(0, 1))
def overlay(colours: tuple[int, ...], order: tuple[int, ...], turns: int) -> Instance:
    """Three panels, each with its colour, are laid over one another in a certain order."""
    line, *papers = colours

    def draw(rng: Generator) -> Grid:
        shape = int(rng.integers(2, 6)), int(rng.integers(2, 4))
        return joined([scattered(rng, shape, (paper,), 0.55) for paper in papers], line)

    def apply(cells: Grid) -> Grid:
        panels = parted(cells, line)
        out = np.zeros_like(panels[0])
        for k in order:
            out = np.where(panels[k], panels[k], out)
        return out

    return viewed(turns, draw, apply)


def random_panels(rng: Generator, line: int) -> list[Grid]:
    """Three or four random panels of one size and one colour."""
    shape, ink = (int(rng.integers(2, 6)), int(rng.integers(1, 4))), palette(rng, 1, (line,))
    return [scattered(rng, shape, ink, rng.uniform(0.3, 0.8)) for _ in range(int(rng.integers(3, 5)))]


@rule(line=INK, most=COIN, turns=one_of(0, 1))
def fullest_panel(line: int, most: bool, turns: int) -> Instance:
    """The output is the panel with the most (fewest) coloured cells."""

    def draw(rng: Generator) -> Grid:
        return joined(random_panels(rng, line), line)

    def apply(cells: Grid) -> Grid:
        panels = parted(cells, line)
        return panels[extreme([int(np.count_nonzero(panel)) for panel in panels], most)]

    return viewed(turns, draw, apply)


@rule(line=INK, usual=COIN, turns=one_of(0, 1))
def odd_panel(line: int, usual: bool, turns: int) -> Instance:
    """The output is the one panel that differs from the others, or one of the others."""

    def draw(rng: Generator) -> Grid:
        odd, same, *rest = random_panels(rng, line)
        panels = [odd, *[same] * (1 + len(rest))]
        return joined([panels[k] for k in rng.permutation(len(panels))], line)

    def apply(cells: Grid) -> Grid:
        panels = parted(cells, line)
        odd = odd_index([grid_key(panel) for panel in panels])
        return panels[odd - 1 if usual else odd]

    return viewed(turns, draw, apply)


@rule(line=INK, least=one_of(1, 2, 3), ink=MAYBE_INK)
def summarise_panels(line: int, least: int, ink: int) -> Instance:
    """Each panel of a lattice becomes one cell, coloured if the panel has at least `least` coloured cells."""

    def draw(rng: Generator) -> Grid:
        rows, columns = sides(rng, (2, 3))
        height, width = sides(rng, (2, 2 if max(rows, columns) == 3 else 3))

        def panel() -> Grid:
            count = int(rng.integers(min(4, height * width) + 1))
            filled = rng.permutation(height * width).reshape(height, width) < count
            return filled * np.uint8(palette(rng, 1, (line,))[0])

        bands = [joined([panel() for _ in range(columns)], line) for _ in range(rows)]
        return joined([band.T for band in bands], line).T

    def apply(cells: Grid) -> Grid:
        lattice = [parted(band.T, line) for band in parted(cells.T, line)]
        return np.array(
            [[(ink or panel.max()) if np.count_nonzero(panel) >= least else 0 for panel in band] for band in lattice]
        )

    return Instance(draw, apply)


@rule(ink=INK, symmetry=SYMMETRY, with_frame=COIN)
def look_inside(ink: int, symmetry: int, with_frame: bool) -> Instance:
    """The part of the grid inside a frame of one colour is cut out, and turned or mirrored."""

    def draw(rng: Generator) -> Grid:
        cells = specks(4, 0.5, (6, 9), (ink,))(rng)
        height, width = sides(rng, (4, 6))
        row, column = (
            int(rng.integers(whole - part + 1)) for whole, part in zip(cells.shape, (height, width), strict=True)
        )
        cells[row : row + height, column : column + width][~core((height, width))] = ink
        return cells

    def apply(cells: Grid) -> Grid:
        framed = cells[box(cells == ink)]
        return View(symmetry, COLOURS, ()).see(framed if with_frame else framed[1:-1, 1:-1])

    return Instance(draw, apply)
