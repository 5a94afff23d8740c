"""What the rules share: drawing small random grids, and finding objects, colours and panels in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from submission.arc.tasks import Grid

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]
Cell = tuple[int, int]
"""A row and a column, or a height and a width."""
Limits = tuple[int, int]
"""The smallest and the largest value."""
Colours = int | Sequence[int]
"""The colours themselves, or their number, to be drawn for each input."""
Draw = Callable[[Generator], Grid]
Form = Callable[[Generator], Mask]
"""Draws the form of one object, of the size of its bounding box."""

STRAIGHT = ((-1, 0), (0, -1), (0, 1), (1, 0))
DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


class Unfit(ValueError):
    """No pair can be made: the input could not be drawn, or the rule does not determine its output."""


# -- drawing inputs ---------------------------------------------------------------------------------------------


def specks(colours: Colours, share: float, within: Limits, without: Sequence[int] = ()) -> Draw:
    """Grids with a share of their cells coloured at random; `within` limits their sides."""

    def draw(rng: Generator) -> Grid:
        return scattered(rng, sides(rng, within), palette(rng, colours, without), share)

    return draw


def objects(form: Form, colours: Colours, number: Limits, within: Limits = (7, 9), without: Sequence[int] = ()) -> Draw:
    """Grids with objects that do not touch, not even at a corner; `number` limits how many, `within` the sides."""

    def draw(rng: Generator) -> Grid:
        chosen = palette(rng, colours, without)
        picks = rng.integers(len(chosen), size=rng.integers(number[0], number[1] + 1)).tolist()
        return placed(rng, blank(rng, within), [form(rng) * np.uint8(chosen[k]) for k in picks])

    return draw


def cornered(within: Limits) -> Draw:
    """Black grids with one coloured cell, in the upper left corner."""

    def draw(rng: Generator) -> Grid:
        cells = blank(rng, within)
        cells[0, 0] = rng.integers(1, 10)
        return cells

    return draw


def placed(rng: Generator, canvas: Grid, pieces: Sequence[Grid]) -> Grid:
    """Put pieces on a canvas at random, so that their bounding boxes do not touch; Unfit if one does not fit."""
    height, width = canvas.shape
    taken = np.pad(canvas != 0, 1)
    for piece in pieces:
        rows, columns = piece.shape
        if rows > height or columns > width:
            raise Unfit("a piece is too large")
        for _ in range(20):
            row, column = int(rng.random() * (height - rows + 1)), int(rng.random() * (width - columns + 1))
            if not taken[row : row + rows + 2, column : column + columns + 2].any():
                break
        else:
            raise Unfit("a piece finds no free place")
        taken[row + 1 : row + 1 + rows, column + 1 : column + 1 + columns] = True
        canvas[row : row + rows, column : column + columns] = piece
    return canvas


def patched(rng: Generator, cells: Grid, patch: int) -> Grid:
    """The same grid with a small random rectangle painted in the colour `patch`."""
    height, width = sides(rng, (2, 3))
    row, column = rng.integers(cells.shape[0] - height + 1), rng.integers(cells.shape[1] - width + 1)
    cells[row : row + height, column : column + width] = patch
    return cells


def scattered(rng: Generator, shape: tuple[int, ...], colours: Sequence[int], share: float) -> Grid:
    """A grid with a share of its cells coloured at random."""
    ink = np.array(colours, np.uint8)[rng.integers(len(colours), size=shape)]
    return ink * (rng.random(shape) < share)


def palette(rng: Generator, colours: Colours, without: Sequence[int] = ()) -> Sequence[int]:
    """The given colours; or that number of different ones, none black and none of `without`."""
    if not isinstance(colours, int):
        return colours
    return [k for k in (1 + rng.permutation(9)).tolist() if k not in without][:colours]


def sides(rng: Generator, within: Limits) -> Cell:
    """A random height and width, both within the limits."""
    height, width = rng.integers(within[0], within[1] + 1, size=2).tolist()
    return height, width


def blank(rng: Generator, within: Limits) -> Grid:
    """A black grid with sides within the limits."""
    return np.zeros(sides(rng, within), np.uint8)


def block(low: int, high: int) -> Form:
    """Solid rectangles with sides of `low` to `high` cells."""
    return lambda rng: np.ones(sides(rng, (low, high)), bool)


def blob(low: int, high: int) -> Form:
    """Connected forms of `low` to `high` cells."""

    def form(rng: Generator) -> Mask:
        cells = [(0, 0)]
        size = int(rng.integers(low, high + 1))
        while len(cells) < size:
            row, column = cells[int(rng.random() * len(cells))]
            down, right = STRAIGHT[int(rng.random() * 4)]
            if (row + down, column + right) not in cells:
                cells.append((row + down, column + right))
        rows, columns = np.array(cells).T
        mask = np.zeros((np.ptp(rows) + 1, np.ptp(columns) + 1), bool)
        mask[rows - rows.min(), columns - columns.min()] = True
        return mask

    return form


# -- reading grids ----------------------------------------------------------------------------------------------


def components(cells: NDArray[Any], diagonal: bool = True) -> list[Mask]:
    """The connected parts of the cells that are not black (or not False), in reading order."""
    height, width = cells.shape
    across = width + 1  # a free column separates the end of a grid row from the start of the next
    field = np.zeros((height, across), bool)
    field[:, :width] = cells != 0
    steps = [down * across + right for down, right in (STRAIGHT + DIAGONAL if diagonal else STRAIGHT)]
    places = np.flatnonzero(field).tolist()
    left, parts = set(places), []
    for first in places:
        if first in left:
            left.remove(first)
            part = [first]
            for place in part:  # `part` grows during the loop
                near = left.intersection([place + step for step in steps])
                part += near
                left -= near
            mask = np.zeros(field.size, bool)
            mask[part] = True
            parts.append(mask.reshape(field.shape)[:, :width])
    return parts


def repainted(cells: Grid, ink: Callable[[Mask], int]) -> Grid:
    """Each object in the colour that `ink` returns for it."""
    out = cells.copy()
    for part in components(cells):
        out[part] = ink(part)
    return out


def box(mask: Mask) -> tuple[slice, slice]:
    """The bounding box of a mask; Unfit if it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        raise Unfit("no cell is marked")
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def core(shape: Cell) -> Mask:
    """A mask of a rectangle that marks all but its outermost cells."""
    return ~ends(shape[0])[:, None] & ~ends(shape[1])


