"""Rules about the whole grid: it is turned, repeated, enlarged, shifted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Grid
from submission.arc.views import COLOURS, SYMMETRIES, View
from submission.training.generators.canvas import Cell, enlarged, moved, specks
from submission.training.generators.instances import COIN, INK, TURN, Instance, one_of, rule, viewed


@rule(symmetry=one_of(*range(1, SYMMETRIES)))
def turn_over(symmetry: int) -> Instance:
    """The whole grid is turned or mirrored."""
    return Instance(specks(3, 0.6, (2, 6)), View(symmetry, COLOURS, ()).see)


FACTORS = one_of((1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 2), (3, 3))


@rule(copies=FACTORS, down=one_of(1, -1), right=one_of(1, -1))
def tile(copies: Cell, down: int, right: int) -> Instance:
    """The grid is repeated downwards and rightwards; with -1 every other copy in that direction is mirrored."""

    def apply(cells: Grid) -> Grid:
        return np.block([[cells[:: down**r, :: right**c] for c in range(copies[1])] for r in range(copies[0])])

    return Instance(specks(3, 0.7, (2, 4)), apply)


@rule(factors=FACTORS)
def enlarge(factors: Cell) -> Instance:
    """Each cell becomes a block."""
    return Instance(specks(3, 0.7, (2, 4)), lambda cells: enlarged(cells, *factors))


@rule(factors=FACTORS)
def shrink(factors: Cell) -> Instance:
    """Each block becomes a cell."""
    small = specks(3, 0.7, (2, 4))
    return Instance(lambda rng: enlarged(small(rng), *factors), lambda cells: cells[:: factors[0], :: factors[1]])


ORDERS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "ends": lambda lines: np.concatenate([lines[-1:], lines[1:-1], lines[:1]]),
    "neighbours": lambda lines: np.minimum(lines ^ 1, len(lines) - 1),
    "halves": lambda lines: np.roll(lines, len(lines) // 2),
    "every other": lambda lines: np.concatenate([lines[::2], lines[1::2]]),
}


@rule(order=one_of(*ORDERS), turns=TURN)
def exchange(order: str, turns: int) -> Instance:
    """Grid rows change places."""
    return viewed(turns, specks(3, 0.6, (4, 8)), lambda cells: cells[ORDERS[order](np.arange(len(cells)))])


@rule(step=one_of(-2, -1, 1, 2), wraps=COIN, turns=one_of(0, 1))
def skew(step: int, wraps: bool, turns: int) -> Instance:
    """Each grid row is shifted by one step more than the one above it."""

    def apply(cells: Grid) -> Grid:
        return moved(cells, 0, step * np.arange(len(cells))[:, None], wraps)

    return viewed(turns, specks(2, 0.6, (3, 7)), apply)


@rule(move=one_of(*((r, c) for r in range(-2, 3) for c in range(-2, 3) if r or c)), wraps=COIN)
def shift(move: Cell, wraps: bool) -> Instance:
    """The whole grid is shifted."""
    return Instance(specks(3, 0.4, (4, 8)), lambda cells: moved(cells, *move, wraps))


@rule(coloured=COIN, negative=COIN)
def fractal(coloured: bool, negative: bool) -> Instance:
    """Each coloured (or black) cell becomes the whole grid, or its negative; the others become black blocks."""

    def apply(cells: Grid) -> Grid:
        copy = (cells == 0) * cells.max() if negative else cells
        return np.kron((cells != 0) == coloured, copy)

    return Instance(specks(1, 0.5, (2, 3)), apply)


@rule(ink=INK, width=one_of(1, 2), grows=COIN)
def frame(ink: int, width: int, grows: bool) -> Instance:
    """A frame is drawn around the grid, or over its edge."""

    def apply(cells: Grid) -> Grid:
        inner = cells if grows else cells[width:-width, width:-width]
        return np.pad(inner, width, constant_values=ink)

    return Instance(specks(3, 0.6, (2, 5) if grows else (5, 8)), apply)
