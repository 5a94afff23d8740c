"""Drawing small grids at random, and reading objects, colours and panels off them: what `generators` is made of."""

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
"""A row and a column, or so many of them."""
Limits = tuple[int, int]
"""The least and the most."""
Colours = int | Sequence[int]
"""Certain colours; or how many, to be drawn anew for each input."""
Draw = Callable[[Generator], Grid]
Form = Callable[[Generator], Mask]
"""Draws the form of one object, cut to its bounding box."""

STRAIGHT = ((-1, 0), (0, -1), (0, 1), (1, 0))
DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))


class Unfit(ValueError):
    """No pair comes of this: the drawing did not work out, or the rule does not decide the input."""


# -- drawing inputs ---------------------------------------------------------------------------------------------


def specks(colours: Colours, share: float, within: Limits, without: Sequence[int] = ()) -> Draw:
    """Grids with a share of all cells coloured at random; the sides are `within` two limits."""

    def draw(rng: Generator) -> Grid:
        return scattered(rng, sides(rng, within), palette(rng, colours, without), share)

    return draw


def objects(form: Form, colours: Colours, number: Limits, within: Limits = (7, 9), without: Sequence[int] = ()) -> Draw:
    """Grids with objects that do not touch, not even at a corner; their number is within two limits."""

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
    """Put pieces on a canvas at random, so that their bounding boxes do not touch; Unfit if there is no room."""
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
            raise Unfit("a piece has no room")
        taken[row + 1 : row + 1 + rows, column + 1 : column + 1 + columns] = True
        canvas[row : row + rows, column : column + columns] = piece
    return canvas


def patched(rng: Generator, cells: Grid, patch: int) -> Grid:
    """The same grid with a small rectangle painted over."""
    height, width = sides(rng, (2, 3))
    row, column = rng.integers(cells.shape[0] - height + 1), rng.integers(cells.shape[1] - width + 1)
    cells[row : row + height, column : column + width] = patch
    return cells


def scattered(rng: Generator, shape: tuple[int, ...], colours: Sequence[int], share: float) -> Grid:
    """A grid with a share of its cells in random ones of the colours."""
    ink = np.array(colours, np.uint8)[rng.integers(len(colours), size=shape)]
    return ink * (rng.random(shape) < share)


def palette(rng: Generator, colours: Colours, without: Sequence[int] = ()) -> Sequence[int]:
    """The given colours; or so many different ones, none of them black."""
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
    """Solid rectangles."""
    return lambda rng: np.ones(sides(rng, (low, high)), bool)


def blob(low: int, high: int) -> Form:
    """Connected forms of so many cells."""

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
    """The connected parts of all that is not black (or False), in reading order."""
    height, width = cells.shape
    across = width + 1  # one free column keeps the end of a row apart from the start of the next
    field = np.zeros((height, across), bool)
    field[:, :width] = cells != 0
    steps = [down * across + right for down, right in (STRAIGHT + DIAGONAL if diagonal else STRAIGHT)]
    places = np.flatnonzero(field).tolist()
    left, parts = set(places), []
    for first in places:
        if first in left:
            left.remove(first)
            part = [first]
            for place in part:  # which grows meanwhile
                near = left.intersection([place + step for step in steps])
                part += near
                left -= near
            mask = np.zeros(field.size, bool)
            mask[part] = True
            parts.append(mask.reshape(field.shape)[:, :width])
    return parts


def repainted(cells: Grid, ink: Callable[[Mask], int]) -> Grid:
    """Each object in the colour that is found for it."""
    out = cells.copy()
    for part in components(cells):
        out[part] = ink(part)
    return out


def box(mask: Mask) -> tuple[slice, slice]:
    """The bounding box; Unfit if there is nothing in it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        raise Unfit("there is nothing to find")
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def core(shape: Cell) -> Mask:
    """A rectangle without its outermost cells."""
    return ~ends(shape[0])[:, None] & ~ends(shape[1])


def ends(length: int) -> Mask:
    """The first and the last of so many."""
    mask = np.zeros(length, bool)
    mask[[0, -1]] = True
    return mask


def at_edge(part: Mask) -> bool:
    """Whether a part touches the edge of the grid."""
    return bool(part[[0, -1]].any() or part[:, [0, -1]].any())


def holes_in(part: Mask) -> int:
    """How many separate places a part encloses."""
    return len(components(np.pad(~part, 1, constant_values=True), diagonal=False)) - 1


def neighbours(mask: Mask, diagonal: bool) -> NDArray[np.int64]:
    """How many neighbours of each cell are in the mask."""
    height, width = mask.shape
    around = np.pad(mask.astype(np.int64), 1)
    steps = STRAIGHT + DIAGONAL if diagonal else STRAIGHT
    counts: NDArray[np.int64] = np.sum(
        [around[1 + r : 1 + r + height, 1 + c : 1 + c + width] for r, c in steps], axis=0
    )
    return counts


def walk(shape: Cell, start: Sequence[int], step: Cell) -> Iterator[Cell]:
    """The cells from the one after `start` to the edge."""
    row, column = start[0] + step[0], start[1] + step[1]
    while 0 <= row < shape[0] and 0 <= column < shape[1]:
        yield row, column
        row, column = row + step[0], column + step[1]


def moved(cells: Grid, down: int, right: int | Places, wraps: bool) -> Grid:
    """The picture moved, perhaps each row by its own `right`; what leaves it is lost, or comes in again opposite."""
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
    """The restored grid, or the part of it that was hidden; Unfit if something still is."""
    if (restored == patch).any():
        raise Unfit("nothing shows what the patch hides")
    return restored[box(cells == patch)] if crops else restored


def counts_of(cells: Grid) -> NDArray[np.int64]:
    """Cells of each colour; of black always 0."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    return counts


def commonest(cells: Grid, most: bool) -> int:
    """The most (least) common colour but black; Unfit if two share that place."""
    counts = counts_of(cells)
    colours = np.flatnonzero(counts)
    return int(colours[extreme(counts[colours].tolist(), most)])


def extreme(values: Sequence[int], most: bool) -> int:
    """Where the largest (smallest) of some values is; Unfit if there are two of it, or only one value."""
    best = (max if most else min)(values, default=0)
    if len(values) < 2 or values.count(best) > 1:
        raise Unfit("no one stands out")
    return values.index(best)


def odd_index(keys: Sequence[bytes]) -> int:
    """Where the one key is that differs from all others, which are alike; Unfit if it is not so."""
    odd = [k for k, key in enumerate(keys) if keys.count(key) == 1]
    if len(odd) != 1 or len(set(keys)) != 2:
        raise Unfit("no one differs from all others")
    return odd[0]


def sole(values: set[int]) -> int:
    """The only value; Unfit if there is none or more than one."""
    if len(values) != 1:
        raise Unfit(f"{len(values)} values where one is needed")
    return next(iter(values))
