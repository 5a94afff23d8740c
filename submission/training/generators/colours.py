"""Rules about colours: replaced, looked up, counted or repeated."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid
from submission.training.generators.canvas import (
    blob,
    commonest,
    joined,
    neighbours,
    objects,
    palette,
    scattered,
    sides,
    specks,
)
from submission.training.generators.instances import COIN, INK, SYMMETRY, TURN, Instance, inks, one_of, rule, viewed


@rule(colours=inks(6), cycles=COIN)
def recolour(colours: tuple[int, ...], cycles: bool) -> Instance:
    """Three colours are replaced by three others, or exchanged in a cycle."""
    old, new = colours[:3], colours[1:3] + colours[:1] if cycles else colours[3:]
    table = np.arange(10, dtype=np.uint8)
    table[list(old)] = new
    return Instance(specks(old, 0.6, (3, 8)), lambda cells: table[cells])


@rule(line=INK, old=one_of(0, 1), crops=COIN, symmetry=SYMMETRY)
def legend(line: int, old: int, crops: bool, symmetry: int) -> Instance:
    """Pairs of colours stand beside the picture, behind a line: the `old` one of a pair is replaced by the other."""

    def draw(rng: Generator) -> Grid:
        key = np.array(palette(rng, 2 * int(rng.integers(2, 4)), (line,)), np.uint8).reshape(-1, 2)
        height, width = sides(rng, (4, 6))
        margin = np.zeros((height, 2), np.uint8)
        margin[: len(key)] = key
        return joined([margin, scattered(rng, (height, width), key[:, old].tolist(), 0.6)], line)

    def apply(cells: Grid) -> Grid:
        table = np.zeros(10, np.uint8)
        table[cells[:, old]] = cells[:, 1 - old]
        picture = table[cells[:, 3:]]
        return picture if crops else np.hstack([cells[:, :3], picture])

    return viewed(symmetry, draw, apply)


@rule(most=COIN, side=one_of(0, 1, 2, 3))
def vote(most: bool, side: int) -> Instance:
    """The most (least) common colour fills the grid, or a square of another size."""

    def apply(cells: Grid) -> Grid:
        return np.full((side, side) if side else cells.shape, commonest(cells, most), np.uint8)

    return Instance(specks(3, 1.0, (3, 6)), apply)


@rule(colours=inks(3), period=one_of(2, 3), turns=TURN)
def stripes(colours: tuple[int, ...], period: int, turns: int) -> Instance:
    """Coloured cells take colours that repeat, column by column."""
    series = np.array(colours[:period], np.uint8)

    def apply(cells: Grid) -> Grid:
        return np.where(cells, series[np.arange(cells.shape[1]) % period], 0)

    return viewed(turns, objects(blob(3, 8), 1, (2, 3), without=colours), apply)


@rule(colours=inks(2), count=one_of(0, 1, 2, 3), diagonal=COIN)
def crowded(colours: tuple[int, ...], count: int, diagonal: bool) -> Instance:
    """A coloured cell with exactly `count` coloured neighbours changes its colour."""
    old, new = colours

    def apply(cells: Grid) -> Grid:
        return np.where((cells == old) & (neighbours(cells != 0, diagonal) == count), new, cells)

    return Instance(specks((old,), 0.25 if diagonal else 0.4, (4, 8)), apply)
