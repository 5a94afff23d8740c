"""Values of the language: when two of them are one."""

from __future__ import annotations

from submission.programs.grid_language import (
    segmentation,
)
from submission.programs.grid_language.values import value_key
from tests.support.drawn import cells


def test_values_differ_in_shape_and_place_too() -> None:
    assert value_key(cells("12")) != value_key(cells("1 2"))
    left, right = (segmentation.components(cells(t), True, False) for t in ("1..", "..1"))
    assert value_key(left) != value_key(right)
