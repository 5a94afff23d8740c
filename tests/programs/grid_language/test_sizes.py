"""Empty grids of a size that follows from the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from submission.programs.grid_language import (
    sizes,
)
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
    ],
)
def test_a_canvas(function: Callable[..., Cells], constants: tuple[Any, ...], shape: tuple[int, int]) -> None:
    assert function(cells("1.. ..2"), *constants).shape == shape
