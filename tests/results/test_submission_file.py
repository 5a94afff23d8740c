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
from submission.errors import BadInput
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


GOOD = {"attempt_1": [[1]], "attempt_2": [[2, 3]]}


def entry(rows: object) -> dict[str, object]:
    """An entry whose second attempt is this."""
    return {"attempt_1": [[1]], "attempt_2": rows}


FAULTS: list[tuple[object, str]] = [
    (None, "is null, not a list of entries"),
    ({"0": GOOD}, "is an object, not a list of entries"),
    ("x", "is a text, not a list of entries"),
    ([], "expected 1 entry, one for each test input, found 0"),
    ([GOOD, GOOD], "expected 1 entry, one for each test input, found 2"),
    ([None], "test 0: is null, not an object with attempt_1 and attempt_2"),
    ([[[1]]], "test 0: is a list, not an object with attempt_1 and attempt_2"),
    ([{"attempt_2": [[1]]}], "test 0: attempt_1 is missing"),
    ([{"attempt_1": [[1]]}], "test 0: attempt_2 is missing"),
    ([{**GOOD, "attempt_3": [[1]]}], "test 0: 'attempt_3' is no attempt: only attempt_1 and attempt_2 exist"),
    ([{**GOOD, "answer": [[1]]}], "test 0: 'answer' is no attempt: only attempt_1 and attempt_2 exist"),
    ([entry(None)], "test 0: attempt_2 is not a grid: it is null, not a list of rows"),
    ([entry({"0": [1]})], "test 0: attempt_2 is not a grid: it is an object, not a list of rows"),
    ([entry("1")], "test 0: attempt_2 is not a grid: it is a text, not a list of rows"),
    ([entry([])], "test 0: attempt_2 is not a grid: it is empty"),
    ([entry([[]])], "test 0: attempt_2 is not a grid: row 0 is empty"),
    ([entry([1, 2])], "test 0: attempt_2 is not a grid: row 0 is a number, not a list of cells"),
    ([entry([[1, 2], [1]])], "test 0: attempt_2 is not a grid: row 0 has 2 cells, row 1 has 1"),
    ([entry([[0] * 31])], "test 0: attempt_2 is not a grid: 1x31 is larger than 30x30"),
    ([entry([[0]] * 31)], "test 0: attempt_2 is not a grid: 31x1 is larger than 30x30"),
    ([entry([[1, "1"]])], 'test 0: attempt_2 is not a grid: row 0, column 1 holds "1", not a colour 0..9'),
    ([entry([[1.0]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds 1.0, not a colour 0..9"),
    ([entry([[float("nan")]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds NaN, not a colour 0..9"),
    ([entry([[True]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds true, not a colour 0..9"),
    ([entry([[None]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds null, not a colour 0..9"),
    ([entry([[[1]]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds a list, not a colour 0..9"),
    ([entry([[10]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds 10, not a colour 0..9"),
    ([entry([[-1]])], "test 0: attempt_2 is not a grid: row 0, column 0 holds -1, not a colour 0..9"),
]


@pytest.mark.parametrize(("entries", "fault"), FAULTS)
def test_each_fault_of_a_task_has_its_words_and_takes_the_whole_entry_with_it(entries: object, fault: str) -> None:
    found = submission_file.checked({"a": entries}, "a", 1)
    assert found.faults == (fault,)
    assert found.entries == (None,)
    assert submission_file.check({"a": entries}, {"a": TASKS["a"]}) == [f"task a: {fault}"]


def test_the_other_entries_of_a_task_stay_valid_unless_their_number_is_wrong() -> None:
    first = ([[1]], [[2, 3]])
    assert submission_file.checked({"b": [GOOD, None, GOOD]}, "b", 3).entries == (first, None, first)
    assert submission_file.checked({"b": [GOOD, GOOD]}, "b", 3).entries == (None,) * 3
    assert submission_file.checked({}, "b", 3).faults == ("is missing",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": [GOOD], "a": [GOOD]}', "appears twice"),
        ('{"a": [{"attempt_1": [[1]], "attempt_1": [[2]], "attempt_2": [[3]]}]}', "test 0: attempt_1 appears twice"),
        ('{"a": [{"attempt_1": [[Infinity]], "attempt_2": [[3]]}]}', None),
    ],
)
def test_what_stands_twice_in_a_file_is_a_fault(tmp_path: Path, text: str, fault: str | None) -> None:
    (path := tmp_path / "s.json").write_text(text.replace("GOOD", json.dumps(GOOD)))
    found = submission_file.checked(submission_file.read(path), "a", 1)
    assert found.entries == (None,)
    assert fault is None or found.faults == (fault,)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"), ('{"a": []}'.encode("utf-16"), "byte order mark"),
        (b"", "whole JSON"), (b'{"a": ', "whole JSON"), (b"\xff", "whole JSON"), (b"[" * 100_000, "whole JSON"),
        (b"[]", "but a list"), (b"null", "but null"), (b"1" * 5000, "whole JSON"), (None, "not a regular file"),
    ],
)  # fmt: skip
def test_what_is_no_submission_at_all_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "s.json"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=told) as caught:
        submission_file.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="there is no such file"):
        submission_file.read(tmp_path / "none.json")


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
