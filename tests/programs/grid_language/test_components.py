"""Components: cells that hang together."""

from __future__ import annotations

from submission.programs.grid_language.components import labelled
from tests.support.drawn import cells


def test_components_may_touch_in_corners_or_not() -> None:
    grid = cells("1.. .1. ..1")
    assert len(labelled(grid, True, True)[1]) == 1
    assert len(labelled(grid, True, False)[1]) == 3
