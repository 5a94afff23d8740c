"""Records: JSON at the file's edge and back, two passes joined, and what a record says of itself."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.arc.views import View, identity
from submission.solver.records import FitRecord, ProgramRecord, TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate

TASK = Task("a", (Pair(grid([[1]]), grid([[2]])),), (grid([[3]]), grid([[4, 5]])))
TURNED = View(1, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9), (0,))


def a_test(
    *candidates: tuple[int, list[float], float], exhaustive: tuple[bool | None, ...] = (True, True)
) -> TestRecord:
    """A test input of two views, with candidates [[cell]], their scores and the bounds of their sums."""
    views = tuple(ViewRecord(view, 0, each) for view, each in zip((identity(1), TURNED), exhaustive, strict=True))
    made = (Candidate(grid([[cell]]), {0: scores[0]}, np.array(scores), bound) for cell, scores, bound in candidates)
    return TestRecord(views, False, tuple(made))


RECORD = TaskRecord(
    "a",
    ((grid([[1]]), grid([[2, 2]])), ()),
    (a_test((1, [-0.5, math.nan], -1.5), (2, [-4.0, -3.0], -7.0)), a_test(exhaustive=(True, None))),
    FitRecord(64, 2, (1.5, 0.25), 3.5, "converged"),
    (ProgramRecord("def transform(grid): ...", (grid([[1]]), None), 3, "search", 0.5),),
    seconds=9.25,
    notes=("a sentence",),
    passes=2,
)


def test_a_record_survives_json() -> None:
    text = json.dumps(RECORD.to_json(), allow_nan=False)
    again = TaskRecord.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.fit == RECORD.fit and again.notes == RECORD.notes and again.passes == 2
    assert again.tests[0].views == RECORD.tests[0].views
    assert np.isnan(again.tests[0].candidates[0].scores[1]), "a missing score is null in the file"
    assert again.programs is not None and again.programs[0].answers[1] is None
    assert not again.attempts[0][0].flags.writeable


@pytest.mark.parametrize("missing", sorted(RECORD.to_json()))
def test_a_record_without_one_of_its_parts_is_no_record(missing: str) -> None:
    content = {key: value for key, value in RECORD.to_json().items() if key != missing}
    with pytest.raises(LookupError):
        TaskRecord.from_json(content)


def test_a_record_of_one_of_two_test_inputs_is_not_finished() -> None:
    partial = TaskRecord.empty(TASK).with_test(0, [grid([[1]])], a_test())
    assert not replace(partial, fit=RECORD.fit).finished
    whole = replace(partial.with_test(1, [], a_test(exhaustive=(None, None))), fit=RECORD.fit)
    assert whole.finished, "though the second has no answer"
    assert replace(partial, programs=()).finished, "programs answer all test inputs together"


def test_a_record_with_scoring_views_survives_json_and_one_without_has_no_such_key() -> None:
    plain, fresh = RECORD.tests[0], ViewRecord(View(6, (1, 0, 2, 3, 4, 5, 6, 7, 8, 9), (0,)), 1, None)
    scores = [replace(each, scores=np.array([-0.5])) for each in plain.candidates]
    test = replace(plain, candidates=tuple(scores), scoring=(fresh,))
    again = TestRecord.from_json(json.loads(json.dumps(test.to_json(), allow_nan=False)))
    assert again.to_json() == test.to_json()
    assert (again.scoring, again.scored, again.views) == ((fresh,), (fresh,), plain.views)
    assert "scoring" not in plain.to_json() and plain.scored == plain.views


def test_an_empty_record_has_a_place_for_every_test_input_and_is_not_finished() -> None:
    empty = TaskRecord.empty(TASK)
    assert (empty.attempts, len(empty.tests), empty.finished) == (((), ()), 2, False)
    assert empty.confidence() == -math.inf
    assert replace(empty, programs=()).finished, "a search that found no program came to its end"


def test_confidence_is_the_mean_log_p_a_view_of_the_least_certain_test_input() -> None:
    one, two = a_test((1, [-1.0, -1.0], 0.0)), a_test((1, [-3.0, -5.0], 0.0), (2, [-9.0, -9.0], 0.0))
    assert (one.confidence(), two.confidence()) == (-1.0, -4.0)
    assert TaskRecord("a", ((), ()), (one, two)).confidence() == -4.0


def test_a_test_input_is_complete_if_every_view_was_searched_and_every_score_is_known() -> None:
    assert a_test((1, [-1.0, -1.0], 0.0)).complete
    assert not a_test((1, [-1.0, math.nan], 0.0)).complete
    assert not a_test((1, [-1.0, -1.0], 0.0), exhaustive=(True, None)).complete
    assert a_test((1, [-1.0, -1.0], 0.0), exhaustive=(True, False)).complete, "a cut search has searched, if not all"


def test_stability_is_that_of_the_most_stable_program() -> None:
    assert (RECORD.stability, TaskRecord.empty(TASK).stability) == (0.5, -1.0)


def test_putting_a_test_in_leaves_the_others() -> None:
    changed = RECORD.with_test(1, [grid([[7]])], a_test((7, [-1.0, -1.0], 0.0)))
    assert changed.attempts[1][0].item() == 7
    assert changed.attempts[0] is RECORD.attempts[0] and changed.tests[0] is RECORD.tests[0]


def test_two_passes_give_the_same_sums_as_one_over_all_their_views() -> None:
    """The reference: candidates known to both passes, every score known; joined, the scores lie side by side."""
    rng = np.random.default_rng(0)
    scores = -rng.random((2, 3, 2))
    passes = [a_test(*((cell, scores[k, cell].tolist(), 0.0) for cell in range(3))) for k in range(2)]
    both = passes[0].joined_with(passes[1], 0.1)
    assert [each.answer.item() for each in both.candidates] == [0, 1, 2]
    for cell, each in enumerate(both.candidates):
        assert each.total() == pytest.approx(scores[:, cell].sum())
        assert each.found == {0: scores[0, cell, 0], 2: scores[1, cell, 0]}
    assert both.symmetries == [0, 1, 0, 1]
