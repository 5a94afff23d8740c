"""Votes: each rule by hand, and what holds for all of them whatever the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import get_args, get_type_hints

import numpy as np
import pytest

from submission.arc.tasks import Grid, grid, grid_key
from submission.config import Vote
from submission.solver.voting import NAMES as RULE_NAMES
from submission.solver.voting import RULES, Candidate, rank

ALL_RULES = get_args(get_type_hints(Vote)["rule"])

A, B, C, D = (grid([[colour]]) for colour in (1, 2, 3, 4))
NAMES = {grid_key(each): name for each, name in ((A, "A"), (B, "B"), (C, "C"), (D, "D"))}


def candidate(answer: Grid, found: Mapping[int, float], scores: Sequence[float]) -> Candidate:
    return Candidate(answer, found, np.array(scores, float))


def names(ranking: Sequence[Grid]) -> str:
    return "".join(NAMES[grid_key(each)] for each in ranking)


def test_the_settings_know_every_rule() -> None:
    assert sorted(ALL_RULES) == sorted(RULE_NAMES)


# -- rules that give each candidate a value ---------------------------------------------------------------------

TABLE = [
    candidate(A, {2: -1.0}, [-1, -1, -1, -1]),
    candidate(B, {0: -3.0, 1: -3.0, 2: -3.0, 3: -3.0}, [-3, -3, -3, -3]),
    candidate(C, {0: -1.25, 1: -1.25, 2: -1.25}, [-1.25, -1.25, -1.25, -1.25]),
]
"""Likely but found once; found everywhere but unlikely; between the two."""


@pytest.mark.parametrize(
    ("rule", "values", "ranking"),
    [
        ("poe", [-4, -12, -5], "ACB"),  # the sum of log p
        (
            "probmul",
            [2 + 12 - 4, 0 + 12 - 12, 5.25 + 12 - 5],
            "CAB",
        ),  # 3 + log p of each find and of each score
        ("kgmon", [1 - 1, 4 - 3, 3 - 1.25], "CBA"),  # finds + mean log p
        ("flat", [1, 4, 3], "BCA"),  # finds
    ],
)
def test_a_rule_on_a_table_worked_by_hand(rule: str, values: list[float], ranking: str) -> None:
    assert [RULES[rule](each) for each in TABLE] == pytest.approx(values)
    assert names(rank(TABLE, [0, 1, 2, 3], rule)) == ranking


def test_views_may_say_different_things() -> None:
    """log p of the finds and of the scores are taken as they are, view by view."""
    one = candidate(A, {0: -0.5, 2: -1.5}, [-0.5, -4.0, -1.5])
    assert RULES["poe"](one) == pytest.approx(-6)
    assert RULES["probmul"](one) == pytest.approx((3 - 0.5) + (3 - 1.5) + (3 - 0.5) + (3 - 4) + (3 - 1.5))
    assert RULES["kgmon"](one) == pytest.approx(2 - 2)
    assert RULES["flat"](one) == 2


def test_a_missing_score_counts_as_the_mean_of_the_others() -> None:
    assert candidate(A, {0: -1.0}, [-1, nan, -3]).total() == pytest.approx(-6)
    assert candidate(A, {}, [nan, -2, nan, nan]).total() == pytest.approx(-8)


def test_without_any_score_what_the_search_found_counts() -> None:
    assert candidate(A, {0: -1.0, 2: -3.0}, [nan, nan, nan]).total() == pytest.approx(-6)
    assert candidate(A, {}, [nan, nan, nan]).total() == -inf


def test_a_missing_score_is_no_advantage() -> None:
    """Were it left out of the sum, the candidate scored in fewer views would win."""
    table = [candidate(A, {}, [-1, -1, -1]), candidate(B, {}, [-2, nan, nan])]
    assert names(rank(table, [0, 1, 2], "poe")) == "AB"


@pytest.mark.parametrize("rule", ALL_RULES)
def test_an_impossible_candidate_comes_last(rule: str) -> None:
    table = [
        candidate(A, {}, [-inf, -1]),
        candidate(B, {0: -1.0, 1: -1.0}, [-1, -1]),
        candidate(C, {}, [nan, nan]),
    ]
    assert names(rank(table, [0, 1], rule))[0] == "B"


def test_equal_values_keep_the_order_of_the_totals() -> None:
    table = [
        candidate(A, {0: -2.0}, [-2, -9]),
        candidate(B, {1: -1.0}, [-3, -1]),
        candidate(C, {0: -5.0}, [-5, -4]),
    ]
    assert names(rank(table, [0, 1], "flat")) == "BCA"


# -- the hierarchical vote --------------------------------------------------------------------------------------


def predicting(predictions: Sequence[Grid], totals: Mapping[str, float] | None = None) -> list[Candidate]:
    """Candidates such that view v predicts predictions[v]; totals by name, -10 where none is given."""
    views = len(predictions)
    distinct = {grid_key(each): each for each in predictions}
    return [
        candidate(
            answer,
            {view: -0.5 for view, each in enumerate(predictions) if grid_key(each) == key},
            [(totals or {}).get(NAMES.get(key, ""), -10.0) / views] * views,
        )
        for key, answer in distinct.items()
    ]


def test_each_symmetry_has_one_voice_for_each_of_its_predictions() -> None:
    """A is predicted most often, but by one symmetry only; B by one view of each of two symmetries."""
    table = predicting([A, A, A, B, B], totals={"A": -1.0})
    assert names(rank(table, [0, 0, 0, 1, 2], "hierarchical")) == "BA"
    assert names(rank(table, [0, 0, 0, 1, 2], "flat")) == "AB"


def test_a_tie_goes_to_what_the_identity_predicts() -> None:
    table = predicting([A, B], totals={"A": -20.0, "B": -1.0})
    assert names(rank(table, [0, 5], "hierarchical")) == "AB"
    assert names(rank(table, [5, 0], "hierarchical")) == "BA"


def test_the_identity_decides_by_how_many_of_its_views_agree() -> None:
    table = predicting([A, B, B], totals={"A": -1.0, "B": -20.0})
    assert names(rank(table, [0, 0, 0], "hierarchical")) == "BA"


def test_a_tie_without_the_identity_goes_to_the_total() -> None:
    table = predicting([A, B], totals={"A": -20.0, "B": -1.0})
    assert names(rank(table, [3, 5], "hierarchical")) == "BA"


def test_a_view_predicts_only_its_most_probable_answer() -> None:
    table = [
        candidate(A, {0: -0.2, 1: -1.6}, [-0.2, -1.6]),
        candidate(B, {0: -1.7, 1: -0.3, 2: -2.0}, [-1.7, -0.3]),
        candidate(C, {2: -0.1}, [-0.1, -9.0]),
    ]
    # View 0 predicts A, view 1 B, view 2 C; counted by finds, B would be first.
    assert names(rank(table, [0, 4, 4], "hierarchical"))[0] == "A"
    assert names(rank(table, [0, 4, 4], "flat"))[0] == "B"


def test_a_symmetry_puts_forward_at_most_three() -> None:
    """The identity's fourth prediction, D, has no vote; the one view of another symmetry, of one mind, has three."""
    e = grid([[0]])
    table = predicting([A, A, B, B, C, C, D, e], totals={"D": -1.0})
    ranking = rank(table, [0, 0, 0, 0, 0, 0, 0, 6], "hierarchical")
    assert [NAMES.get(grid_key(each), "E") for each in ranking] == ["E", "A", "B", "C", "D"]


