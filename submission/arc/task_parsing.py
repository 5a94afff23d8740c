"""One task from its JSON, checked strictly: what is wrong with it is told by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from submission.arc.foreign_files import is_one_task
from submission.arc.json_files import RepeatedKeys
from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, Task
from submission.errors import BadInput, require

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


def test_count(body: Any) -> int:
    """How many test inputs a bad task has: as many as can be told, at least one."""
    tests = body.get("test") if isinstance(body, dict) else None
    return len(tests) if isinstance(tests, list) and tests else 1


def known_outputs(tests: Sequence[Mapping[str, Any]]) -> Outputs:
    """The outputs that stand beside test inputs; None for none, null or an empty list. BadInput as for `task_of`."""
    found = [test.get("output") for test in tests]
    return tuple(_grid(rows, ("test", k, "output")) if rows not in (None, []) else None for k, rows in enumerate(found))


def solution_of(outputs: Any, asked: int | None) -> tuple[Grid, ...]:
    """The true outputs in a list of grids: `asked` of them, or any number (None); BadInput as for `task_of`."""
    if isinstance(outputs, dict) and is_one_task(outputs):
        raise BadInput("is a task, not its outputs: this is a file of challenges")
    require(isinstance(outputs, list) and bool(outputs), "expected a list of grids")
    require(asked in (None, len(outputs)), f"{len(outputs)} outputs for {asked} test inputs")
    return tuple(_grid(rows, ("output", k)) for k, rows in enumerate(outputs))


Place = tuple[str | int, ...]
"""Where in a task something stands; it becomes text only where something is wrong there."""


def _fail(at: Place, fault: str) -> NoReturn:
    raise BadInput(": ".join(filter(None, [" ".join(map(str, at)), fault])))


def _require_object(value: Any, at: Place, keys: str) -> None:
    if not isinstance(value, dict):
        _fail(at, f"expected an object with {keys}")
    if isinstance(value, RepeatedKeys):
        _fail(at, twice(min(value.repeated)))


def _side(entry: Any, part: str, number: int, name: str) -> Grid:
    if type(entry) is not dict:
        _require_object(entry, (part, number), f"'{name}'")
    if name not in entry:
        _fail((part, number), f"'{name}' is missing")
    return _grid(entry[name], (part, number, name))


def _grid(rows: Any, at: Place) -> Grid:
    """A read-only grid of rows from a file. It works on whole rows, so that a large file is read in seconds."""
    if not isinstance(rows, list) or not rows:
        _fail(at, "a grid must be a non-empty list of rows")
    if set(map(type, rows)) != {list} or not all(rows):
        _fail(at, "each row must be a non-empty list of cells")
    widths = set(map(len, rows))
    if len(widths) != 1:
        _fail(at, f"rows of {min(widths)} and {max(widths)} cells")
    height, width = len(rows), widths.pop()
    if height > LARGEST_SIDE or width > LARGEST_SIDE:
        _fail(at, f"{height}x{width} is larger than {LARGEST_SIDE}x{LARGEST_SIDE}")
    cells = list(chain.from_iterable(rows))
    if set(map(type, cells)) != {int} or min(cells) < 0 or max(cells) > 9:
        wrong = next(k for k, cell in enumerate(cells) if type(cell) is not int or not 0 <= cell <= 9)
        _fail(at, f"row {wrong // width}, column {wrong % width} holds {_shown(cells[wrong])}, not a colour 0..9")
    return np.ndarray((height, width), np.uint8, bytes(cells))  # of bytes, so it is read-only


def _shown(cell: Any) -> str:
    if isinstance(cell, list | dict):
        return "a list" if isinstance(cell, list) else "an object"
    return ascii(str(cell)[:40])
