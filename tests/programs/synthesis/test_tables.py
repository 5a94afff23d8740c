"""Tables from features to outcomes: which of them decide, and which are lucky fits."""

from __future__ import annotations

import numpy as np

from submission.deadline import NEVER
from submission.programs.synthesis.tables import CellExamples, decision_tables


def cases(seen: list[list[int]], outcome: list[int], demonstration: list[int], asked: list[list[int]]) -> CellExamples:
    return CellExamples(
        np.array(seen, np.uint8),
        np.array(asked, np.uint8),
        np.array(outcome, np.uint8),
        np.array(demonstration, np.uint8),
        np.ones(len(seen)),
    )


def test_a_table_that_holds_when_a_demonstration_is_left_out_is_steady() -> None:
    told = cases([[0, 1, 0, 1], [0, 1, 2, 3]], [5, 6, 5, 6], [0, 0, 1, 1], [[0], [3]])
    found = {d.features: d.stability for d in decision_tables(told, 2, 9, np.random.default_rng(0), NEVER)}
    assert found[(0,)] == 1.0
    assert found[(1,)] == 0.0  # every demonstration has its own entries: a copy of what was seen, a lucky fit


def test_two_features_are_combined_where_one_does_not_decide() -> None:
    told = cases([[0, 0, 1, 1], [0, 1, 0, 1]], [0, 1, 1, 0], [0, 0, 0, 0], [[1], [1]])
    assert [d.features for d in decision_tables(told, 3, 9, np.random.default_rng(0), NEVER)] == [(0, 1)]


def test_a_table_that_does_not_know_the_tests_is_not_a_decision() -> None:
    told = cases([[0, 1]], [0, 1], [0, 0], [[2]])
    assert decision_tables(told, 3, 9, np.random.default_rng(0), NEVER) == []
