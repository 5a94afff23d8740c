"""Rules about drawing: lines, frames and figures that start from cells of the input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from submission.arc.tasks import Grid
from submission.training.generators.canvas import (
    Cell,
    Mask,
    Unfit,
    blank,
    blob,
    block,
    box,
    components,
    core,
    cornered,
    ends,
    neighbours,
    objects,
    palette,
    placed,
    scattered,
    sides,
    specks,
    walk,
)
from submission.training.generators.instances import (
    AXES,
    COIN,
    INK,
    MAYBE_INK,
    ROSES,
    SYMMETRY,
    TURN,
    Instance,
    inks,
    one_of,
    rule,
    several,
    viewed,
)


@rule(colours=inks(3), steps=one_of(*ROSES))
def rays(colours: tuple[int, ...], steps: tuple[Cell, ...]) -> Instance:
    """From cells of one colour rays go in certain directions, up to the next coloured cell or the edge."""
    source, ink, stone = colours

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for start in np.argwhere(cells == source).tolist():
            for step in steps:
                for place in walk(cells.shape, start, step):
                    if cells[place]:
                        break
                    out[place] = ink
        return out

    return Instance(specks((source, stone), 0.1, (5, 9)), apply)


@rule(markers=inks(2), ink=MAYBE_INK, reach=one_of(1, 2), steps=several(2, ROSES))
def stamp(markers: tuple[int, ...], ink: int, reach: int, steps: tuple[tuple[Cell, ...], ...]) -> Instance:
    """Around each marker a small figure is drawn, which depends on the marker's colour."""

    def draw(rng: Generator) -> Grid:
        spot = np.pad(np.ones((1, 1), np.uint8), 1)
        pieces = [spot * np.uint8(markers[int(rng.integers(2))]) for _ in range(int(rng.integers(2, 5)))]
        return placed(rng, blank(rng, (6, 9)), pieces)

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for marker, rose in zip(markers, steps, strict=True):
            for start in np.argwhere(cells == marker).tolist():
                for place in (each for step in rose for each in islice(walk(cells.shape, start, step), reach)):
                    out[place] = out[place] or ink or marker
        return out

    return Instance(draw, apply)


@rule(ink=MAYBE_INK, symmetry=SYMMETRY)
def spiral(ink: int, symmetry: int) -> Instance:
    """From the corner a line spirals inwards, with one free cell between its turns."""

    def apply(cells: Grid) -> Grid:
        if not cells[0, 0]:
            raise Unfit("no line starts in the corner")
        out, place = cells.copy(), (0, 0)
        for step in cycle(((0, 1), (1, 0), (0, -1), (-1, 0))):
            run = 0
            while (ahead := list(islice(walk(cells.shape, place, step), 2))) and not any(out[each] for each in ahead):
                place, run = ahead[0], run + 1
                out[place] = ink or cells[0, 0]
            if run < 2:
                break
        return out

    return viewed(symmetry, cornered((3, 10)), apply)


@rule(colours=inks(3), lengths=several(3, (1, 2, 3, 4, 5)), turns=TURN)
def grow(colours: tuple[int, ...], lengths: tuple[int, ...], turns: int) -> Instance:
    """Each cell grows into a bar whose length depends on its colour."""

    def draw(rng: Generator) -> Grid:
        height, width = sides(rng, (5, 9))
        cells = np.zeros((height, width), np.uint8)
        cells[rng.integers(height // 2, size=width), np.arange(width)] = scattered(rng, (width,), colours, 0.6)
        return cells

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for ink, length in zip(colours, lengths, strict=True):
            for row, column in np.argwhere(cells == ink).tolist():
                out[row : row + length, column] = ink
        return out

    return viewed(turns, draw, apply)


@rule(colours=inks(3), crossing=one_of(0, 1, 2))
def cross_lines(colours: tuple[int, ...], crossing: int) -> Instance:
    """Cells of one colour fill their grid row, cells of another their column; crossings get a certain colour."""
    across, down, _ = colours

    def apply(cells: Grid) -> Grid:
        rows = (cells == across).any(1, keepdims=True)
        columns = (cells == down).any(0, keepdims=True)
        return np.select([rows & columns, rows, columns], [colours[crossing], across, down]).astype(np.uint8)

    return Instance(specks((across, down), 0.06, (5, 9)), apply)


@rule(colours=inks(3), period=one_of(1, 2, 3), square=COIN)
def rings(colours: tuple[int, ...], period: int, square: bool) -> Instance:
    """Rings around the one coloured cell fill the grid, square or diamond, in colours that repeat."""
    series = np.array((*colours[:period], *[0] * (period == 1)), np.uint8)

    def draw(rng: Generator) -> Grid:
        cells = blank(rng, (5, 9))
        cells.flat[rng.integers(cells.size)] = colours[0]
        return cells

    def apply(cells: Grid) -> Grid:
        rows, columns = np.abs(np.indices(cells.shape) - np.argwhere(cells)[0][:, None, None])
        distance = np.maximum(rows, columns) if square else rows + columns
        filled: Grid = series[distance % len(series)]
        return filled

    return Instance(draw, apply)


WEAVES: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Mask]] = {
    "checkers": lambda rows, columns: (rows + columns) % 2 == 1,
    "rows": lambda rows, columns: rows % 2 == 1,
    "columns": lambda rows, columns: columns % 2 == 1,
    "rising": lambda rows, columns: (rows + columns) % 3 == 2,
    "falling": lambda rows, columns: (rows - columns) % 3 == 1,
    "dots": lambda rows, columns: (rows % 2 == 1) & (columns % 2 == 1),
}


