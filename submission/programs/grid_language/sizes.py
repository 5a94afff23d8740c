"""The size of the outputs, inferred from the demonstrations.

A canvas is an empty grid of the predicted output size; operations with `on_canvas` fill it. The rules that predict the
size are few and fixed, and a rule is used only if it holds for all demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Task
from submission.programs.grid_language.colours import ranked_colour
from submission.programs.grid_language.components import components
from submission.programs.grid_language.segmentation import panel_spans
from submission.programs.grid_language.values import Cells, NotApplicable, require


def canvas_like(cells: Cells) -> Cells:
    """Return an empty grid as large as the input."""
    return np.zeros_like(cells)


def canvas_of(cells: Cells, height: int, width: int) -> Cells:
    """Return an empty grid of a constant size."""
    return np.zeros((height, width), np.uint8)


def canvas_scaled(cells: Cells, height: tuple[int, int], width: tuple[int, int]) -> Cells:
    """Return an empty grid with the input's height and width times a fraction each, given as (numerator, denominator).

    NotApplicable where a side would not be an integer from 1 to 30.
    """
    shape = []
    for side, (numerator, denominator) in zip(cells.shape, (height, width), strict=True):
        require(side * numerator % denominator == 0 and 0 < side * numerator // denominator <= LARGEST_SIDE)
        shape.append(side * numerator // denominator)
    return np.zeros(shape, np.uint8)


def canvas_times_colours(cells: Cells) -> Cells:
    """Return an empty grid with the input's sides times the number of its colours."""
    return canvas_scaled(cells, *2 * ((len(np.unique(cells[cells != 0])), 1),))


def canvas_times_sides(cells: Cells) -> Cells:
    """Return an empty grid with the input's height and width squared."""
    return canvas_scaled(cells, (cells.shape[0], 1), (cells.shape[1], 1))


def _of_parts(cells: Cells, extreme: Callable[[list[int]], int], rows: bool) -> int:
    """The height or width of the largest or smallest component of one colour."""
    return extreme([part.cells.shape[0 if rows else 1] for part in components(cells, True, True).items])


SEEDS: dict[str, Callable[[Cells], int]] = {
    "height": lambda cells: cells.shape[0],
    "width": lambda cells: cells.shape[1],
    "colours": lambda cells: len(np.unique(cells[cells > 0])),
    "components": lambda cells: len(components(cells, True, True).items),
    "cells": lambda cells: int((cells > 0).sum()),
    "panels down": lambda cells: len(panel_spans(cells)[0]),
    "panels across": lambda cells: len(panel_spans(cells)[1]),
    "largest height": lambda cells: _of_parts(cells, max, True),
    "largest width": lambda cells: _of_parts(cells, max, False),
    "smallest height": lambda cells: _of_parts(cells, min, True),
    "smallest width": lambda cells: _of_parts(cells, min, False),
    "commonest count": lambda cells: int((cells == ranked_colour(cells, False)).sum()),
    "rarest count": lambda cells: int((cells == ranked_colour(cells, True)).sum()),
    "nothing": lambda cells: 0,
}
"""Numbers of a grid from which a side of the output may be made."""

Side = tuple[str, float, int]
"""A side of the output: one of SEEDS, times a factor, plus an offset."""

FACTORS, OFFSETS = (1, 2, 3, 4, 5, 0.5), range(-3, 4)
MOST_FITTED = 4
"""Canvases with fitted sides, each of other sizes."""


def canvas_fitted(cells: Cells, height: Side, width: Side) -> Cells:
    """Return an empty grid whose sides are made from numbers of the input."""
    shape = [SEEDS[name](cells) * factor + offset for name, factor, offset in (height, width)]
    require(all(0 < side <= LARGEST_SIDE and side == int(side) for side in shape))
    return np.zeros([int(side) for side in shape], np.uint8)


Rule = tuple[Callable[..., Cells], tuple[object, ...]]
"""A function above and its constants."""


def canvases(task: Task) -> list[tuple[Rule, list[Cells]]]:
    """Return the size rules that hold in all demonstrations, the simplest first.

    With each rule come the canvases of all inputs, demonstrations first, then tests. Of rules that give the same sizes
    for all inputs only the first is kept.
    """
    inputs = [pair.input for pair in task.demonstrations] + list(task.tests)
    found: dict[tuple[tuple[int, ...], ...], tuple[Rule, list[Cells]]] = {}
    for function, constants in _rules(task):
        try:
            made = [function(cells, *constants) for cells in inputs]
        except NotApplicable:
            continue
        if all(canvas.shape == pair.output.shape for canvas, pair in zip(made, task.demonstrations, strict=False)):
            found.setdefault(tuple(canvas.shape for canvas in made), ((function, constants), made))
    return list(found.values())


def _rules(task: Task) -> Iterator[Rule]:
    """Yield the size rules that the first demonstration suggests."""
    first = task.demonstrations[0]
    (h, w), (height, width) = first.input.shape, first.output.shape
    yield canvas_like, ()
    yield canvas_of, (height, width)
    down, across = Fraction(height, h), Fraction(width, w)
    yield canvas_scaled, (down.as_integer_ratio(), across.as_integer_ratio())
    yield canvas_times_sides, ()
    yield canvas_times_colours, ()
    yield from _fitted(task)


def _fitted(task: Task) -> Iterator[Rule]:
    """Yield rules for both sides that hold in all demonstrations, the simplest first; at least two outputs differ."""
    shapes = [pair.output.shape for pair in task.demonstrations]
    if len(set(shapes)) == 1:
        return
    seeds = {name: _seeds(task, seed) for name, seed in SEEDS.items()}
    heights, widths = (_sides([shape[axis] for shape in shapes], seeds) for axis in (0, 1))
    both = sorted(
        ((cost + other, height, width) for cost, height in heights for other, width in widths), key=lambda each: each[0]
    )
    yield from ((canvas_fitted, (height, width)) for _, height, width in both[:MOST_FITTED])


def _seeds(task: Task, seed: Callable[[Cells], int]) -> list[int] | None:
    """A seed's values for the demonstrations; None where it has none for one of them."""
    try:
        return [seed(pair.input) for pair in task.demonstrations]
    except NotApplicable:
        return None


def _sides(wanted: list[int], seeds: dict[str, list[int] | None]) -> list[tuple[float, Side]]:
    """The rules that give these sides, each with its cost, the cheapest first; a constant side has no other rule."""
    if len(set(wanted)) == 1:
        return [(0.0, ("nothing", 1, wanted[0]))]
    found: list[tuple[float, Side]] = []
    for rank, (name, values) in enumerate(seeds.items()):
        for factor in FACTORS if values is not None else ():
            assert values is not None
            offset = wanted[0] - factor * values[0]
            if offset in OFFSETS and all(v * factor + offset == w for v, w in zip(values, wanted, strict=True)):
                found.append((abs(offset) + abs(factor - 1) + 0.3 * rank, (name, factor, int(offset))))
    return sorted(found)[:MOST_FITTED]
