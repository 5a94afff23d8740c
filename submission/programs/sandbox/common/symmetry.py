"""Symmetries of a grid: finding them, and the cells that they map to each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells

__all__ = [
    "MirrorSymmetry", "RotationalSymmetry", "Symmetry", "TranslationalSymmetry", "detect_mirror_symmetry",
    "detect_rotational_symmetry", "detect_translational_symmetry", "orbit",
]  # fmt: skip

IGNORED = (Color.BLACK,)


def _cell(value: Any) -> Any:
    """A coordinate as a whole number."""
    if isinstance(value, np.ndarray):
        return np.rint(value).astype(int)
    return int(round(value)) if isinstance(value, float) else value


class TranslationalSymmetry:
    """Moves by (translate_x, translate_y)."""

    def __init__(self, translate_x: float, translate_y: float) -> None:
        self.translate_x, self.translate_y = translate_x, translate_y

    def __repr__(self) -> str:
        return f"TranslationalSymmetry(translate_x={self.translate_x}, translate_y={self.translate_y})"

    def apply(self, x: Any, y: Any, iters: int = 1) -> tuple[Any, Any]:
        """The cell moved `iters` times; back where negative."""
        return _cell(x + iters * self.translate_x), _cell(y + iters * self.translate_y)

    def repeats(self, shape: tuple[int, ...]) -> range:
        """As often as crosses the grid, in both directions."""
        vector = (self.translate_x, self.translate_y)
        most = max((math.ceil(side / abs(move)) for side, move in zip(shape, vector, strict=True) if move), default=0)
        return range(-most, most + 1)


class MirrorSymmetry:
    """Mirrors x at mirror_x and y at mirror_y; None: not that one. A mirror may lie between two cells."""

    def __init__(self, mirror_x: float | None, mirror_y: float | None) -> None:
        self.mirror_x, self.mirror_y = mirror_x, mirror_y

    def __repr__(self) -> str:
        return f"MirrorSymmetry(mirror_x={self.mirror_x}, mirror_y={self.mirror_y})"

    def apply(self, x: Any, y: Any, iters: int = 1) -> tuple[Any, Any]:
        """The mirror image of the cell; the cell itself for an even number."""
        if iters % 2 == 0:
            return x, y
        x = x if self.mirror_x is None else _cell(2 * self.mirror_x - x)
        y = y if self.mirror_y is None else _cell(2 * self.mirror_y - y)
        return x, y

    def repeats(self, shape: tuple[int, ...]) -> range:
        """Once, or not."""
        return range(2)


class RotationalSymmetry:
    """Turns by a quarter around (center_x, center_y), which may lie in the middle of four cells."""

    def __init__(self, center_x: float, center_y: float) -> None:
        self.center_x, self.center_y = center_x, center_y

    def __repr__(self) -> str:
        return f"RotationalSymmetry(center_x={self.center_x}, center_y={self.center_y})"

    def apply(self, x: Any, y: Any, iters: int = 1) -> tuple[Any, Any]:
        """The cell turned `iters` times, (dx, dy) to (dy, -dx); the other way where negative."""
        dx, dy = x - self.center_x, y - self.center_y
        for _ in range(iters % 4):
            dx, dy = dy, -dx
        return _cell(self.center_x + dx), _cell(self.center_y + dy)

    def repeats(self, shape: tuple[int, ...]) -> range:
        """Four quarters."""
        return range(4)


Symmetry = TranslationalSymmetry | MirrorSymmetry | RotationalSymmetry
"""A map of cells to cells that keeps a grid as it is. `apply` maps the cell (x, y), or arrays of cells, `iters` times;
`repeats` tells how often it may have to be applied to get to every cell of a grid of this shape."""


def orbit(grid: Cells, x: int, y: int, symmetries: Sequence[Symmetry] | Symmetry) -> list[tuple[int, int]]:
    """The cells of a grid to which the symmetries map (x, y), applied any number of times, each in its turn."""
    maps = [symmetries] if isinstance(symmetries, Symmetry) else list(symmetries)
    n, m = grid.shape
    found = set()
    for counts in itertools.product(*(each.repeats(grid.shape) for each in maps)):
        i, j = x, y
        for each, count in zip(maps, counts, strict=True):
            i, j = each.apply(i, j, count)
            if not (0 <= i < n and 0 <= j < m):
                break
        else:
            found.add((i, j))
    return list(found)


def detect_translational_symmetry(
    grid: Cells, ignore_colors: Sequence[int] = IGNORED, background: int | None = None
) -> list[Symmetry]:
    """The best translation along x and the best along y, where there are such; else the best along both, if any.

    grid[x, y] == grid[x + translate_x, y + translate_y], unless one of them has an ignored colour or grid[x, y] is
    background. The best is the one under which the most cells have an equal in the grid; of equals the smallest.
    """
    n, m = grid.shape
    score = _Score(grid, ignore_colors, background)

    def best(vectors: Iterable[tuple[int, int]]) -> list[Symmetry]:
        scored = [(score.of(TranslationalSymmetry(*each), outside=0.01), -sum(each), each) for each in vectors]
        good = [each for each in scored if each[0] > 0]
        return [TranslationalSymmetry(*max(good, key=lambda each: each[:2])[2])] if good else []

    along_x = best((sign * k, 0) for sign in (1, -1) for k in range(1, n))
    along_y = best((0, sign * k) for sign in (1, -1) for k in range(1, m))
    return along_x + along_y or best(itertools.product(range(1, n), range(1, m)))


def detect_mirror_symmetry(
    grid: Cells, ignore_colors: Sequence[int] = IGNORED, background: int | None = None
) -> list[Symmetry]:
    """The mirror symmetries under which the most cells have an equal in the grid: x, y, both at once.

    grid[x, y] == grid[2 * mirror_x - x, 2 * mirror_y - y], unless one of them has an ignored colour.
    """
    score = _Score(grid, ignore_colors, background)
    n, m = grid.shape
    mirrors = [MirrorSymmetry(x / 2, None) for x in range(2 * n)]
    mirrors += [MirrorSymmetry(None, y / 2) for y in range(2 * m)]
    mirrors += [MirrorSymmetry(x + z, y + z) for x in range(n) for y in range(m) for z in (0, 0.5)]
    scores = [score.of(each, outside=0.01) for each in mirrors]
    best = max(scores, default=0.0)
    return [each for each, value in zip(mirrors, scores, strict=True) if value == best > 0]


def detect_rotational_symmetry(
    grid: Cells, ignore_colors: Sequence[int] = IGNORED, background: int | None = None
) -> RotationalSymmetry | None:
    """The quarter turn under which the most cells have an equal in the grid; None if there is none.

    With its center c: grid[x, y] == grid[cx + (y - cy), cy - (x - cx)], unless one of them has an ignored colour or
    grid[x, y] is background.
    """
    n, m = grid.shape
    score = _Score(grid, ignore_colors, background)
    turns = [RotationalSymmetry(x + z, y + z) for x in range(n) for y in range(m) for z in (0, 0.5)]
    values = [score.of(each, outside=5.0) for each in turns]
    best = max(values, default=0.0)
    return turns[values.index(best)] if best > 0 else None


class _Score:
    """How well symmetries keep a grid."""

    def __init__(self, grid: Cells, ignored: Sequence[int], background: int | None) -> None:
        self.grid = grid
        self.ignored = np.isin(grid, list(np.atleast_1d(ignored)))
        shown = ~self.ignored if background is None else ~self.ignored & (grid != background)
        self.xs, self.ys = np.nonzero(shown)
        self.colours = grid[self.xs, self.ys]

    def of(self, symmetry: Symmetry, outside: float) -> float:
        """The cells with an equal, less `outside` for each that leaves the grid; -1 if a cell meets another colour."""
        n, m = self.grid.shape
        xs, ys = symmetry.apply(self.xs, self.ys)
        inside = (xs >= 0) & (xs < n) & (ys >= 0) & (ys < m)
        xs, ys = xs[inside], ys[inside]
        equal = self.grid[xs, ys] == self.colours[inside]
        if (~equal & ~self.ignored[xs, ys]).any():
            return -1.0
        return float(equal.sum()) - outside * float((~inside).sum())
