"""Each score is what its name says, and a missing task counts as wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.results import scores, submission_file
from submission.solver.records import ProgramRecord, TaskRecord, TestRecord
from submission.solver.voting import Candidate

PAIR = Pair(grid([[1]]), grid([[2]]))
TASKS = {
    "a": Task("a", (PAIR,), (grid([[1]]),)),
    "b": Task("b", (PAIR,), (grid([[1]]), grid([[2]]), grid([[3]]))),
}
SOLUTIONS = {"a": (grid([[5]]),), "b": (grid([[6]]), grid([[7]]), grid([[8, 8]]))}


def test_the_three_scores_differ_and_a_missing_task_is_wrong() -> None:
    made = submission_file.filled(
        submission_file.blank(TASKS), "b", [[grid([[6]])], [grid([[1]]), grid([[7]])], [grid([[8]])]]
    )
    score = scores.score(made, SOLUTIONS)
    assert score["score_by_output"] == pytest.approx(2 / 4)
    assert score["score_by_task"] == pytest.approx((0 + 2 / 3) / 2)
    assert score["score_strict"] == 0
    assert score["solved_tasks"] == 0
    assert scores.score({"a": [{"attempt_1": [[0]], "attempt_2": [[5]]}]}, SOLUTIONS) == {
        "solved_tasks": 1, "score_by_output": 1 / 4, "score_by_task": 1 / 2, "score_strict": 1 / 2,
    }  # fmt: skip
    assert scores.score({}, SOLUTIONS)["score_by_output"] == 0


def test_shape_counts_not_only_cells() -> None:
    flat, tall = (grid([[1, 2]]),), (grid([[1], [2]]),)
    made = {"x": [{"attempt_1": [[1, 2]], "attempt_2": [[0]]}]}
    assert scores.score(made, {"x": flat})["solved_tasks"] == 1
    assert scores.score(made, {"x": tall})["solved_tasks"] == 0


@pytest.mark.parametrize(
    "entries",
    [
        [{"attempt_1": [[0]], "attempt_2": [[0]], "attempt_3": [[5]]}],
        [{"attempt_1": [[0]], "attempt_2": [[0]], **{f"guess {k}": [[k]] for k in range(10)}}],
        [{"attempt_1": [[5]]}], [{"attempt_1": [[5]], "attempt_2": None}], [{"attempt_1": [[5]], "attempt_2": []}],
        [{"attempt_1": [[5]], "attempt_2": [[0]]}] * 2, {"0": {"attempt_1": [[5]], "attempt_2": [[0]]}},
        [{"attempt_1": [["5"]], "attempt_2": [[0]]}], [{"attempt_1": [[5.0]], "attempt_2": [[0]]}], [[[5]]], None, [],
    ],
)  # fmt: skip
def test_an_entry_that_is_not_valid_is_never_right(entries: object) -> None:
    [scored] = scores.score_tasks({"a": entries}, {"a": SOLUTIONS["a"]})
    assert (scored.right, scored.solved, bool(scored.faults)) == ((0,), False, True)
    assert scores.score({"a": entries}, SOLUTIONS)["score_by_output"] == 0


def test_the_line_of_a_task_says_which_attempt_is_right_and_what_is_wrong() -> None:
    made = {"b": [{"attempt_1": [[6]], "attempt_2": [[0]]}, {"attempt_1": [[0]], "attempt_2": [[7]]}, None]}
    _, line = (each.line() for each in scores.score_tasks(made, SOLUTIONS))
    fault = "test 2: is null, not an object with attempt_1 and attempt_2"
    assert line == f"b  2 of 3 right  by attempt 1,2,-  {fault}"


def test_coverage_counts_candidates_chosen_or_not() -> None:
    two = tuple(Candidate(grid([[c]]), {}, np.array([-1.0])) for c in (1, 6))
    record = TaskRecord("b", ((), (), ()), (TestRecord(candidates=two), TestRecord(), TestRecord()))
    assert scores.coverage({"b": record}, SOLUTIONS) == 1 / 4
    program = ProgramRecord("", (None, grid([[7]]), None), 1, "search", 1.0)
    assert scores.coverage({"b": replace(record, programs=(program,))}, SOLUTIONS) == 2 / 4
