"""Rule families of our own: endless pairs for training, whose hidden parameters only the demonstrations tell.

Each function below describes one kind of rule. Its arguments are what stays hidden (colours, directions, which
property counts ...), so one call makes one rule: how to draw an input, and the output that belongs to it. No task
was looked at to write them.

Rules are written for one direction; `viewed` gives them the other ones. Black (0) is the background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from submission.canvas import (
    DIAGONAL,
    STRAIGHT,
    Cell,
    Draw,
    Mask,
    Unfit,
    at_edge,
    blank,
    blob,
    block,
    box,
    commonest,
    components,
    core,
    cornered,
    counts_of,
    ends,
    enlarged,
    extreme,
    holes_in,
    joined,
    moved,
    neighbours,
    objects,
    odd_index,
    palette,
    parted,
    patched,
    placed,
    repainted,
    revealed,
    scattered,
    sides,
    sole,
    specks,
    walk,
)
from submission.tasks import LARGEST_SIDE, Grid, Pair, grid, grid_key
from submission.views import COLOURS, SYMMETRIES, View

Apply = Callable[[Grid], Grid]

MOST_CELLS = 200
"""Both grids of a pair together."""
TRIES = 200


class Instance(NamedTuple):
    """One rule with its hidden parameters chosen. Both may raise Unfit."""

    draw: Draw
    apply: Apply


Rule = Callable[[Generator], Instance]
RULES: dict[str, Rule] = {}
"""Each kind of rule by name: draws the hidden parameters."""


def family(name: str, number: int, rng: Generator) -> tuple[Pair, ...]:
    """So many pairs that share one rule, whose hidden parameters are drawn once; no input comes twice.

    Raises Unfit if a bounded number of drawings does not bring so many.
    """
    instance = RULES[name](rng)
    made: dict[bytes, Pair] = {}
    for _ in range(TRIES + 4 * number):
        if len(made) == number:
            return tuple(made.values())
        drawn = pair(instance, rng)
        made.setdefault(grid_key(drawn.input), drawn)
    raise Unfit(f"{name}: {len(made)} pairs were found where {number} were asked for")


def pair(instance: Instance, rng: Generator) -> Pair:
    """A pair of the rule that shows something: its output is not blank, nor the input again.

    Raises Unfit if a bounded number of drawings brings none.
    """
    for _ in range(TRIES):
        try:
            cells = instance.draw(rng)
            out = instance.apply(cells)
        except Unfit:
            continue
        fits = max(cells.shape + out.shape) <= LARGEST_SIDE and cells.size + out.size <= MOST_CELLS
        if fits and out.any() and not np.array_equal(cells, out):
            return Pair(cells, out)
    raise Unfit(f"no pair in {TRIES} drawings")


def viewed(symmetry: int, draw: Draw, apply: Apply) -> Instance:
    """The same rule on grids that are turned or mirrored."""
    view = View(symmetry, COLOURS, ())
    return Instance(lambda rng: view.unsee(draw(rng)), lambda cells: view.unsee(apply(view.see(cells))))


# -- hidden parameters ------------------------------------------------------------------------------------------

Hidden = Callable[[Generator], Any]
"""Draws one hidden parameter."""


def rule(**hidden: Hidden) -> Callable[[Callable[..., Instance]], Callable[..., Instance]]:
    """Enter a kind of rule into RULES; its grids become legal and read-only."""

    def enter(make: Callable[..., Instance]) -> Callable[..., Instance]:
        @wraps(make)
        def made(**chosen: Any) -> Instance:
            draw, apply = make(**chosen)
            return Instance(lambda rng: grid(draw(rng)), lambda cells: grid(apply(cells)))

        RULES[make.__name__] = lambda rng: made(**{name: choose(rng) for name, choose in hidden.items()})
        return made

    return enter


def one_of(*values: Any) -> Hidden:
    """One of the values."""
    return lambda rng: values[int(rng.integers(len(values)))]


def several(number: int, values: Sequence[Any]) -> Hidden:
    """So many different ones of the values, in random order."""
    return lambda rng: tuple(values[k] for k in rng.permutation(len(values))[:number])


ROSES = (STRAIGHT, DIAGONAL, STRAIGHT[1:3], STRAIGHT[::3], *((step,) for step in STRAIGHT + DIAGONAL))
"""Sets of directions."""

COIN = one_of(False, True)
INK = one_of(*range(1, 10))
MAYBE_INK = one_of(*range(1, 10), *[0] * 9)
"""A colour, or 0 for no colour of its own."""
TURN = one_of(*range(4))
SYMMETRY = one_of(*range(SYMMETRIES))
AXES = one_of((0,), (1,), (0, 1))


def inks(number: int) -> Hidden:
    """Different colours, none black."""
    return several(number, range(1, 10))


# -- the whole grid ---------------------------------------------------------------------------------------------


@rule(symmetry=one_of(*range(1, SYMMETRIES)))
def turn_over(symmetry: int) -> Instance:
    """The whole grid is turned or mirrored."""
    return Instance(specks(3, 0.6, (2, 6)), View(symmetry, COLOURS, ()).see)


FACTORS = one_of((1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3), (3, 2), (3, 3))


@rule(copies=FACTORS, down=one_of(1, -1), right=one_of(1, -1))
def tile(copies: Cell, down: int, right: int) -> Instance:
    """The grid is laid out several times; with -1 every other copy downwards (rightwards) is mirrored."""

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
    """Rows change places."""
    return viewed(turns, specks(3, 0.6, (4, 8)), lambda cells: cells[ORDERS[order](np.arange(len(cells)))])


@rule(step=one_of(-2, -1, 1, 2), wraps=COIN, turns=one_of(0, 1))
def skew(step: int, wraps: bool, turns: int) -> Instance:
    """Each row is shifted by one step more than the row above it."""

    def apply(cells: Grid) -> Grid:
        return moved(cells, 0, step * np.arange(len(cells))[:, None], wraps)

    return viewed(turns, specks(2, 0.6, (3, 7)), apply)


@rule(move=one_of(*((r, c) for r in range(-2, 3) for c in range(-2, 3) if r or c)), wraps=COIN)
def shift(move: Cell, wraps: bool) -> Instance:
    """The whole picture moves."""
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


# -- colours ----------------------------------------------------------------------------------------------------


@rule(colours=inks(6), cycles=COIN)
def recolour(colours: tuple[int, ...], cycles: bool) -> Instance:
    """Three colours become three others, or one another."""
    old, new = colours[:3], colours[1:3] + colours[:1] if cycles else colours[3:]
    table = np.arange(10, dtype=np.uint8)
    table[list(old)] = new
    return Instance(specks(old, 0.6, (3, 8)), lambda cells: table[cells])


@rule(line=INK, old=one_of(0, 1), crops=COIN, symmetry=SYMMETRY)
def legend(line: int, old: int, crops: bool, symmetry: int) -> Instance:
    """Beside the picture, behind a line, stand pairs of colours: what is of the `old` one takes the other one."""

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
    """What is coloured takes colours in turn, column by column."""
    series = np.array(colours[:period], np.uint8)

    def apply(cells: Grid) -> Grid:
        return np.where(cells, series[np.arange(cells.shape[1]) % period], 0)

    return viewed(turns, objects(blob(3, 8), 1, (2, 3), without=colours), apply)


@rule(colours=inks(2), count=one_of(0, 1, 2, 3), diagonal=COIN)
def crowded(colours: tuple[int, ...], count: int, diagonal: bool) -> Instance:
    """A coloured cell with exactly so many coloured neighbours changes its colour."""
    old, new = colours

    def apply(cells: Grid) -> Grid:
        return np.where((cells == old) & (neighbours(cells != 0, diagonal) == count), new, cells)

    return Instance(specks((old,), 0.25 if diagonal else 0.4, (4, 8)), apply)


# -- objects ----------------------------------------------------------------------------------------------------


@rule(colours=inks(5))
def colour_by_size(colours: tuple[int, ...]) -> Instance:
    """An object takes its colour from its number of cells, 1 to 4."""

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[min(int(part.sum()), 4)])

    return Instance(objects(blob(1, 4), colours[:1], (3, 6)), apply)


@rule(colours=inks(4))
def colour_by_holes(colours: tuple[int, ...]) -> Instance:
    """An object takes its colour from its number of holes, 0 to 2."""

    def pierced(rng: Generator) -> Mask:
        holes = int(rng.integers(3))
        if holes == 0:
            return blob(4, 7)(rng)
        mask = np.ones((3, 5 if holes == 2 else int(rng.integers(3, 5))), bool)
        mask[1, 1:-1:holes] = False
        return mask if rng.random() < 0.5 else mask.T

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[1 + min(holes_in(part), 2)])

    return Instance(objects(pierced, colours[:1], (2, 3), (7, 9)), apply)


@rule(colours=inks(3))
def colour_by_edge(colours: tuple[int, ...]) -> Instance:
    """Objects at the edge of the grid take one colour, the others another one."""

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[1 if at_edge(part) else 2])

    return Instance(objects(blob(2, 6), colours[:1], (3, 4), (7, 9)), apply)


@rule(base=INK, vanishes=COIN)
def infect(base: int, vanishes: bool) -> Instance:
    """An object takes the colour of the one odd cell in it; an object without one stays, or vanishes."""
    plain = objects(blob(3, 6), (base,), (2, 4))

    def draw(rng: Generator) -> Grid:
        cells = plain(rng)
        for part in components(cells):
            places = np.argwhere(part)
            if rng.random() < 0.8:
                cells[tuple(places[rng.integers(len(places))])] = palette(rng, 1, (base,))[0]
        return cells

    def apply(cells: Grid) -> Grid:
        def ink(part: Mask) -> int:
            odd = set(cells[part].tolist()) - {base}
            return sole(odd) if odd else 0 if vanishes else base

        return repainted(cells, ink)

    return Instance(draw, apply)


@rule(least=one_of(2, 3, 4), ink=MAYBE_INK)
def remove_small(least: int, ink: int) -> Instance:
    """Objects of less than so many cells vanish, or take another colour."""

    def either(rng: Generator) -> Mask:
        return (blob(1, least - 1) if rng.random() < 0.5 else blob(least, 7))(rng)

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: ink if part.sum() < least else cells[part][0])

    return Instance(objects(either, 2, (3, 5), without=(ink,)), apply)


QUALITIES: dict[str, Callable[[Mask], int]] = {
    "cells": lambda part: int(part.sum()),
    "height": lambda part: int(part.any(1).sum()),
    "width": lambda part: int(part.any(0).sum()),
    "row": lambda part: int(part.any(1).argmax()),
    "column": lambda part: int(part.any(0).argmax()),
}


@rule(quality=one_of(*QUALITIES), most=COIN, crops=COIN)
def keep_extreme(quality: str, most: bool, crops: bool) -> Instance:
    """Only the object with the most (least) of a quality stays, in place or cut out."""

    def apply(cells: Grid) -> Grid:
        parts = components(cells)
        part = parts[extreme([QUALITIES[quality](part) for part in parts], most)]
        return cells[box(part)] if crops else cells * part

    return Instance(objects(blob(2, 8), 3, (2, 4)), apply)


@rule(by_colour=COIN, crops=COIN)
def odd_one_out(by_colour: bool, crops: bool) -> Instance:
    """Only the object that differs from all others, in form or in colour, stays, in place or cut out."""

    def draw(rng: Generator) -> Grid:
        usual, other = palette(rng, 2)
        form = blob(3, 6)(rng)
        odd = form * np.uint8(other) if by_colour else blob(3, 6)(rng) * np.uint8(usual)
        return placed(rng, blank(rng, (7, 9)), [odd, *[form * np.uint8(usual)] * int(rng.integers(2, 4))])

    def apply(cells: Grid) -> Grid:
        parts = components(cells)
        cuts = [cells[box(part)] for part in parts]
        part = parts[odd_index([bytes([each.max()]) if by_colour else grid_key(each != 0) for each in cuts])]
        return cells[box(part)] if crops else cells * part

    return Instance(draw, apply)


@rule(kept=COIN, ink=MAYBE_INK, turns=one_of(0, 1))
def keep_symmetric(kept: bool, ink: int, turns: int) -> Instance:
    """Objects stay if their left mirrors their right (or if not); the others vanish, or take another colour."""

    def either(rng: Generator) -> Mask:
        if rng.random() < 0.5:
            return blob(3, 6)(rng)
        half = blob(2, 4)(rng)
        return np.hstack([half, half[:, ::-1]])

    def apply(cells: Grid) -> Grid:
        def mirrored(part: Mask) -> bool:
            return np.array_equal(part[box(part)], part[box(part)][:, ::-1])

        return repainted(cells, lambda part: cells[part][0] if mirrored(part) == kept else ink)

    return viewed(turns, objects(either, 2, (2, 4), without=(ink,)), apply)


@rule(ink=INK, endless=COIN, gap=one_of(0, 1), turns=TURN)
def echo(ink: int, endless: bool, gap: int, turns: int) -> Instance:
    """Below each object stands a copy of it in another colour; or copies down to the edge."""

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells):
            rows, columns = np.nonzero(part)
            step = int(np.ptp(rows)) + 1 + gap
            for move in range(step, len(cells) if endless else step + 1, step):
                seen = rows + move < len(cells)
                copy = rows[seen] + move, columns[seen]
                out[copy] = np.where(out[copy], out[copy], ink)
        return out

    return viewed(turns, objects(blob(2, 5), 2, (1, 2), without=(ink,)), apply)


@rule(action=one_of("cut out", "keep", "erase"), turns=TURN)
def selected(action: str, turns: int) -> Instance:
    """The cell in the corner says the colour of the object to cut out, to keep, or to erase."""

    def draw(rng: Generator) -> Grid:
        canvas = cornered((6, 9))(rng)
        colours = (int(canvas[0, 0]), *palette(rng, 2, (canvas[0, 0],)))
        return placed(rng, canvas, [blob(3, 6)(rng) * np.uint8(ink) for ink in colours])

    def apply(cells: Grid) -> Grid:
        rest = cells.copy()
        rest[0, 0] = 0
        chosen = rest == cells[0, 0]
        return rest[box(chosen)] if action == "cut out" else rest * (chosen if action == "keep" else ~chosen)

    return viewed(turns, draw, apply)


# -- motion -----------------------------------------------------------------------------------------------------


@rule(still=MAYBE_INK, turns=TURN)
def gravity(still: int, turns: int) -> Instance:
    """All cells fall, but those of one colour, if there is one, which hold up the others."""

    def draw(rng: Generator) -> Grid:
        return specks((*palette(rng, 2, (still,)), *((still,) if still else ())), 0.35, (4, 8))(rng)

    def apply(cells: Grid) -> Grid:
        fixed = (cells == still) & (cells != 0)
        order = 3 * fixed.cumsum(axis=0) + np.where(fixed, 0, np.where(cells, 2, 1))
        return np.take_along_axis(cells, order.argsort(axis=0, kind="stable"), axis=0)

    return viewed(turns, draw, apply)


@rule(turns=TURN)
def fall(turns: int) -> Instance:
    """Objects fall as they are, until they rest on the floor or on one another."""

    def apply(cells: Grid) -> Grid:
        out = np.zeros_like(cells)
        for part in sorted(components(cells), key=lambda part: -int(np.nonzero(part)[0].max())):
            rows, columns = np.nonzero(part)
            ink = cells[rows, columns]
            while rows.max() + 1 < len(cells) and not out[rows + 1, columns].any():
                rows = rows + 1
            out[rows, columns] = ink
        return out

    return viewed(turns, objects(blob(2, 6), 3, (2, 4), (6, 9)), apply)


@rule(colours=inks(2), moves_away=COIN)
def approach(colours: tuple[int, ...], moves_away: bool) -> Instance:
    """The block of one colour moves straight to the other one until they touch; or straight away, to the edge."""
    mover, target = colours

    def draw(rng: Generator) -> Grid:
        blocks = [block(1, 3)(rng) * np.uint8(mover), block(2, 4)(rng) * np.uint8(target)]
        return placed(rng, blank(rng, (6, 9)), blocks)

    def apply(cells: Grid) -> Grid:
        here, there = np.argwhere(cells == mover), np.argwhere(cells == target)
        ahead, behind = there.min(0) - here.max(0), here.min(0) - there.max(0)
        apart = (ahead > 0) | (behind > 0)
        if apart.sum() != 1:
            raise Unfit("the blocks do not face each other")
        move = np.where(ahead > 0, ahead - 1, 1 - behind)
        if moves_away:
            move = np.where(ahead > 0, -here.min(0), np.array(cells.shape) - 1 - here.max(0))
        out = np.where(cells == mover, 0, cells)
        out[tuple((here + move * apart).T)] = mover
        return out

    return Instance(draw, apply)


@rule(crossed=COIN, turns=one_of(0, 1))
def magnets(crossed: bool, turns: int) -> Instance:
    """Specks go to the wall of their colour (or to the other one) and pile up there."""

    def draw(rng: Generator) -> Grid:
        colours = palette(rng, 2)
        cells = scattered(rng, sides(rng, (5, 9)), colours, 0.3)
        cells[:, 0], cells[:, -1] = colours
        return cells

    def apply(cells: Grid) -> Grid:
        first, last = cells[0, [-1, 0]] if crossed else cells[0, [0, -1]]
        left, right = ((cells[:, 1:-1] == ink).sum(1, keepdims=True) for ink in (first, last))
        place = np.arange(cells.shape[1] - 2)
        out = cells.copy()
        out[:, 1:-1] = np.where(place < left, first, np.where(place >= len(place) - right, last, 0))
        return out

    return viewed(turns, draw, apply)


@rule(symmetry=SYMMETRY)
def sort_bars(symmetry: int) -> Instance:
    """Bars that stand on one side are sorted by height."""

    def draw(rng: Generator) -> Grid:
        width = int(rng.integers(3, 7))
        height = int(rng.integers(width, 9))
        bars = np.arange(height)[:, None] >= rng.permutation(height)[:width]
        return bars * scattered(rng, (1, width), palette(rng, 3), 1.0)

    return viewed(symmetry, draw, lambda cells: cells[:, (cells != 0).sum(0).argsort(kind="stable")])


# -- drawing ----------------------------------------------------------------------------------------------------


@rule(colours=inks(3), steps=one_of(*ROSES))
def rays(colours: tuple[int, ...], steps: tuple[Cell, ...]) -> Instance:
    """Cells of one colour shoot rays in certain directions, as far as the next coloured cell or the edge."""
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
    """From the corner a line winds inwards, leaving one cell free between its windings."""

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
    """Cells of one colour fill their row, cells of another their column; where lines cross, one colour wins."""
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
    """Blocks of one colour get a pattern, which starts at their upper left corner; other blocks do not."""
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
    """Dots in one row (or column) are connected by lines."""
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


# -- filling ----------------------------------------------------------------------------------------------------


@rule(ink=INK, inside=COIN)
def fill_enclosed(ink: int, inside: bool) -> Instance:
    """What objects enclose is filled; or what no object encloses."""

    def fence(rng: Generator) -> Mask:
        mask = ~core(sides(rng, (3, 5)))
        mask[0, 1 : 1 + int(rng.random() < 0.4)] = False
        return np.rot90(mask, int(rng.integers(4)))

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells == 0, diagonal=False):
            if at_edge(part) != inside:
                out[part] = ink
        return out

    return Instance(objects(fence, 2, (1, 3), (6, 9), (ink,)), apply)


@rule(wall=INK)
def flood(wall: int) -> Instance:
    """Each drop of colour floods the room it is in, up to the walls."""

    def draw(rng: Generator) -> Grid:
        cells = specks((wall,), 0.4, (5, 8))(rng)
        for drop in palette(rng, int(rng.integers(1, 4)), (wall,)):
            free = np.flatnonzero(cells == 0)
            cells.flat[free[rng.integers(len(free))]] = drop
        return cells

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells != wall, diagonal=False):
            drops = set(cells[part].tolist()) - {0}
            out[part] = sole(drops) if drops else 0
        return out

    return Instance(draw, apply)


# -- counting ---------------------------------------------------------------------------------------------------

TALLIES: dict[str, Callable[[int], Mask]] = {
    "row": lambda count: np.ones((1, count), bool),
    "column": lambda count: np.ones((count, 1), bool),
    "diagonal": lambda count: np.eye(count, dtype=bool),
    "track": lambda count: np.arange(9)[None] < count,
    "square": lambda count: np.ones((count, count), bool),
}


@rule(colours=inks(4), cellwise=COIN, form=one_of(*TALLIES))
def tally(colours: tuple[int, ...], cellwise: bool, form: str) -> Instance:
    """The number of objects (or cells) of one colour, up to 9, is written as a figure."""
    counted, *others, ink = colours

    def apply(cells: Grid) -> Grid:
        chosen = cells == counted
        count = int(chosen.sum()) if cellwise else len(components(chosen))
        if not 0 < count < 10:
            raise Unfit(f"{count} is no number to write")
        return TALLIES[form](count) * np.uint8(ink)

    return Instance(objects(blob(1, 3), (counted, counted, *others), (3, 8), (6, 9)), apply)


@rule(symmetry=SYMMETRY)
def histogram(symmetry: int) -> Instance:
    """Each colour becomes a bar of as many cells as it has; the longest comes first."""

    def apply(cells: Grid) -> Grid:
        counts = counts_of(cells)
        colours = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        if (np.diff(counts[colours]) == 0).any():
            raise Unfit("two colours are equally common")
        return np.where(np.arange(counts.max()) < counts[colours][:, None], colours[:, None], 0)

    return viewed(symmetry, specks(3, 0.5, (3, 6)), apply)


# -- symmetry and repetition ------------------------------------------------------------------------------------


@rule(ink=MAYBE_INK, turned=COIN, turns=TURN)
def complete_mirror(ink: int, turned: bool, turns: int) -> Instance:
    """The empty half takes the mirror image (or the turned image) of the drawn half, perhaps in another colour."""

    def draw(rng: Generator) -> Grid:
        cells = specks(2, 0.5, (4, 9), (ink,))(rng)
        cells[:, cells.shape[1] // 2 :] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        image = np.flip(cells, (0, 1) if turned else 1)
        return np.where(cells, cells, np.where(image, ink or image, 0))

    return viewed(turns, draw, apply)


@rule(patch=INK, crops=COIN)
def restore_symmetry(patch: int, crops: bool) -> Instance:
    """A picture that mirrors itself both ways is restored under a patch; all of it, or what the patch hides."""

    def draw(rng: Generator) -> Grid:
        corner = specks(4, 0.8, (3, 4), (patch,))(rng)
        half = np.hstack([corner, corner[:, ::-1]])
        return patched(rng, np.vstack([half, half[::-1]]), patch)

    def apply(cells: Grid) -> Grid:
        out = cells
        for axes in (0, 1, (0, 1)):
            out = np.where(out == patch, np.flip(cells, axes), out)
        return revealed(cells, out, patch, crops)

    return Instance(draw, apply)


@rule(patch=INK, period=one_of((1, 3), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)), crops=COIN)
def restore_tiling(patch: int, period: Cell, crops: bool) -> Instance:
    """A picture that repeats itself is restored under a patch; all of it, or what the patch hides."""

    def draw(rng: Generator) -> Grid:
        height, width = sides(rng, (6, 9))
        motif = scattered(rng, period, palette(rng, 4, (patch,)), 0.9)
        return patched(rng, np.tile(motif, (9, 9))[:height, :width], patch)

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for row, column in np.ndindex(period):
            copies = out[row :: period[0], column :: period[1]]
            copies[copies == patch] = sole(set(copies.ravel().tolist()) - {patch})
        return revealed(cells, out, patch, crops)

    return Instance(draw, apply)


@rule(ink=MAYBE_INK, turns=TURN)
def continue_pattern(ink: int, turns: int) -> Instance:
    """Columns that repeat are continued to the far side, perhaps in another colour."""

    def draw(rng: Generator) -> Grid:
        period = int(rng.integers(1, 4))
        motif = scattered(rng, (int(rng.integers(1, 6)), period), palette(rng, 3, (ink,)), 0.7)
        shown = int(rng.integers(2 * period, 3 * period + 1))
        cells = np.tile(motif, 8)[:, : shown + int(rng.integers(2, 6))]
        cells[:, shown:] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        shown = box(cells != 0)[1].stop
        periods = [p for p in range(1, shown // 2 + 1) if np.array_equal(cells[:, p:shown], cells[:, : shown - p])]
        if not periods:
            raise Unfit("nothing repeats itself")
        whole = cells[:, np.arange(cells.shape[1]) % periods[0]]
        return np.where((whole != cells) & (ink > 0), ink, whole)

    return viewed(turns, draw, apply)


# -- panels behind lines ----------------------------------------------------------------------------------------

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
    """Three panels, each with its colour, are laid on one another in a certain order, the first one lowest."""
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
    """The panel with the most (fewest) coloured cells is taken."""

    def draw(rng: Generator) -> Grid:
        return joined(random_panels(rng, line), line)

    def apply(cells: Grid) -> Grid:
        panels = parted(cells, line)
        return panels[extreme([int(np.count_nonzero(panel)) for panel in panels], most)]

    return viewed(turns, draw, apply)


@rule(line=INK, usual=COIN, turns=one_of(0, 1))
def odd_panel(line: int, usual: bool, turns: int) -> Instance:
    """The one panel that differs from the others is taken; or one of the others."""

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
    """Each panel of a lattice becomes one cell, coloured if the panel has at least so many coloured cells."""

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
    """What a frame of one colour surrounds is cut out, and turned."""

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