def test_candidates_that_no_view_prefers_follow_by_total() -> None:
    table = [
        *predicting([A, A], totals={"A": -9.0}),
        candidate(B, {}, [-3, -3]),
        candidate(C, {0: -3.0}, [-1, -1]),
    ]
    assert names(rank(table, [0, 1], "hierarchical")) == "ACB"


@pytest.mark.parametrize(
    "group",
    [
        [[[1, 1], [2, 2]]],
        [[[1, 1], [2, 2]], [[1, 3], [4, 2]]],
        [[[1, 1], [2, 2]], [[1, 3], [4, 2]], [[1, 3], [4, 2]]],
        [[[1, 1], [2, 2]], [[5, 5, 5]]],
        [[[1, 2]], [[1, 2], [3, 4]], [[1, 2]], [[1, 2], [3, 4]]],
    ],
)
def test_majority_grids_of_one_or_two_predictions_add_no_third_grid(group: list[list[list[int]]]) -> None:
    """The paper fills a symmetry's three up with the row-wise and the column-wise majority grid.

    Of at most two different grids, each majority is one of the two: nothing that no view has predicted can win.
    """
    predictions = [grid(rows) for rows in group]
    ranking = rank(predicting(predictions), [0] * len(group), "hierarchical")
    assert {grid_key(each) for each in ranking} == {grid_key(each) for each in predictions}


# -- all rules --------------------------------------------------------------------------------------------------


def random_table(rng: np.random.Generator, views: int) -> list[Candidate]:
    """Up to six different candidates; few different log p, so that ties are common; some scores are missing."""
    made = []
    for colour in rng.permutation(10)[: rng.integers(1, 7)]:
        shape = rng.integers(1, 3, size=2)
        finds = np.flatnonzero(rng.random(views) < 0.5)
        found = {int(view): float(rng.choice([-0.5, -1.0, -2.0])) for view in finds}
        scores = [float(rng.choice([-0.5, -1.0, -2.0, nan])) for _ in range(views)]
        made.append(candidate(grid(np.full(shape, colour)), found, scores))
    return made


@pytest.mark.parametrize("rule", ALL_RULES)
def test_the_order_of_the_candidates_does_not_matter(rule: str) -> None:
    rng = np.random.default_rng(0)
    symmetries = [0, 1, 1, 4]
    for _ in range(100):
        table = random_table(rng, views=4)
        expected = [grid_key(each) for each in rank(table, symmetries, rule)]
        for _ in range(4):
            shuffled = [table[k] for k in rng.permutation(len(table))]
            assert [grid_key(each) for each in rank(shuffled, symmetries, rule)] == expected


@pytest.mark.parametrize("rule", ALL_RULES)
def test_every_candidate_is_ranked_once_so_that_the_second_attempt_differs_from_the_first(rule: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        table = random_table(rng, views=4)
        keys = [grid_key(each) for each in rank(table, [0, 1, 1, 4], rule)]
        assert len(keys) == len(set(keys))
        assert {grid_key(each.answer) for each in table} <= set(keys)


@pytest.mark.parametrize("rule", ALL_RULES)
def test_no_candidates_no_attempts(rule: str) -> None:
    assert rank([], [0, 1], rule) == []
