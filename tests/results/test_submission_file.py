"""submission.json is complete and valid at any moment, and each score is what its name says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

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


def test_a_blank_submission_answers_every_test_of_every_task() -> None:
    blank = submission_file.blank(TASKS)
    assert submission_file.check(blank, TASKS) == []
    assert [len(entries) for entries in blank.values()] == [1, 3]


def test_every_slot_is_filled_as_far_as_there_are_candidates() -> None:
    made = submission_file.filled(submission_file.blank(TASKS), "b", [[grid([[6]]), grid([[1]])], [grid([[7]])], []])
    assert submission_file.check(made, TASKS) == []
    assert made["b"] == [
        {"attempt_1": [[6]], "attempt_2": [[1]]},
        {"attempt_1": [[7]], "attempt_2": [[0]]},
        {"attempt_1": [[0]], "attempt_2": [[0]]},
    ]


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


def test_coverage_counts_candidates_chosen_or_not() -> None:
    two = tuple(Candidate(grid([[c]]), {}, np.array([-1.0])) for c in (1, 6))
    record = TaskRecord("b", ((), (), ()), (TestRecord(candidates=two), TestRecord(), TestRecord()))
    assert scores.coverage({"b": record}, SOLUTIONS) == 1 / 4
    program = ProgramRecord("", (None, grid([[7]]), None), 1, "search", 1.0)
    assert scores.coverage({"b": replace(record, programs=(program,))}, SOLUTIONS) == 2 / 4


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


def test_killed_in_the_middle_of_writing_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    code = (
        "import sys; from pathlib import Path; from submission.atomic import write_json\n"
        "k = 0\n"
        "while True:\n"
        "    write_json(Path(sys.argv[1]), {'k': k, 'filler': str(k % 10) * 20_000_000}); k += 1\n"
    )
    for wait in (0.05, 0.11, 0.17, 0.23):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(wait)
        for _ in range(3):  # Whoever reads while it is being written finds a whole file as well.
            json.loads(path.read_text())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        content = json.loads(path.read_text())
        assert content["filler"] == str(content["k"] % 10) * 20_000_000
