"""One task from its JSON, checked strictly: what is wrong with it is told by its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from submission.arc.foreign_files import is_one_task
from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, Task
from submission.errors import BadInput, require
from submission.input_files import json_kind, repeated_keys

LONGEST_ID = 200
"""Most characters of a task's id."""

Outputs = tuple[Grid | None, ...]
"""The true outputs of a task, one per test input; None for one that is unknown."""


def named(task_id: str) -> str:
    """An id as a sentence shows it: short, and on one line."""
    shown = task_id if task_id.isprintable() and task_id.strip() else ascii(task_id)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def twice(key: str) -> str:
    """What is wrong with an object that has a key more than once."""
    return f"the key {named(key)!r} appears twice in one object"


def task_of(task_id: str, body: Any) -> Task:
    """The task that a body holds; BadInput with what is wrong and where, without the file and the task."""
    require(task_id.isprintable(), "an id must be of printable characters")
    require(bool(task_id), "an id must not be empty")
    require(len(task_id) <= LONGEST_ID, f"an id must have at most {LONGEST_ID} characters, not {len(task_id)}")
    _require_object(body, (), "'train' and 'test'")
    for part in ("train", "test"):
        require(part in body, f"'{part}' is missing")
        require(isinstance(body[part], list) and bool(body[part]), f"'{part}' must be a non-empty list")
    demonstrations = tuple(
        Pair(_side(pair, "train", k, "input"), _side(pair, "train", k, "output"))
        for k, pair in enumerate(body["train"])
    )
    return Task(task_id, demonstrations, tuple(_side(test, "test", k, "input") for k, test in enumerate(body["test"])))


def test_count(body: object) -> int:
    """How many test inputs a bad task has: as many as can be told, at least one."""
    tests = body.get("test") if isinstance(body, dict) else None
    return len(tests) if isinstance(tests, list) and tests else 1


def known_outputs(tests: Sequence[Mapping[str, Any]]) -> Outputs:
    """The outputs that stand beside test inputs; None for none, null or an empty list. BadInput as for `task_of`."""
    found = [test.get("output") for test in tests]
    return tuple(_grid(rows, ("test", k, "output")) if rows not in (None, []) else None for k, rows in enumerate(found))


def solution_of(outputs: object, asked: int | None) -> tuple[Grid, ...]:
    """The true outputs in a list of grids: `asked` of them, or any number (None); BadInput as for `task_of`."""
    if isinstance(outputs, dict) and is_one_task(outputs):
        raise BadInput("is a task, not its outputs: this is a file of challenges")
    if not isinstance(outputs, list) or not outputs:
        raise BadInput("expected a list of grids")
    require(asked in (None, len(outputs)), f"{len(outputs)} outputs for {asked} test inputs")
    return tuple(_grid(rows, ("output", k)) for k, rows in enumerate(outputs))


Place = tuple[str | int, ...]
"""Where in a task something stands; it becomes text only where something is wrong there."""


def _fail(at: Place, fault: str) -> NoReturn:
    raise BadInput(": ".join(filter(None, [" ".join(map(str, at)), fault])))


def _require_object(value: object, at: Place, keys: str) -> None:
    if not isinstance(value, dict):
        _fail(at, f"expected an object with {keys}")
    if repeated := repeated_keys(value):
        _fail(at, twice(min(repeated)))


def _side(entry: Any, part: str, number: int, name: str) -> Grid:
    if type(entry) is not dict:
        _require_object(entry, (part, number), f"'{name}'")
    if name not in entry:
        _fail((part, number), f"'{name}' is missing")
    return _grid(entry[name], (part, number, name))


def grid_fault(rows: object) -> str:
    """What is wrong with rows that should be a grid, 1 to 30 lists of 1 to 30 ints 0..9 of one length; "" if nothing.

    It works on whole rows, so that a large file is judged in seconds.
    """
    if not isinstance(rows, list):
        return f"it is {json_kind(rows)}, not a list of rows"
    if not rows:
        return "it is empty"
    if set(map(type, rows)) != {list} or not all(rows) or len(set(map(len, rows))) != 1:
        return _row_fault(rows)
    height, width = len(rows), len(rows[0])
    if height > LARGEST_SIDE or width > LARGEST_SIDE:
        return f"{height}x{width} is larger than {LARGEST_SIDE}x{LARGEST_SIDE}"
    cells = list(chain.from_iterable(rows))
    if set(map(type, cells)) == {int} and min(cells) >= 0 and max(cells) <= 9:
        return ""
    wrong = next(k for k, cell in enumerate(cells) if type(cell) is not int or not 0 <= cell <= 9)
    return f"row {wrong // width}, column {wrong % width} holds {_shown(cells[wrong])}, not a colour 0..9"


def _row_fault(rows: list[object]) -> str:
    """What is wrong with the first row that is none, or is of another length than the rows before it."""
    width = None
    for r, row in enumerate(rows):
        if not isinstance(row, list):
            return f"row {r} is {json_kind(row)}, not a list of cells"
        if not row:
            return f"row {r} is empty"
        if width not in (None, len(row)):
            return f"row 0 has {width} cells, row {r} has {len(row)}"
        width = len(row)
    return ""


def grid_in(rows: object) -> Grid | None:
    """The read-only grid of these rows; None where they are none."""
    if grid_fault(rows):
        return None
    assert isinstance(rows, list)
    return np.ndarray((len(rows), len(rows[0])), np.uint8, bytes(chain.from_iterable(rows)))  # of bytes: read-only


def _grid(rows: object, at: Place) -> Grid:
    made = grid_in(rows)
    if made is None:
        _fail(at, grid_fault(rows))
    return made


def _shown(cell: object) -> str:
    """A cell as JSON writes it, cut short."""
    return json_kind(cell) if isinstance(cell, list | dict) else json.dumps(cell)[:40]
