"""From views to candidates: what is pooled, when it is settled, and that settling changes no attempt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, Pair, Task, grid, grid_key
from submission.arc.views import View, identity
from submission.config import with_changes
from submission.deadline import NEVER, Deadline, within
from submission.presets import PRESETS
from submission.solver import voting
from submission.solver.candidates import ViewSearch, guess, pooled, scored_anew, search_views
from submission.solver.engine import Proposal, Question, Scores, ViewResult
from submission.solver.records import TestRecord, ViewRecord
from submission.solver.voting import Candidate
from tests.support.clock import Clock

SETTINGS = with_changes(PRESETS["laptop"], ["search.views=8", "search.threshold=0.05", "adapt.rank=0"])
WHOLE = with_changes(SETTINGS, ["search.exhaustive=True"])


def shown(*views: View) -> list[Question]:
    return [Question(view, Prompt(np.zeros(1, np.int64), 0)) for view in views]


def test_answers_are_pooled_in_the_tasks_own_frame() -> None:
    turn = View(1, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9), (0,))
    answer = grid([[1, 2, 3], [4, 5, 6]])
    other = grid([[9]])
    found = [
        ViewResult((Proposal(answer, -0.1, True),), True),
        ViewResult((Proposal(turn.see(answer), -0.2, True), Proposal(turn.see(other), -2.0, True)), True),
        ViewResult((Proposal(other, -9.0, False),), True),
    ]
    pool = pooled(shown(identity(1), turn, identity(1)), found)
    assert {grid_key(a): by for a, by in pool} == {grid_key(answer): {0: -0.1, 1: -0.2}, grid_key(other): {1: -2.0}}


def test_best_paths_count_as_found_only_where_nothing_is_above_the_threshold() -> None:
    weak = [ViewResult((Proposal(grid([[k]]), -5.0, False),), True) for k in range(2)]
    assert [by for _, by in pooled(shown(*[identity(1)] * 2), weak)] == [{0: -5.0}, {1: -5.0}]
    strong = ViewResult((Proposal(grid([[7]]), -0.5, True),), True)
    assert [by for _, by in pooled(shown(*[identity(1)] * 3), [*weak, strong])] == [{}, {}, {2: -0.5}]


class Scripted:
    """An inference whose views say of ten answers what a table says: log p [view, answer]."""

    answers = tuple(grid([[k]]) for k in range(10))

    def __init__(self, log_p: NDArray[np.float64], threshold: float) -> None:
        self.log_p, self.threshold = log_p, threshold

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        found = []
        for k in which:
            above = [c for c in range(10) if self.log_p[k, c] >= math.log(self.threshold)]
            some = above or [int(self.log_p[k].argmax())] * best_paths
            found.append(
                ViewResult(tuple(Proposal(self.answers[c], self.log_p[k, c], bool(above)) for c in some), True)
            )
        return found

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        table = self.log_p[:, [int(each[0, 0]) for each in answers]]
        return Scores(table, table.sum(axis=0))


def test_what_is_settled_early_has_the_attempts_of_the_whole_search() -> None:
    task = Task("t", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]),))
    early = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        liking = rng.normal(size=10) * rng.uniform(0, 4)
        table = liking + rng.normal(size=(8, 10)) * rng.uniform(0, 2)
        engine = Scripted(table - np.log(np.exp(table).sum(axis=1, keepdims=True)), SETTINGS.search.threshold)
        questions = shown(*[identity(1)] * 8)
        quick, whole = (
            search_views(engine, task, task.tests[0], questions, each, NEVER, 0) for each in (SETTINGS, WHOLE)
        )
        attempts, true = (
            {grid_key(answer) for answer in voting.rank(each.candidates, [0] * 8, "poe")[:2]} for each in (quick, whole)
        )
        assert attempts == true
        assert len(whole.found) == 8
        assert len(quick.found) == 8 or quick.settled
        early += len(quick.found) < 8
    assert early > 30, "the comparison must be about something"


class Slow(Scripted):
    """One that takes a second for each view that it has not seen, as long as there is time."""

    def __init__(self, log_p: NDArray[np.float64], threshold: float, clock: Clock) -> None:
        super().__init__(log_p, threshold)
        self.clock = clock
        self.seen: set[int] = set()
        self.asked: list[tuple[list[int], bool]] = []

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        self.asked.append(([*which], best_paths))
        for k in which:
            if k not in self.seen and not until.passed():
                self.seen.add(k)
                self.clock.now += 1.0
        found = super().propose(which, drafts, until, seed, best_paths)
        return [each if k in self.seen else ViewResult((), False) for k, each in zip(which, found, strict=True)]


@pytest.mark.parametrize(("seconds", "secured"), [(5.0, True), (50.0, False)])
def test_where_time_will_not_do_for_all_views_the_first_ones_give_any_answer_first(
    seconds: float, secured: bool
) -> None:
    clock = Clock()
    engine = Slow(np.full((8, 10), math.log(1e-3)), SETTINGS.search.threshold, clock)
    task = Task("t", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]),))
    sought = search_views(engine, task, task.tests[0], shown(*[identity(1)] * 8), SETTINGS, within(seconds, clock), 0)
    every = [*range(8)]
    assert engine.asked == [([0, 1], False), *([([0, 1], True)] if secured else []), (every, True)]
    assert sought.candidates
    assert [each.exhaustive for each in sought.found] == [k in engine.seen for k in every]


def agreeing(*sure: bool) -> Scripted:
    """An engine whose views all like one answer best, some of them surely, and one other of its own."""
    table = np.full((len(sure), 10), math.log(1e-6))
    for k, certain in enumerate(sure):
        table[k, 0], table[k, 1 + k] = (math.log(0.8), math.log(0.1)) if certain else (math.log(0.4), math.log(0.3))
    return Scripted(table, SETTINGS.search.threshold)


@pytest.mark.parametrize(
    ("sure", "symmetries", "searched"),
    [
        ((True,) * 8, range(8), 3),
        ((True, True, False, *[True] * 5), range(8), 8),
        ((True, False, *[True] * 6), range(8), 8),
        ((True,) * 8, (0, 1, 1, 3, 4, 5, 6, 7), 8),
    ],
)
def test_an_agreement_of_two_views_counts_once_a_third_symmetry_agrees(
    sure: tuple[bool, ...], symmetries: Sequence[int], searched: int
) -> None:
    task = Task("t", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]),))
    questions = shown(*[View(symmetry, tuple(range(10)), (0,)) for symmetry in symmetries])
    sought = search_views(agreeing(*sure), task, task.tests[0], questions, SETTINGS, NEVER, 0)
    assert len(sought.found) == searched
    assert sought.settled == (searched == 3)
    assert voting.rank(sought.candidates, symmetries, "poe")[0].item() == 0
    never = with_changes(SETTINGS, ["search.early_stop_probability=1.0"])
    assert len(search_views(agreeing(*sure), task, task.tests[0], questions, never, NEVER, 0).found) == 8


def test_where_other_views_give_the_scores_no_agreement_and_no_bound_stops_the_search() -> None:
    """A grid that no view has found may be likely under views that had no part in the search."""
    task = Task("t", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]),))
    questions = shown(*[View(symmetry, tuple(range(10)), (0,)) for symmetry in range(8)])
    settings = with_changes(SETTINGS, ["search.scoring_views=2"])
    sought = search_views(agreeing(*[True] * 8), task, task.tests[0], questions, settings, NEVER, 0)
    assert (len(sought.found), sought.settled) == (8, False)


def test_candidates_scored_anew_keep_who_found_them_and_get_the_other_views_scores() -> None:
    task = Task("t", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]),))
    settings = with_changes(SETTINGS, ["search.scoring_views=2"])
    sought = search_views(agreeing(*[True] * 8), task, task.tests[0], shown(*[identity(1)] * 8), settings, NEVER, 0)
    others = np.log(np.tile([[0.1, 0.7], [0.1, 0.8]], (1, 5)))
    anew = scored_anew(Scripted(others, 0.05), sought, shown(*[identity(1)] * 2), settings, NEVER, False)
    before, after = ({grid_key(each.answer): each for each in one.candidates} for one in (sought, anew))
    assert before.keys() == after.keys()
    for key, each in after.items():
        assert each.found == before[key].found
        assert each.scores.tolist() == others[:, each.answer.item()].tolist()
    assert voting.rank(sought.candidates, [0] * 8, "poe")[0].item() == 0
    assert voting.rank(anew.candidates, [0] * 8, "poe")[0].item() == 1, "these views like the odd ones"
    kept = TestRecord.from_json(anew.record(shown(*[identity(1)] * 8)).to_json())
    assert (len(kept.views), len(kept.scoring), kept.searched) == (8, 2, 8)
    assert kept.complete and kept.confidence() == pytest.approx(math.log(0.7 * 0.8) / 2)


def test_a_record_gives_the_candidates_back() -> None:
    candidate = Candidate(grid([[1, 2]]), {1: -0.5}, np.array([np.nan, -0.5]), -3.0)
    sought = ViewSearch((candidate,), (ViewResult((), True),), settled=True)
    kept = TestRecord.from_json(sought.record(shown(identity(1), identity(1))).to_json())
    [again] = kept.candidates
    assert grid_key(again.answer) == grid_key(candidate.answer)
    assert again.found == {1: -0.5}
    assert np.array_equal(again.scores, candidate.scores, equal_nan=True)
    assert again.at_most == -3.0
    assert kept.symmetries == [0, 0]
    assert [view.exhaustive for view in kept.views] == [True, None]


@pytest.mark.parametrize(
    ("sizes", "query", "expected"),
    [
        ([((2, 3), (2, 3)), ((4, 4), (4, 4))], (5, 6), (5, 6)),
        ([((2, 3), (4, 6)), ((1, 1), (2, 2))], (3, 3), (6, 6)),
        ([((2, 3), (1, 1)), ((4, 4), (1, 1))], (5, 6), (1, 1)),
        ([((2, 3), (1, 1)), ((4, 4), (2, 9))], (5, 6), (5, 6)),
        ([((2, 2), (8, 8)), ((1, 1), (4, 4))], (20, 20), (30, 30)),
    ],
)
def test_the_first_guess_has_the_size_that_the_demonstrations_suggest(
    sizes: list[tuple[tuple[int, int], tuple[int, int]]], query: tuple[int, int], expected: tuple[int, int]
) -> None:
    pairs = tuple(Pair(grid(np.zeros(i)), grid(np.zeros(o))) for i, o in sizes)
    asked = grid(np.zeros(query))
    assert guess(Task("t", pairs, (asked,)), asked).shape == expected


def a_pass(*candidates: tuple[int, list[float], float], exhaustive: bool = True) -> TestRecord:
    """A record of two views with candidates [[cell]], their scores and the bounds of their sums."""
    views = tuple(ViewRecord(View(symmetry, tuple(range(10)), (0,)), 0, exhaustive) for symmetry in (3, 5))
    made = (Candidate(grid([[c]]), {1: scores[1]}, np.array(scores), at_most) for c, scores, at_most in candidates)
    return TestRecord(views, True, tuple(made))


def test_two_passes_are_voted_on_by_the_views_of_both() -> None:
    first = a_pass((1, [-1.0, -1.0], -2.0), (2, [-0.5, -0.5], -1.0))
    second = a_pass((1, [-0.1, -0.1], -0.2), (2, [-3.0, -3.0], -6.0))
    both = first.joined_with(second, 0.1)
    candidates = both.candidates
    assert both.symmetries == [3, 5, 3, 5]
    assert [(each.answer.item(), each.total()) for each in candidates] == [(1, -2.2), (2, -7.0)]
    assert candidates[0].found == {1: -1.0, 3: -0.1}


def test_what_one_pass_did_not_find_counts_as_hardly_likely_there() -> None:
    first, second = a_pass((1, [-0.2, -0.2], -0.4)), a_pass((2, [-0.1, -0.1], -0.2))
    for exhaustive, bound in ((True, 2 * math.log(0.1)), (False, 0.0)):
        earlier = replace(first, views=a_pass(exhaustive=exhaustive).views)
        made = {each.answer.item(): each for each in earlier.joined_with(second, 0.1).candidates}
        assert made[2].at_most == pytest.approx(bound - 0.2)
        assert np.isnan(made[2].scores[:2]).all()
        assert made[2].found == {3: -0.1}


def test_two_passes_of_which_one_was_scored_under_other_views_are_joined_score_by_score() -> None:
    first = a_pass((1, [-1.0, -1.0], -2.0), (3, [-2.0, -2.0], -4.0))
    second = a_pass((1, [-0.1, -0.1], -0.2), (2, [-3.0, -3.0], -6.0))
    three = tuple(ViewRecord(View(symmetry, tuple(range(10)), (0,)), 0, None) for symmetry in (0, 1, 2))
    scored = [replace(each, scores=np.full(3, -0.5), at_most=-1.5) for each in second.candidates]
    other = replace(second, candidates=tuple(scored), scoring=three)
    for passes in ((first, other), (other, first)):
        both = passes[0].joined_with(passes[1], 0.1)
        assert [each.view.symmetry for each in both.views] == [3, 5, 3, 5]
        assert both.scoring == passes[0].scored + passes[1].scored
        made = {each.answer.item(): each for each in both.candidates}
        assert {cell: each.scores.shape for cell, each in made.items()} == dict.fromkeys((1, 2, 3), (5,))
        assert {cell: int(np.isnan(each.scores).sum()) for cell, each in made.items()} == {1: 0, 2: 2, 3: 3}
        assert made[1].total() == pytest.approx(-3.5)
        assert made[2].at_most == pytest.approx(2 * math.log(0.1) - 1.5), "two views searched, and they gave the scores"
        assert made[3].at_most == pytest.approx(3 * math.log(0.1) - 4.0), "as unlikely under each of the three others"
        assert not both.complete and both.confidence() == pytest.approx(made[1].total() / 5)


def test_a_pass_that_did_not_reach_a_test_adds_nothing() -> None:
    second = a_pass((2, [-0.1, -0.1], -0.2))
    assert TestRecord().joined_with(second, 0.1).to_json() == replace(second, settled=False).to_json()


def test_answers_that_are_known_are_pooled_too() -> None:
    found = [ViewResult((Proposal(grid([[1]]), -0.1, True),), True)]
    pool = pooled(shown(identity(1)), found, [grid([[2]]), grid([[1]])])
    assert [(answer.item(), by) for answer, by in pool] == [(1, {0: -0.1}), (2, {})]


def test_an_answer_whose_probability_is_no_number_is_a_failure_not_an_answer() -> None:
    with pytest.raises(FloatingPointError):
        pooled(shown(identity(1)), [ViewResult((Proposal(grid([[1]]), math.nan, True),), True)])
