"""Rules about motion: cells and objects fall, approach, pile up, or are sorted."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid
from submission.training.generators.canvas import (
    Unfit,
    blank,
    blob,
    block,
    components,
    objects,
    palette,
    placed,
    scattered,
    sides,
    specks,
)
from submission.training.generators.instances import (
    COIN,
    MAYBE_INK,
    SYMMETRY,
    TURN,
    Instance,
    inks,
    one_of,
    rule,
    viewed,
)


@rule(still=MAYBE_INK, turns=TURN)
def gravity(still: int, turns: int) -> Instance:
    """All cells fall, except those of one colour, which hold up the others; or without such a colour."""

    def draw(rng: Generator) -> Grid:
        return specks((*palette(rng, 2, (still,)), *((still,) if still else ())), 0.35, (4, 8))(rng)

    def apply(cells: Grid) -> Grid:
        fixed = (cells == still) & (cells != 0)
        order = 3 * fixed.cumsum(axis=0) + np.where(fixed, 0, np.where(cells, 2, 1))
        return np.take_along_axis(cells, order.argsort(axis=0, kind="stable"), axis=0)

    return viewed(turns, draw, apply)


@rule(turns=TURN)
def fall(turns: int) -> Instance:
    """Objects fall as a whole, until they rest on the lower edge or on one another."""

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
    """Single cells go to the wall of their colour (or to the other one) and pile up there."""

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
