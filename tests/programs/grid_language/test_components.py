"""Components: cells that hang together, in reading order, each with its box."""

from __future__ import annotations

import numpy as np

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.values import Cells
from tests.support.drawn import cells, text


def numbers(grid: Cells, by_colour: bool, diagonal: bool) -> str:
    return text(labelled(grid, by_colour, diagonal)[0].astype(np.uint8))


def test_components_may_touch_in_corners_or_not() -> None:
    grid = cells("1.. .1. ..1")
    assert len(labelled(grid, True, True)[1]) == 1
    assert len(labelled(grid, True, False)[1]) == 3


def test_components_are_numbered_in_reading_order_within_their_boxes() -> None:
    grid = cells("12. 1.. ..3")
    assert numbers(grid, True, False) == "12. 1.. ..3"
    assert labelled(grid, True, False)[1] == ((0, 1, 0, 0), (0, 0, 1, 1), (2, 2, 2, 2))
    assert numbers(grid, False, False) == "11. 1.. ..2"


def test_components_do_not_reach_around_the_sides() -> None:
    assert numbers(cells("..1 1.. ..1"), True, True) == "..1 2.. ..3"
