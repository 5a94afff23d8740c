"""One task end to end with a tiny real model: the record, determinism, deadlines, and no leak of anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.tasks import Task, grid, grid_key
from submission.config import Settings, with_changes
from submission.deadline import NEVER, Deadline
from submission.inference.language_model import LanguageModel
from submission.presets import PRESETS
from submission.solver import voting
from submission.solver.records import TaskRecord
from submission.solver.solve import solve

SETTINGS = with_changes(
    PRESETS["laptop"], ["training_rows.copies=1", "search.views=4", "search.threshold=0.5", "adapt.rank=2"]
)


@pytest.fixture(scope="module")
def engine(tiny_grid_model: Path) -> LanguageModel:
    return LanguageModel(tiny_grid_model, SETTINGS)


def cells_only(task: Task) -> Task:
    """The same task with 1x1 grids: a random model's answers to it stay short."""
    return replace(task, tests=task.tests[:1])


def test_a_record_holds_two_distinct_attempts_and_all_it_takes_to_vote_anew(
    engine: LanguageModel, small_task: Task
) -> None:
    record = solve(cells_only(small_task), engine, SETTINGS, NEVER, seed=0)
    [attempts], [test] = record.attempts, record.tests
    assert len(attempts) == 2
    assert grid_key(attempts[0]) != grid_key(attempts[1])
    assert len(test.views) == 4
    assert test.symmetries[0] == 0
    again = voting.rank(test.candidates, test.symmetries, SETTINGS.vote.rule)
    assert [grid_key(each) for each in again[:2]] == [grid_key(each) for each in attempts]
    assert record.fit is not None
    assert (record.fit.rows, record.fit.steps) == (8, 2)
    assert TaskRecord.from_json(record.to_json()).to_json() == record.to_json()


def test_the_same_seed_gives_the_same_record_and_another_seed_other_views(
    engine: LanguageModel, small_task: Task
) -> None:
    def without_times(record: TaskRecord) -> dict:
        assert record.fit is not None
        return replace(record, seconds=0.0, fit=replace(record.fit, seconds=0.0)).to_json()

    task = cells_only(small_task)
    one, two, other = (solve(task, engine, SETTINGS, NEVER, seed) for seed in (0, 0, 1))
    assert without_times(one) == without_times(two)
    assert one.tests[0].views != other.tests[0].views


def test_a_deadline_that_has_passed_still_gives_a_record(engine: LanguageModel, small_task: Task) -> None:
    record = solve(small_task, engine, SETTINGS, Deadline(0.0, lambda: 1.0), seed=0)
    assert len(record.attempts) == len(small_task.tests)
    assert any("training ended after 0 steps" in note for note in record.notes)
    assert any("no answer was found in time" in note for note in record.notes)


def test_the_engine_is_reset_after_a_failure(
    engine: LanguageModel, small_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "inference", lambda *_: 1 / 0)
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
    assert any("demonstrations were dropped" in note for note in record.notes)


def test_half_settings_are_valid_settings() -> None:
    from submission.runner.schedule import halved

    smallest = with_changes(Settings(), ["training_rows.copies=1", "search.views=1", "training_rows.max_rows=1"])
    assert halved(smallest, context=False) == smallest
    assert halved(SETTINGS, context=False).search.views == 2


def test_a_second_pass_keeps_what_the_first_has_found_and_adds_its_own_views(
    engine: LanguageModel, small_task: Task
) -> None:
    first = solve(small_task, engine, SETTINGS, NEVER, seed=0)
    second = solve(small_task, engine, SETTINGS, NEVER, seed=1, earlier=first)
    for before, after in zip(first.tests, second.tests, strict=True):
        assert len(after.views) == 8
        assert after.views[:4] == before.views
        grids = [grid_key(each.answer) for each in after.candidates]
        assert [grid_key(each.answer) for each in before.candidates] == grids[: len(before.candidates)]
    assert second.seconds > first.seconds


def test_after_each_test_input_there_is_a_record_without_the_others(engine: LanguageModel, small_task: Task) -> None:
    partial: list[TaskRecord] = []
    record = solve(small_task, engine, SETTINGS, NEVER, 0, None, partial.append)
    assert [[len(each) for each in so_far.attempts] for so_far in partial] == [[2, 0], [2, 2]]
    assert partial[0].tests[1].candidates == ()
    assert partial[1] is record
