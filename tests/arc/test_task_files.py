"""Files are read strictly: good ones round trip, bad ones are refused in one sentence that says what and where."""

from __future__ import annotations

import copy
import gzip
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submission.arc import json_files
from submission.arc.task_files import (
    read_challenges,
    read_solutions,
    read_tasks,
    require_agreement,
)
from submission.arc.tasks import Task, digest
from submission.errors import BadInput
from tests.support.cases import cases

CHALLENGES: dict[str, Any] = {
    "00576224": {
        "train": [{"input": [[0, 1], [2, 3]], "output": [[4, 5, 6]]}, {"input": [[7]], "output": [[8], [9]]}],
        "test": [{"input": [[1, 0]]}, {"input": [[3], [2]]}],
    },
    "ff28f65a": {"train": [{"input": [[5]], "output": [[5]]}], "test": [{"input": [[6]]}]},
}
SOLUTIONS: dict[str, Any] = {"00576224": [[[0]], [[1, 2]]], "ff28f65a": [[[3]]]}

FIRST = "00576224"
FIRST_CELLS = (FIRST, "train", 0, "input", 0, 1)
"""The way to one cell: task, part, pair, side, row, column."""


def changed(content: Any, way: Sequence[str | int], to: Any) -> Any:
    """A copy of `content` with the thing at the end of `way` replaced."""
    made = copy.deepcopy(content)
    place = made
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = to
    return made


def without(content: Any, *way: str | int) -> Any:
    """A copy of `content` without the thing at the end of `way`."""
    made = copy.deepcopy(content)
    place = made
    for step in way[:-1]:
        place = place[step]
    del place[way[-1]]
    return made


