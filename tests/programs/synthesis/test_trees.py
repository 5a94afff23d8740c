"""Decision trees: each is right for every cell that was shown, and the outcome that most of them give counts."""

from __future__ import annotations

import numpy as np

from submission.deadline import NEVER, Deadline
from submission.programs.synthesis.tables import CellExamples
from submission.programs.synthesis.trees import decided, features_of, forest, leaves, renumbered, voted

TREE = (0, False, 2, 7, (1, True, 3, 5, 6))
"""7 where feature 0 is at least 2; else 5 where feature 1 is exactly 3, and 6 elsewhere."""


def test_a_tree_worked_by_hand() -> None:
    seen = np.array([[2, 9, 1, 0, 1], [3, 0, 3, 2, 4]], np.uint8)
    assert decided(TREE, seen).tolist() == [7, 7, 5, 6, 6]
    assert leaves(TREE) == 3
    assert features_of(TREE) == {0, 1}
    assert decided(renumbered(TREE, {0: 1, 1: 0}), seen[::-1]).tolist() == [7, 7, 5, 6, 6]


def test_most_trees_decide_and_the_lowest_of_equals() -> None:
    seen = np.zeros((1, 2), np.uint8)
    assert voted([3, 5, 5], seen).tolist() == [5, 5]
    assert voted([5, 3], seen).tolist() == [3, 3]


def both_set(cells: int) -> CellExamples:
    """Two features and a dozen that are noise; the outcome is 4 where both of the first two are set."""
    rng = np.random.default_rng(0)
    seen = np.concatenate([rng.integers(0, 2, (2, cells)), rng.integers(0, 9, (12, cells))]).astype(np.uint8)
    outcome = np.where(seen[0] & seen[1], 4, 0).astype(np.uint8)
    return CellExamples(seen, seen[:, :0], outcome, np.zeros(cells, np.uint8), np.ones(len(seen)))


def test_every_tree_of_a_forest_is_right_for_every_cell_that_was_shown() -> None:
    cases = both_set(200)
    grown = forest(cases, 12, np.random.default_rng(0), NEVER)
    assert grown, "some of the random parts of the features are enough"
    assert all(np.array_equal(decided(tree, cases.features), cases.outcome) for tree in grown)
    again = forest(cases, 12, np.random.default_rng(0), NEVER)
    assert again == grown


def test_where_nothing_tells_the_cells_apart_or_time_is_over_there_are_no_trees() -> None:
    same = np.ones((12, 4), np.uint8)
    cases = CellExamples(same, same, np.array([1, 2, 1, 2], np.uint8), np.zeros(4, np.uint8), np.ones(12))
    assert forest(cases, 5, np.random.default_rng(0), NEVER) == []
    assert forest(both_set(50), 5, np.random.default_rng(0), Deadline(0.0, lambda: 1.0)) == []
