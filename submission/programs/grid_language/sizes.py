"""The size of the outputs, inferred from the demonstrations.

A canvas is an empty grid of the predicted output size; operations with `on_canvas` fill it. The rules that predict the
size are few and fixed, and a rule is used only if it holds for all demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Task
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