def written(folder: Path, content: Any, name: str = "arc_challenges.json") -> Path:
    """A file with this content: bytes as they are, text as it is, anything else as JSON."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refusal(path: Path, solutions_for: dict[str, Task] | None = None) -> str:
    """The one sentence with which this file is refused."""
    with pytest.raises(BadInput) as caught:
        if solutions_for is None:
            read_challenges(path)
        else:
            read_solutions(path, solutions_for)
    sentence, *conversion = str(caught.value).split("\n")
    assert sentence and sentence.isprintable(), "one sentence, on one line"
    assert len(conversion) in (0, 2), "and two lines that convert the file, if it has another shape"
    assert len(sentence) < 300, "a sentence, not a dump of the file"
    assert path.name in sentence, "the file is named"
    return sentence


# -- challenges -----------------------------------------------------------------------------------------------


def test_a_good_file_round_trips(tmp_path: Path) -> None:
    tasks = read_challenges(written(tmp_path, CHALLENGES))
    again = {
        task.id: {
            "train": [{"input": pair.input.tolist(), "output": pair.output.tolist()} for pair in task.demonstrations],
            "test": [{"input": each.tolist()} for each in task.tests],
        }
        for task in tasks.values()
    }
    assert again == CHALLENGES
    assert list(tasks) == list(CHALLENGES), "the order of the file is kept"


def test_the_largest_and_the_smallest_grid_are_read(tmp_path: Path) -> None:
    full = [[(r + c) % 10 for c in range(30)] for r in range(30)]
    content = changed(CHALLENGES, (FIRST, "train", 0, "input"), full)
    assert read_challenges(written(tmp_path, content))[FIRST].demonstrations[0].input.tolist() == full
    assert read_challenges(written(tmp_path, CHALLENGES))[FIRST].demonstrations[1].input.shape == (1, 1)


def test_grids_are_read_only_bytes(tmp_path: Path) -> None:
    task = read_challenges(written(tmp_path, CHALLENGES))[FIRST]
    sides = [side for pair in task.demonstrations for side in (pair.input, pair.output)]
    for each in (*sides, *task.tests):
        assert each.dtype == np.uint8
        assert not each.flags.writeable


@cases("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_usual_encodings_of_json_are_read(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, json.dumps(CHALLENGES).encode(encoding))
    assert list(read_challenges(path)) == list(CHALLENGES)


@cases("cell", [True, False, 1.0, 0.5, "1", "", None, [1], {}, 10, -1, 10**30, float("nan"), "a\nb"])
def test_a_cell_that_is_no_colour_is_refused_with_its_place(tmp_path: Path, cell: Any) -> None:
    sentence = refusal(written(tmp_path, changed(CHALLENGES, FIRST_CELLS, cell)))
    assert "task 00576224: train 0 input: row 0, column 1 " in sentence


@cases(
    ("way", "to", "told"),
    {
        "ragged rows": ((FIRST, "test", 1, "input"), [[0] * 3, [0, 0]], "test 1 input: row 0 has 3 cells, row 1 has 2"),
        "an empty grid": ((FIRST, "train", 1, "output"), [], "train 1 output: "),
        "an empty row": ((FIRST, "train", 1, "output"), [[]], "train 1 output: "),
        "an empty second row": ((FIRST, "train", 1, "output"), [[1], []], "train 1 output: "),
        "31 rows": ((FIRST, "train", 0, "output"), [[0]] * 31, "train 0 output: 31x1 is larger than 30x30"),
        "31 columns": ((FIRST, "train", 0, "output"), [[0] * 31], "train 0 output: 1x31 is larger than 30x30"),
        "a string as a grid": ((FIRST, "test", 0, "input"), "012", "test 0 input: "),
        "a string as a row": ((FIRST, "test", 0, "input"), ["012"], "test 0 input: "),
        "an object as a grid": ((FIRST, "test", 0, "input"), {"0": [1]}, "test 0 input: "),
        "an object as a row": ((FIRST, "test", 0, "input"), [{"0": 1}], "test 0 input: "),
        "null as a grid": ((FIRST, "test", 0, "input"), None, "test 0 input: "),
        "null as a row": ((FIRST, "test", 0, "input"), [None], "test 0 input: "),
        "a flat list of cells": ((FIRST, "test", 0, "input"), [0, 1, 2], "test 0 input: "),
        "a number as a grid": ((FIRST, "train", 0, "input"), 5, "train 0 input: "),
        "no demonstrations": ((FIRST, "train"), [], "'train' "),
        "no test inputs": ((FIRST, "test"), [], "'test' "),
        "demonstrations in an object": ((FIRST, "train"), {"0": {}}, "'train' "),
        "null demonstrations": ((FIRST, "train"), None, "'train' "),
        "test inputs in a string": ((FIRST, "test"), "input", "'test' "),
        "a pair in a list": ((FIRST, "train", 1), [[[0]], [[1]]], "train 1: "),
        "a null pair": ((FIRST, "train", 1), None, "train 1: "),
        "a test input without its object": ((FIRST, "test", 1), [[0]], "test 1: "),
        "a task in a list": ((FIRST,), [], ""),
        "a null task": ((FIRST,), None, ""),
    }.values(),
)  # fmt: skip
def test_what_is_no_task_is_refused_with_its_place(tmp_path: Path, way: tuple[str, ...], to: Any, told: str) -> None:
    sentence = refusal(written(tmp_path, changed(CHALLENGES, way, to)))
    assert f"task {FIRST}: {told}" in sentence


@cases(
    ("way", "told"),
    [
        ((FIRST, "train"), "'train' is missing"),
        ((FIRST, "test"), "'test' is missing"),
        ((FIRST, "train", 1, "input"), "train 1: 'input' is missing"),
        ((FIRST, "train", 0, "output"), "train 0: 'output' is missing"),
        ((FIRST, "test", 1, "input"), "test 1: 'input' is missing"),
    ],
)
def test_a_missing_key_is_named_with_its_place(tmp_path: Path, way: tuple[str, ...], told: str) -> None:
    sentence = refusal(written(tmp_path, without(CHALLENGES, *way)))
    assert f"task {FIRST}: {told}" in sentence


def test_the_second_task_is_read_as_strictly_as_the_first(tmp_path: Path) -> None:
    content = changed(CHALLENGES, ("ff28f65a", "test", 0, "input"), [[11]])
    assert "task ff28f65a: test 0 input: row 0, column 0 " in refusal(written(tmp_path, content))


def test_a_task_given_twice_is_refused(tmp_path: Path) -> None:
    body = json.dumps(CHALLENGES[FIRST])
    assert FIRST in refusal(written(tmp_path, f'{{"{FIRST}": {body}, "{FIRST}": {body}}}'))


def test_a_key_given_twice_inside_a_task_is_refused_with_the_task(tmp_path: Path) -> None:
    text = json.dumps(CHALLENGES).replace('"train":', '"train": [], "train":', 1)
    sentence = refusal(written(tmp_path, text))
    assert "'train'" in sentence
    assert f"task {FIRST}" in sentence


def test_a_key_given_twice_inside_a_pair_is_refused_with_the_task(tmp_path: Path) -> None:
    text = json.dumps(CHALLENGES).replace('"output":', '"output": [[0]], "output":', 1)
    sentence = refusal(written(tmp_path, text))
    assert "'output'" in sentence
    assert f"task {FIRST}" in sentence


@cases("task_id", ["", "a\nb", "\ud800", "a\u200bb", "\x1b[31m", "a" * 201])
def test_an_id_that_cannot_be_printed_or_is_too_long_is_refused(tmp_path: Path, task_id: str) -> None:
    refusal(written(tmp_path, {task_id: CHALLENGES[FIRST]}))


@cases("task_id", ["../elsewhere", "a/b", "a b", ".", "..", "-x", "CON", "summary", "é", "任务", "<b>", '"', "a" * 200])
def test_an_id_of_printable_characters_is_read(tmp_path: Path, task_id: str) -> None:
    assert list(read_challenges(written(tmp_path, {task_id: CHALLENGES[FIRST]}))) == [task_id]


@cases("content", [[], [CHALLENGES], "text", 5, None, True, {}])
def test_json_that_is_no_object_of_tasks_is_refused(tmp_path: Path, content: Any) -> None:
    refusal(written(tmp_path, json.dumps(content)))


@cases(
    "content",
    [
        b"",
        b"   ",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"PK\x03\x04\x14\x00\x08\x00",
        b"\x1f\x8b\x08\x00" + bytes(range(256)),
        b"\xff\xfe\x00",
        b"<!DOCTYPE html>\n<html><body>Not found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        b"id,output\n00576224_0,|12|\n",
        b'{"a": ' * 100_000,
        b'{"00576224": ' + b"9" * 5000 + b"}",
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    refusal(written(tmp_path, content))


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = json.dumps(CHALLENGES)
    for length in range(len(whole)):
        refusal(written(tmp_path, whole[:length]))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere.json")
    refusal(tmp_path)


# -- test outputs ---------------------------------------------------------------------------------------------


def with_outputs(outputs: dict[str, list[Any]]) -> dict[str, Any]:
    """The tasks with these outputs beside their test inputs."""
    content = copy.deepcopy(CHALLENGES)
    for name, each in outputs.items():
        for test, output in zip(content[name]["test"], each, strict=True):
            test["output"] = output
    return content


def listed(solutions: Any) -> dict[str, Any]:
    return {name: [None if each is None else each.tolist() for each in of] for name, of in solutions.items()}


def test_outputs_inside_the_tasks_are_the_solutions_and_no_part_of_the_tasks(tmp_path: Path) -> None:
    found = read_tasks(written(tmp_path, with_outputs(SOLUTIONS), "with.json"))
    assert digest(found.tasks) == digest(read_challenges(written(tmp_path, CHALLENGES)))
    assert listed(found.solutions()) == SOLUTIONS
    assert found.line() == "with.json: 2 tasks with 3 test inputs, 3 outputs known"


@cases(
    ("outputs", "known", "complete"),
    [
        ({}, {}, {}),
        ({FIRST: [None, None]}, {}, {}),
        ({FIRST: [[], []]}, {}, {}),
        ({FIRST: [[[1]], None]}, {FIRST: [[[1]], None]}, {}),
        ({FIRST: [[[1]], [[2]]]}, {FIRST: [[[1]], [[2]]]}, {FIRST: [[[1]], [[2]]]}),
    ],
)
def test_outputs_that_are_not_there_are_unknown(tmp_path: Path, outputs: Any, known: Any, complete: Any) -> None:
    found = read_tasks(written(tmp_path, with_outputs(outputs)))
    assert listed(found.outputs) == known
    assert listed(found.solutions()) == complete


def test_an_output_that_is_no_grid_is_told_and_does_not_cost_the_task(tmp_path: Path) -> None:
    found = read_tasks(written(tmp_path, with_outputs({FIRST: [[[1]], "not even a grid"]})))
    assert set(found.tasks) == set(CHALLENGES)
    assert found.solutions() == {}
    with pytest.raises(BadInput, match=f"task {FIRST}: test 1 output: it is a text, not a list of rows"):
        found.require_good(found.tasks)


def test_outputs_inside_and_apart_must_agree(tmp_path: Path) -> None:
    found = read_tasks(written(tmp_path, with_outputs({FIRST: [None, [[1, 2]]]})))
    solutions = read_solutions(written(tmp_path, SOLUTIONS, "arc_solutions.json"), found.tasks)
    require_agreement(found, solutions, tmp_path / "arc_solutions.json")
    other = read_solutions(written(tmp_path, changed(SOLUTIONS, (FIRST, 1, 0, 1), 3), "o.json"), found.tasks)
    with pytest.raises(
        BadInput, match=f"task {FIRST}, test 1: the output in arc_challenges.json and that in o.json differ"
    ):
        require_agreement(found, other, tmp_path / "o.json")


# -- solutions ------------------------------------------------------------------------------------------------


def test_good_solutions_round_trip(tmp_path: Path) -> None:
    tasks = read_challenges(written(tmp_path, CHALLENGES))
    solutions = read_solutions(written(tmp_path, SOLUTIONS, "arc_solutions.json"), tasks)
    assert {name: [each.tolist() for each in outputs] for name, outputs in solutions.items()} == SOLUTIONS


def test_solutions_are_read_for_the_tasks_given_only(tmp_path: Path) -> None:
    tasks = read_challenges(written(tmp_path, without(CHALLENGES, "ff28f65a")))
    assert list(read_solutions(written(tmp_path, SOLUTIONS, "arc_solutions.json"), tasks)) == [FIRST]


def test_solutions_can_be_read_without_the_challenges(tmp_path: Path) -> None:
    solutions = read_solutions(written(tmp_path, SOLUTIONS, "arc_solutions.json"))
    assert {name: [each.tolist() for each in outputs] for name, outputs in solutions.items()} == SOLUTIONS


@cases(
    ("content", "told"),
    {
        "a task without outputs": (changed(SOLUTIONS, (FIRST,), []), ""),
        "an empty grid": (changed(SOLUTIONS, (FIRST, 1), []), "output 1: "),
        "a float for a cell": (changed(SOLUTIONS, (FIRST, 1, 0, 1), 2.0), "output 1: row 0, column 1 "),
    }.values(),
)  # fmt: skip
def test_solutions_without_challenges_are_read_as_strictly(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(BadInput, match=f"^arc_solutions.json: task {FIRST}: {told}"):
        read_solutions(written(tmp_path, content, "arc_solutions.json"))


@cases(
    ("content", "told"),
    {
        "a task without a solution": (without(SOLUTIONS, FIRST), ""),
        "fewer outputs than test inputs": (without(SOLUTIONS, FIRST, 1), "1 outputs for 2 test inputs"),
        "more outputs than test inputs": (changed(SOLUTIONS, (FIRST,), [[[0]]] * 3), "3 outputs for 2 test inputs"),
        "an object of outputs": (changed(SOLUTIONS, (FIRST,), {"0": [[0]], "1": [[0]]}), ""),
        "null for a task": (changed(SOLUTIONS, (FIRST,), None), ""),
        "null for a grid": (changed(SOLUTIONS, (FIRST, 1), None), "output 1: "),
        "a grid one level too flat": (changed(SOLUTIONS, (FIRST, 1), [1, 2]), "output 1: "),
        "ragged rows": (changed(SOLUTIONS, (FIRST, 1), [[1], [1, 2]]), "output 1: row 0 has 1 cells, row 1 has 2"),
        "a colour that is none": (changed(SOLUTIONS, (FIRST, 1, 0, 1), 10), "output 1: row 0, column 1 "),
        "a bool for a cell": (changed(SOLUTIONS, (FIRST, 1, 0, 1), True), "output 1: row 0, column 1 "),
        "an attempt as Kaggle submits it": (changed(SOLUTIONS, (FIRST, 0), {"attempt_1": [[0]]}), "output 0: "),
    }.values(),
)  # fmt: skip
def test_solutions_that_do_not_fit_are_refused_with_their_place(tmp_path: Path, content: Any, told: str) -> None:
    tasks = read_challenges(written(tmp_path, CHALLENGES))
    sentence = refusal(written(tmp_path, content, "arc_solutions.json"), tasks)
    assert f"task {FIRST}: {told}" in sentence


@cases("content", [b"", b"[]", b"<html>", b"\x00\x01", b'{"00576224": [[[0'])
def test_a_solutions_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    tasks = read_challenges(written(tmp_path, CHALLENGES))
    refusal(written(tmp_path, content, "arc_solutions.json"), tasks)
    refusal(tmp_path / "nowhere.json", tasks)


# -- one odd task ---------------------------------------------------------------------------------------------------

ODD: dict[str, Any] = {
    "wide": {"train": [{"input": [[0] * 32], "output": [[1]]}], "test": [{"input": [[1]]}, {"input": [[2]]}]},
    "alone": {"train": [], "test": [{"input": [[1]]}]},
    "a\nb": CHALLENGES[FIRST],
    "listed": [],
}


def test_bad_tasks_do_not_take_the_good_ones_with_them(tmp_path: Path) -> None:
    path = written(tmp_path, {**CHALLENGES, **ODD})
    found = read_tasks(path)
    assert list(found.tasks) == list(CHALLENGES)
    assert {name: bad.tests for name, bad in found.bad.items()} == {"wide": 2, "alone": 1, "a\nb": 2, "listed": 1}
    sentence = refusal(path)
    assert sentence.startswith(
        "arc_challenges.json: 4 of 6 tasks cannot be read, the first: task wide: train 0 input: "
    )
    assert "; task alone: 'train' must be a non-empty list; task 'a\\nb': an id must" in sentence
    assert "listed" not in sentence, "three are named"


def test_a_task_given_twice_is_bad_alone_and_has_as_many_tests_as_its_last_form(tmp_path: Path) -> None:
    one, two = (json.dumps(CHALLENGES[name]) for name in CHALLENGES)
    found = read_tasks(written(tmp_path, f'{{"a": {two}, "b": {two}, "a": {one}}}'))
    assert list(found.tasks) == ["b"]
    assert found.bad["a"].tests == 2


# -- folders, single files, compressed files ----------------------------------------------------------------------


def test_a_folder_holds_one_task_in_each_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "training" / "deep").mkdir(parents=True)
    (folder / "evaluation").mkdir()
    (folder / "__MACOSX").mkdir()
    (folder / ".git").mkdir()
    body = with_outputs(SOLUTIONS)[FIRST]
    written(folder / "training", body, "one.json")
    written(folder / "training" / "deep", b"\xef\xbb\xbf" + json.dumps(body).encode(), "two.JSON")
    written(folder / "evaluation", gzip.compress(json.dumps(body).encode()), "three.json.gz")
    for ignored in ("__MACOSX/._one.json", ".git/config.json", "training/._one.json", "README.md", "table.csv"):
        written(folder, b"\0\5\x16\7", ignored)
    found = read_tasks(folder)
    assert list(found.tasks) == ["three", "one", "two"]
    assert listed(found.solutions()) == dict.fromkeys(found.tasks, SOLUTIONS[FIRST])
    written(folder / "evaluation", CHALLENGES["ff28f65a"], "one.json")
    assert list(read_tasks(folder).tasks) == ["evaluation/one", "three", "training/one", "two"], "told apart"
    written(folder / "evaluation", body, "three.json")
    assert "plain and gzipped" in folder_refusal(folder)


def folder_refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read_tasks(folder)
    return str(caught.value)


def test_a_folder_of_other_things_is_refused_and_an_odd_file_in_it_is_a_bad_task(tmp_path: Path) -> None:
    assert "no JSON file in this folder" in folder_refusal(tmp_path)
    written(tmp_path, b"PAR1", "tasks.parquet")
    assert "but e.g. tasks.parquet" in folder_refusal(tmp_path)
    written(tmp_path, CHALLENGES, "arc_challenges.json")
    assert "arc_challenges.json: holds 2 tasks" in folder_refusal(tmp_path)
    written(tmp_path, CHALLENGES[FIRST], "one.json")
    written(tmp_path, [{"input": [[1]], "output": [[1]]}], "pairs.json")
    written(tmp_path, "{", "cut.json")
    os.mkfifo(tmp_path / "pipe.json")
    found = read_tasks(tmp_path)
    assert list(found.tasks) == ["one"]
    assert set(found.bad) == {"arc_challenges", "pairs", "cut", "pipe"}


@cases("name", ["one.json", "one.json.gz", "one.JSON"])
def test_a_file_of_one_task_has_its_name_as_id(tmp_path: Path, name: str) -> None:
    text = json.dumps(CHALLENGES[FIRST]).encode()
    found = read_tasks(written(tmp_path, gzip.compress(text) if name.endswith("gz") else text, name))
    assert list(found.tasks) == ["one"]


def test_a_gzipped_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(CHALLENGES).encode())
    assert list(read_tasks(written(tmp_path, whole, "a.json.gz")).tasks) == list(CHALLENGES)
    for spoilt in (whole[:-9], whole[:40], b"\x1f\x8b", whole[:20] + b"\xff" * 30):
        assert "gzip" in refusal(written(tmp_path, spoilt, "a.json.gz"))


# -- files without an end -----------------------------------------------------------------------------------------


@cases("path", ["/dev/zero", "/dev/null", "/dev/urandom", "pipe"])
def test_only_regular_files_are_read(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    if path == "pipe":
        os.mkfifo(tmp_path_factory.getbasetemp() / "pipe")
        path = str(tmp_path_factory.getbasetemp() / "pipe")
    for read in (read_challenges, read_solutions):
        with pytest.raises(BadInput, match="not a regular file"):
            read(Path(path))


def test_a_file_is_read_up_to_the_limit_also_after_decompression(tmp_path: Path) -> None:
    text = json.dumps(CHALLENGES).encode()
    padded = text + b" " * 10_000_000
    for content in (padded, gzip.compress(padded)):
        with pytest.raises(BadInput, match="has more than 0 MiB"):
            json_files.read_json(written(tmp_path, content), limit=1000)
    assert json_files.read_json(written(tmp_path, text), limit=len(text)) == CHALLENGES


@cases("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": {"train": ' + "[" * 900 + "]" * 900 + ', "test": []}}'])
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    refusal(written(tmp_path, text))


def large(tasks: int) -> str:
    """A file of so many tasks, each with 7 grids of 15 x 15."""
    rows = [[(r * c) % 10 for c in range(15)] for r in range(15)]
    pair = {"input": rows, "output": rows}
    body = json.dumps({"train": [pair] * 3, "test": [{"input": rows}]})
    return "{" + ",".join(f'"{k:08x}": {body}' for k in range(tasks)) + "}"


def seconds(path: Path) -> float:
    began = time.process_time()
    assert len(read_tasks(path).tasks) > 0
    return time.process_time() - began


def test_the_time_to_read_grows_with_the_file_and_is_a_few_times_that_of_its_json(tmp_path: Path) -> None:
    small, big = (written(tmp_path, large(number), f"{number}.json") for number in (60, 480))
    one, eight = min(seconds(small) for _ in range(3)), min(seconds(big) for _ in range(2))
    began = time.process_time()
    json.loads(big.read_bytes())
    plain = time.process_time() - began
    assert eight < 16 * one
    assert eight < 6 * plain


@pytest.mark.slow
def test_120_megabytes_are_read_in_20_seconds(tmp_path: Path) -> None:
    path = written(tmp_path, large(120_000_000 // len(large(1))))
    assert path.stat().st_size > 119_000_000
    assert seconds(path) < 20


def test_tasks_beside_the_train_and_test_of_one_task_are_not_dropped(tmp_path: Path) -> None:
    one = {"train": [{"input": [[1]], "output": [[1]]}], "test": [{"input": [[1]]}]}
    (tmp_path / "tasks.json").write_text(json.dumps({**one, "another": one}))
    with pytest.raises(BadInput, match="holds 1 more tasks, the first 'another'"):
        read_tasks(tmp_path / "tasks.json")


def test_a_gzip_file_of_very_many_members_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_bytes(gzip.compress(b"") * 100_001)
    with pytest.raises(BadInput, match="more than 100000 gzip members"):
        read_tasks(tmp_path / "tasks.json")
