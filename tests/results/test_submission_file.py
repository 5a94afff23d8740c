"""submission.json is complete and valid at any moment, and each score is what its name says."""

from __future__ import annotations

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.results import submission_file

PAIR = Pair(grid([[1]]), grid([[2]]))
TASKS = {
    "a": Task("a", (PAIR,), (grid([[1]]),)),
    "b": Task("b", (PAIR,), (grid([[1]]), grid([[2]]), grid([[3]]))),
}


def test_a_blank_submission_answers_every_test_of_every_task() -> None:
    blank = submission_file.blank(TASKS)
    assert submission_file.check(blank, TASKS) == []
    assert [len(entries) for entries in blank.values()] == [1, 3]


def test_every_slot_is_filled_as_far_as_there_are_candidates() -> None:
    made = submission_file.filled(submission_file.blank(TASKS), "b", [[[[6]], [[1]]], [[[7]]], []])
    assert submission_file.check(made, TASKS) == []
    assert made["b"] == [
        {"attempt_1": [[6]], "attempt_2": [[1]]},
        {"attempt_1": [[7]], "attempt_2": [[0]]},
        {"attempt_1": [[0]], "attempt_2": [[0]]},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        [], {}, {"a": submission_file.blank(TASKS)["a"]}, {**submission_file.blank(TASKS), "c": []},
        {**submission_file.blank(TASKS), "a": []}, {**submission_file.blank(TASKS), "a": [{"attempt_1": [[0]]}]},
        {**submission_file.blank(TASKS), "a": [{"attempt_1": [[0], [0, 0]], "attempt_2": [[0]]}]},
        {**submission_file.blank(TASKS), "a": [{"attempt_1": [[10]], "attempt_2": [[0]]}]},
        {**submission_file.blank(TASKS), "a": [{"attempt_1": [[True]], "attempt_2": [[0]]}]},
        {**submission_file.blank(TASKS), "a": [{"attempt_1": [[0] * 31], "attempt_2": [[0]]}]},
        {**submission_file.blank(TASKS), "a": [{"attempt_1": [], "attempt_2": [[0]]}]},
    ],
)  # fmt: skip
def test_the_check_finds_what_kaggle_would_refuse(wrong: object) -> None:
    assert submission_file.check(wrong, TASKS)
