"""The size of the outputs, told from the demonstrations: canvases for the search, each an empty grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Task
from submission.programs.grid_language.values import Cells, NotApplicable, require


def canvas_like(cells: Cells) -> Cells:
    """Empty, as large as the grid."""
    return np.zeros_like(cells)


def canvas_of(cells: Cells, height: int, width: int) -> Cells:
    """Empty, of one size whatever the grid."""
    return np.zeros((height, width), np.uint8)


def canvas_scaled(cells: Cells, height: tuple[int, int], width: tuple[int, int]) -> Cells:
    """Empty, the grid's height and width times a fraction (numerator, denominator) each."""
    made = []
    for side, (above, below) in zip(cells.shape, (height, width), strict=True):
        require(side * above % below == 0 and 0 < side * above // below <= LARGEST_SIDE)
        made.append(side * above // below)
    return np.zeros(made, np.uint8)


def canvas_times_colours(cells: Cells) -> Cells:
    """Empty, the grid's sides times the number of its colours."""
    return canvas_scaled(cells, *2 * ((len(np.unique(cells[cells != 0])), 1),))


def canvas_times_sides(cells: Cells) -> Cells:
    """Empty, the grid's height and width squared."""
    return canvas_scaled(cells, (cells.shape[0], 1), (cells.shape[1], 1))


Rule = tuple[Callable[..., Cells], tuple[object, ...]]


def canvases(task: Task) -> list[tuple[Rule, list[Cells]]]:
    """Size rules that hold in all demonstrations, with the canvases of all inputs; the plainest rule first."""
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
    first = task.demonstrations[0]
    (h, w), (height, width) = first.input.shape, first.output.shape
    yield canvas_like, ()
    yield canvas_of, (height, width)
    down, across = Fraction(height, h), Fraction(width, w)
    yield canvas_scaled, (down.as_integer_ratio(), across.as_integer_ratio())
    yield canvas_times_sides, ()
    yield canvas_times_colours, ()
