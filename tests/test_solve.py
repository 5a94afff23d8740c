"""One task end to end with a tiny real model: the record, determinism, deadlines, and no leak of anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission import voting
from submission.budget import NEVER, Deadline
from submission.config import PRESETS, Settings, with_changes
from submission.engine import Found, Proposal
from submission.llm import LanguageModel
from submission.solve import candidates_of, pooled, solve
from submission.tasks import Task, grid, grid_key
from submission.views import View, identity

SETTINGS = with_changes(
    PRESETS["laptop"], ["lessons.copies=1", "search.views=4", "search.threshold=0.5", "adapt.rank=2"]
)


@pytest.fixture(scope="module")
def engine(tiny_grid_model: Path) -> LanguageModel:
    return LanguageModel(tiny_grid_model, SETTINGS.model, SETTINGS.adapt, SETTINGS.search)


def cells_only(task: Task) -> Task:
    """The same task with 1x1 grids: a random model's answers to it stay short."""
    return replace(task, tests=task.tests[:1])


def test_a_record_holds_two_distinct_attempts_and_all_it_takes_to_vote_anew(
    engine: LanguageModel, small_task: Task
) -> None:
    record = solve(cells_only(small_task), engine, SETTINGS, NEVER, seed=0)
    [attempts], [test] = record["attempts"], record["tests"]
    assert len(attempts) == 2
    assert attempts[0] != attempts[1]
    assert len(test["views"]) == 4
    assert [view["symmetry"] for view in test["views"]][0] == 0
    candidates, symmetries = candidates_of(test)
    again = voting.rank(candidates, symmetries, SETTINGS.vote.rule)
    assert [each.tolist() for each in again[:2]] == attempts
    assert record["fit"]["rows"] == 8
    assert record["fit"]["steps"] == 2


def test_the_same_seed_gives_the_same_record_and_another_seed_other_views(
    engine: LanguageModel, small_task: Task
) -> None:
    def without_times(record: dict) -> dict:
        return {**record, "seconds": 0, "fit": {**record["fit"], "seconds": 0}}

    task = cells_only(small_task)
    one, two, other = (solve(task, engine, SETTINGS, NEVER, seed) for seed in (0, 0, 1))
    assert without_times(one) == without_times(two)
    assert one["tests"][0]["views"] != other["tests"][0]["views"]


def test_a_deadline_that_has_passed_still_gives_a_record(engine: LanguageModel, small_task: Task) -> None:
    record = solve(small_task, engine, SETTINGS, Deadline(0.0, lambda: 1.0), seed=0)
    assert len(record["attempts"]) == len(small_task.tests)
    assert any("training ended after 0 steps" in note for note in record["notes"])
    assert any("no answer was found in time" in note for note in record["notes"])


def test_the_engine_is_reset_after_a_failure(
    engine: LanguageModel, small_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "propose", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        solve(small_task, engine, SETTINGS, NEVER, seed=0)
    first = [p.clone() for p in engine._first]
    assert all(np.array_equal(a.detach(), b) for a, b in zip(engine._adapter, first, strict=True))


def test_a_context_that_is_too_short_drops_demonstrations_and_says_so(engine: LanguageModel, small_task: Task) -> None:
    rng = np.random.default_rng(0)
    large = tuple(replace(p, input=grid(rng.integers(0, 10, (9, 9)))) for p in small_task.demonstrations)
    task = replace(cells_only(small_task), demonstrations=large)
    narrow = replace(SETTINGS, model=replace(SETTINGS.model, context=1100), adapt=replace(SETTINGS.adapt, rank=0))
    record = solve(task, engine, narrow, NEVER, seed=0)
    assert any("demonstrations were dropped" in note for note in record["notes"])


def test_answers_are_pooled_in_the_tasks_own_frame() -> None:
    turn = View(1, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9), (0,))
    answer = grid([[1, 2, 3], [4, 5, 6]])
    other = grid([[9]])
    found = [
        Found((Proposal(answer, -0.1, True),), True),
        Found((Proposal(turn.see(answer), -0.2, True), Proposal(turn.see(other), -2.0, True)), True),
        Found((Proposal(other, -9.0, False),), True),
    ]
    pool = pooled([identity(1), turn, identity(1)], found)
    assert {grid_key(a): by for a, by in pool} == {grid_key(answer): {0: -0.1, 1: -0.2}, grid_key(other): {1: -2.0}}


def test_best_paths_count_as_found_only_where_nothing_is_above_the_threshold() -> None:
    weak = [Found((Proposal(grid([[k]]), -5.0, False),), True) for k in range(2)]
    assert [by for _, by in pooled([identity(1)] * 2, weak)] == [{0: -5.0}, {1: -5.0}]
    strong = Found((Proposal(grid([[7]]), -0.5, True),), True)
    assert [by for _, by in pooled([identity(1)] * 3, [*weak, strong])] == [{}, {}, {2: -0.5}]


def test_half_settings_are_valid_settings() -> None:
    from submission.run import halved

    smallest = with_changes(Settings(), ["lessons.copies=1", "search.views=1", "lessons.most=1"])
    assert halved(smallest) == smallest
    assert halved(SETTINGS).search.views == 2
