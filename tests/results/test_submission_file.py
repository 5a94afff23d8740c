"""submission.json is complete and valid at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
    made = submission_file.filled(submission_file.blank(TASKS), "b", [[grid([[6]]), grid([[1]])], [grid([[7]])], []])
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
