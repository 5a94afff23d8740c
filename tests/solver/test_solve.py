"""One task end to end with a tiny real model: the record, determinism, deadlines, and no leak of anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid, grid_key
from submission.benchmarks import baselines
from submission.benchmarks.baselines import Work
from submission.config import Settings, with_changes
from submission.deadline import NEVER, Deadline, within
from submission.inference.language_model import LanguageModel
from submission.presets import PRESETS
from submission.solver import voting
from submission.solver.engine import Inference, Question
from submission.solver.records import TaskRecord
from submission.solver.solve import ask, ask_anew, questions_of, solve
from tests.support.clock import Clock

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
    assert test.scoring == () and ask_anew(small_task, 0, engine, SETTINGS, 0) == []
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


ANEW = with_changes(
    SETTINGS,
    ["search.scoring_views=16", "search.views=8", "search.first_view=random", "search.threshold=0.05", "adapt.rank=0"],
)


@pytest.fixture(scope="module")
def small_answers(copying_model: Path) -> LanguageModel:
    return LanguageModel(copying_model, ANEW)


@pytest.mark.parametrize("rule", ["poe", "probmul"])
def test_candidates_are_scored_under_fresh_views_as_the_released_code_scores_them(
    small_answers: LanguageModel, small_task: Task, rule: str
) -> None:
    """The reference: each candidate, turned and recoloured, alone behind each fresh prompt, in one plain pass."""
    engine, task = small_answers, replace(small_task, tests=(grid([[1, 2], [0, 1]]),))
    settings = with_changes(ANEW, [f"vote.rule={rule}"])
    record = solve(task, engine, settings, NEVER, seed=3)
    [test] = record.tests
    assert (len(test.views), len(test.scoring), test.searched) == (8, 16, 8)
    assert Counter(each.view.symmetry for each in test.scoring) == dict.fromkeys(range(8), 2)
    assert not {each.view for each in test.views} & {each.view for each in test.scoring}
    questions = questions_of(task, 0, engine, settings, [each.view for each in test.scoring])
    answers = [each.answer for each in test.candidates]
    seen = [[each.view.see(answer) for answer in answers] for each in questions]
    prompts = [each.prompt for each in questions]
    expected = baselines.scored(engine.inference_model(), engine.layout, prompts, seen, Work())
    sums = dict(zip(map(grid_key, answers), expected.sum(axis=0), strict=True))
    assert len(answers) >= 3, "the comparison must be about something"
    for k, each in enumerate(test.candidates):
        known = ~np.isnan(each.scores)
        assert each.scores[known] == pytest.approx(expected[known, k], abs=1e-3)
        assert known.all() or rule == "poe"
    if rule == "poe":
        best = sorted(sums, key=lambda key: -sums[key])[:2]
    else:
        values = {grid_key(each.answer): sum(3 + p for p in each.found.values()) for each in test.candidates}
        best = sorted(sums, key=lambda key: -(values[key] + 3 * 16 + sums[key]))[:2]
    assert [grid_key(each) for each in record.attempts[0]] == best


def test_fresh_views_are_the_same_for_all_candidates_and_each_prompt_is_read_once(
    small_answers: LanguageModel, small_task: Task
) -> None:
    others = ask_anew(small_task, 0, small_answers, ANEW, seed=0)
    lengths = sum(len(each.prompt.ids) for each in others)
    answers = [grid([[k, 1]]) for k in range(10)]
    with small_answers.inference(others) as inference:
        inference.score(answers, len(answers), NEVER)
        assert (inference.forest.prompt_tokens, inference.forest.prefilled_again) == (lengths, 0)
        assert inference.forest.nodes <= 16 * (10 + 10 * 1), "a first cell each, and what follows it: shared prefixes"


class OutOfTime:
    """An engine whose time is over once the views are searched: from its second set of questions on."""

    def __init__(self, engine: LanguageModel, clock: Clock) -> None:
        self.engine, self.clock, self.sets = engine, clock, 0
        self.layout, self.longest_row = engine.layout, engine.longest_row
        self.adapt, self.forget = engine.adapt, engine.forget

    def inference(self, questions: Sequence[Question]) -> AbstractContextManager[Inference]:
        self.sets += 1
        self.clock.now += 1000.0 if self.sets == 2 else 0.0
        return self.engine.inference(questions)


def test_where_time_is_up_the_scores_stay_those_of_the_searched_views(engine: LanguageModel, small_task: Task) -> None:
    clock, settings = Clock(), with_changes(SETTINGS, ["search.scoring_views=8"])
    record = solve(cells_only(small_task), OutOfTime(engine, clock), settings, within(900.0, clock), seed=0)
    [test] = record.tests
    assert test.scoring == () and test.candidates
    assert all(len(each.scores) == len(test.views) == 4 for each in test.candidates)
    assert len(record.attempts[0]) == 2
    assert any("for want of time" in note for note in record.notes)
    assert TaskRecord.from_json(record.to_json()).to_json() == record.to_json()


def test_two_passes_vote_by_the_scoring_views_of_both(engine: LanguageModel, small_task: Task) -> None:
    task, settings = cells_only(small_task), with_changes(SETTINGS, ["search.scoring_views=8"])
    first = solve(task, engine, settings, NEVER, seed=0)
    both = solve(task, engine, settings, NEVER, seed=1, earlier=first)
    [test] = both.tests
    assert (len(test.views), len(test.scoring)) == (8, 16)
    assert all(each.scores.shape == (16,) for each in test.candidates)
    assert TaskRecord.from_json(both.to_json()).to_json() == both.to_json()


LEAVE_OUT = with_changes(
    SETTINGS,
    ["search.view_recipe=leave_one_out", "search.views=64", "search.threshold=1", "vote.rule=hierarchical"],
)


def test_each_view_of_the_ttt_paper_leaves_one_demonstration_out_or_two_where_one_is_too_long(
    engine: LanguageModel, small_task: Task
) -> None:
    rng = np.random.default_rng(0)
    task = cells_only(small_task)
    assert {len(each.view.order) for each in ask(task, 0, engine, LEAVE_OUT, 0)} == {2}
    assert len(ask(task, 0, engine, LEAVE_OUT, 0)) <= 3 * 3 + 5
    assert len(ask(task, 0, engine, with_changes(LEAVE_OUT, ["search.views=4"]), 0)) == 4
    sizes = (4, 4, 14)
    uneven = replace(task, demonstrations=tuple(Pair(*[grid(rng.integers(0, 10, (n, n)))] * 2) for n in sizes))
    narrow = with_changes(LEAVE_OUT, ["model.context=1100"])
    fitting = ask(uneven, 0, engine, narrow, 0)
    assert {frozenset(each.view.order) for each in fitting} == {frozenset({0, 1})}, "the others do not fit"
    large = replace(task, demonstrations=tuple(Pair(*[grid(rng.integers(0, 10, (6, 6)))] * 2) for _ in range(3)))
    two_left_out = ask(large, 0, engine, narrow, 0)
    assert {len(each.view.order) for each in two_left_out} == {1}
    assert not any(each.prompt.dropped for each in two_left_out)
    huge = replace(task, demonstrations=tuple(Pair(*[grid(rng.integers(0, 10, (20, 20)))] * 2) for _ in range(3)))
    assert {(len(each.view.order), each.prompt.dropped) for each in ask(huge, 0, engine, narrow, 0)} == {(2, 2)}


def test_the_ttt_paper_s_inference_is_one_greedy_answer_a_view_and_its_vote(
    copying_model: Path, small_task: Task
) -> None:
    task = replace(small_task, tests=(grid([[1, 2], [0, 1]]),))
    settings = with_changes(LEAVE_OUT, ["adapt.rank=0", "search.best_path_max_nll=1000000"])
    record = solve(task, LanguageModel(copying_model, settings), settings, NEVER, seed=1)
    [test] = record.tests
    found = [view for each in test.candidates for view in each.found]
    assert sorted(found) == [*range(len(test.views))], "each view has one prediction"
    assert {each.view.symmetry for each in test.views} == {0, 1, 2, 4, 5, 7}


def test_half_settings_are_valid_settings() -> None:
    from submission.runner.schedule import halved

    smallest = with_changes(Settings(), ["training_rows.copies=1", "search.views=1", "training_rows.max_rows=1"])
    assert halved(smallest, memory=False) == smallest
    assert halved(SETTINGS, memory=False).search.views == 2


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
