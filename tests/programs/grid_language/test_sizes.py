"""Empty grids of a size that follows from the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from submission.arc.tasks import Pair, Task, grid
from submission.programs.grid_language import sizes
from submission.programs.grid_language.values import Cells
from tests.support.cases import cases
from tests.support.drawn import cells


@cases(
    ("function", "constants", "shape"),
    [
        (sizes.canvas_like, (), (2, 3)),
        (sizes.canvas_of, (4, 5), (4, 5)),
        (sizes.canvas_scaled, ((3, 1), (2, 3)), (6, 2)),
        (sizes.canvas_times_sides, (), (4, 9)),
        (sizes.canvas_times_colours, (), (4, 6)),
        (sizes.canvas_fitted, (("colours", 2, 1), ("width", 1, -1)), (5, 2)),
        (sizes.canvas_fitted, (("height", 0.5, 0), ("nothing", 1, 7)), (1, 7)),
    ],
)
def test_a_canvas(function: Callable[..., Cells], constants: tuple[Any, ...], shape: tuple[int, int]) -> None:
    assert function(cells("1.. ..2"), *constants).shape == shape


@cases(
    ("seed", "number"),
    [
        ("height", 4), ("width", 5), ("colours", 3), ("components", 6), ("cells", 11), ("panels down", 2),
        ("panels across", 1), ("largest height", 2), ("largest width", 5), ("smallest height", 1),
        ("smallest width", 1), ("commonest count", 5), ("rarest count", 3), ("nothing", 0),
    ],
)  # fmt: skip
def test_a_number_of_a_grid(seed: str, number: int) -> None:
    assert sizes.SEEDS[seed](cells("1...1 22222 3.3.1 ...3.")) == number


def task(*drawn: tuple[str, tuple[int, int]], test: str) -> Task:
    """Inputs, and the sizes of their outputs."""
    pairs = tuple(Pair(grid(cells(before)), grid(np.ones(shape, np.uint8))) for before, shape in drawn)
    return Task("t", pairs, (grid(cells(test)),))


def test_sides_are_fitted_to_numbers_of_the_inputs() -> None:
    """Two more rows than the input, and a column for each colour."""
    found = sizes.canvases(task(("12.", (3, 2)), ("1.. .11", (4, 1)), ("1.3 ..2 ...", (5, 3)), test="4.5 6.7"))
    assert [made[-1].shape for _, made in found][0] == (4, 4)
    rule, _ = found[0]
    assert rule == (sizes.canvas_fitted, (("height", 1, 2), ("colours", 1, 0)))


def test_nothing_is_fitted_where_all_outputs_are_of_one_size() -> None:
    found = sizes.canvases(task(("12.", (2, 2)), ("1.. .11", (2, 2)), test="4.5 6.7"))
    assert [rule[0] for rule, _ in found] == [sizes.canvas_of]


def test_sides_that_no_number_gives_have_no_canvas() -> None:
    assert sizes.canvases(task(("12.", (9, 7)), ("1.. .11", (8, 2)), ("1", (29, 3)), test="4.5 6.7")) == []