def ends(length: int) -> Mask:
    """A mask of `length` positions that marks the first and the last."""
    mask = np.zeros(length, bool)
    mask[[0, -1]] = True
    return mask


def at_edge(part: Mask) -> bool:
    """Whether a part touches the edge of the grid."""
    return bool(part[[0, -1]].any() or part[:, [0, -1]].any())


def holes_in(part: Mask) -> int:
    """The number of holes in a part."""
    return len(components(np.pad(~part, 1, constant_values=True), diagonal=False)) - 1


def neighbours(mask: Mask, diagonal: bool) -> NDArray[np.int64]:
    """The number of neighbours of each cell that the mask marks."""
    height, width = mask.shape
    around = np.pad(mask.astype(np.int64), 1)
    steps = STRAIGHT + DIAGONAL if diagonal else STRAIGHT
    counts: NDArray[np.int64] = np.sum(
        [around[1 + r : 1 + r + height, 1 + c : 1 + c + width] for r, c in steps], axis=0
    )
    return counts


def walk(shape: Cell, start: Sequence[int], step: Cell) -> Iterator[Cell]:
    """The cells after `start` in the direction `step`, up to the edge."""
    row, column = start[0] + step[0], start[1] + step[1]
    while 0 <= row < shape[0] and 0 <= column < shape[1]:
        yield row, column
        row, column = row + step[0], column + step[1]


def moved(cells: Grid, down: int, right: int | Places, wraps: bool) -> Grid:
    """The grid moved, each grid row by its own `right` if that is an array; cells that leave it are lost, or wrap."""
    height, width = cells.shape
    rows, columns = np.arange(height)[:, None] - down, np.arange(width) - right
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside | wraps, cells[rows % height, columns % width], 0)


def enlarged(cells: Grid, down: int, right: int) -> Grid:
    """Each cell `down` times as high and `right` times as wide."""
    return cells.repeat(down, axis=0).repeat(right, axis=1)


def joined(panels: Sequence[Grid], line: int) -> Grid:
    """Panels side by side, a line between any two."""
    bar = np.full((len(panels[0]), 1), line, np.uint8)
    return np.hstack([each for panel in panels for each in (bar, panel)][1:])


def parted(cells: Grid, line: int) -> list[Grid]:
    """The panels between the vertical lines of one colour; Unfit if there is no line."""
    lines = np.flatnonzero((cells == line).all(0)).tolist()
    if not lines:
        raise Unfit("no line parts the grid")
    return [cells[:, before + 1 : after] for before, after in pairwise([-1, *lines, cells.shape[1]])]


def revealed(cells: Grid, restored: Grid, patch: int, crops: bool) -> Grid:
    """The restored grid, or the part of it that the patch hid; Unfit if a cell of the patch is left."""
    if (restored == patch).any():
        raise Unfit("a cell under the patch cannot be restored")
    return restored[box(cells == patch)] if crops else restored


def counts_of(cells: Grid) -> NDArray[np.int64]:
    """The number of cells of each of the 10 colours; 0 for black."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    return counts


def commonest(cells: Grid, most: bool) -> int:
    """The most (least) common colour but black; Unfit for a tie or a single colour."""
    counts = counts_of(cells)
    colours = np.flatnonzero(counts)
    return int(colours[extreme(counts[colours].tolist(), most)])


def extreme(values: Sequence[int], most: bool) -> int:
    """The index of the largest (smallest) value; Unfit for a tie or fewer than two values."""
    best = (max if most else min)(values, default=0)
    if len(values) < 2 or values.count(best) > 1:
        raise Unfit("no value is the only extreme one")
    return values.index(best)


def odd_index(keys: Sequence[bytes]) -> int:
    """The index of the one key that differs from all others, which are equal; Unfit if there is none."""
    odd = [k for k, key in enumerate(keys) if keys.count(key) == 1]
    if len(odd) != 1 or len(set(keys)) != 2:
        raise Unfit("no key differs from all others")
    return odd[0]


def sole(values: set[int]) -> int:
    """The only value; Unfit if there is none or more than one."""
    if len(values) != 1:
        raise Unfit(f"{len(values)} values, not one")
    return next(iter(values))