@rule(weave=one_of(*WEAVES), colours=inks(3), ink=MAYBE_INK)
def weave_blocks(weave: str, colours: tuple[int, ...], ink: int) -> Instance:
    """Blocks of one colour get a pattern that starts at their upper left corner; other blocks do not."""
    base, other, *_ = (each for each in colours if each != ink)

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells == base):
            area = out[box(part)]
            area[WEAVES[weave](*np.indices(area.shape))] = ink
        return out

    return Instance(objects(block(3, 5), (base, base, other), (1, 3), (6, 9)), apply)


@rule(colours=inks(2), axes=AXES)
def connect(colours: tuple[int, ...], axes: tuple[int, ...]) -> Instance:
    """Dots in one grid row (or column) are connected by lines."""
    dot, ink = colours

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for axis in axes:
            before = np.maximum.accumulate(cells, axis)
            after = np.flip(np.maximum.accumulate(np.flip(cells, axis), axis), axis)
            out[(before > 0) & (after > 0) & (cells == 0)] = ink
        return out

    return Instance(specks((dot,), 0.12, (5, 9)), apply)


@rule(ink=MAYBE_INK, filled=COIN)
def span(ink: int, filled: bool) -> Instance:
    """Two cells of one colour are opposite corners of a rectangle, which is outlined or filled."""

    def corners(rng: Generator) -> Mask:
        mask = np.zeros(sides(rng, (3, 5)), bool)
        mask[[0, -1], [0, -1] if rng.random() < 0.5 else [-1, 0]] = True
        return mask

    def draw(rng: Generator) -> Grid:
        pieces = [corners(rng) * np.uint8(each) for each in palette(rng, int(rng.integers(1, 4)), (ink,))]
        return placed(rng, blank(rng, (7, 9)), pieces)

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for corner in set(cells[cells > 0].tolist()):
            area = out[box(cells == corner)]
            drawn = (area == 0) & (filled | ~core(area.shape))
            area[drawn] = ink or corner
        return out

    return Instance(draw, apply)


@rule(ink=INK, diagonal=COIN)
def outline(ink: int, diagonal: bool) -> Instance:
    """Objects get an outline."""

    def apply(cells: Grid) -> Grid:
        return np.where((cells == 0) & (neighbours(cells != 0, diagonal) > 0), ink, cells)

    return Instance(objects(blob(1, 6), 2, (1, 3), (5, 9), (ink,)), apply)


@rule(ink=INK, around=COIN)
def boxes(ink: int, around: bool) -> Instance:
    """The free cells of each object's bounding box are filled; or a frame is drawn around it."""

    def apply(cells: Grid) -> Grid:
        out = np.pad(cells, 1)
        for part in components(cells):
            area = out[box(neighbours(np.pad(part, 1), diagonal=True) > 0)]
            area[(area == 0) & (core(area.shape) != around)] = ink
        return out[1:-1, 1:-1]

    return Instance(objects(blob(3, 7), 2, (1, 3), (6, 9), (ink,)), apply)


FACES: dict[str, Callable[[Cell], Mask]] = {
    "core": core,
    "rim": lambda shape: ~core(shape),
    "corners": lambda shape: ends(shape[0])[:, None] & ends(shape[1]),
    "ends": lambda shape: ends(shape[0])[:, None] | np.zeros(shape, bool),
    "sides": lambda shape: ends(shape[1]) | np.zeros(shape, bool),
}


@rule(face=one_of(*FACES), ink=MAYBE_INK)
def carve(face: str, ink: int) -> Instance:
    """A certain part of every block changes its colour, or is taken out."""

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells):
            area = out[box(part)]
            area[FACES[face](area.shape)] = ink
        return out

    return Instance(objects(block(3, 5), 2, (1, 3), (6, 9), (ink,)), apply)
