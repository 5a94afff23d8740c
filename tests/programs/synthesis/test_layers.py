"""Outputs laid together from several states: which lie upon each other, and what they give."""

from __future__ import annotations

import numpy as np

from submission.programs.synthesis.layers import stacked, stacks

PIECES = np.array([[1, 0, 0, 0], [2, 2, 0, 2], [0, 3, 3, 3], [9, 9, 9, 9]], np.uint8)
"""Four states of four cells each; 0 is what a layer leaves open."""


def given(target: list[int], wanted: int = 10, costs: list[float] | None = None) -> list[tuple[int, ...]]:
    found = stacks(PIECES, np.array(target, np.uint8), np.array(costs or [1.0] * 4), wanted)
    assert all(stacked(PIECES, stack).tolist() == target for stack in found)
    assert [stack.cost for stack in found] == [sum((costs or [1.0] * 4)[k] + 0.5 for k in s.pieces) for s in found]
    return [stack.pieces for stack in found]


def test_layers_cover_each_other_from_the_first_to_the_last() -> None:
    assert given([1, 9, 9, 9]) == [(0, 3)]
    assert given([2, 2, 3, 2]) == [(1, 2)]
    assert given([1, 2, 3, 2]) == [(0, 1, 2)]


def test_no_layer_may_contradict_a_cell_that_is_still_open() -> None:
    assert given([1, 3, 3, 3]) == [(2, 0), (0, 2)], "the layer that settles most cells first"
    assert given([1, 2, 9, 9]) == [], "what would cover the last two is wrong in the second"
    assert given([5, 5, 5, 5]) == [], "a colour that no state has"


def test_no_more_are_given_than_wanted() -> None:
    assert given([1, 3, 3, 3], wanted=1) == [(2, 0)]
