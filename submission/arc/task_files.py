"""The one reader of tasks: from a file or a folder to tasks, and apart from them the true outputs that stand there.

It reads Kaggle's challenges file {id: {"train": [{"input", "output"}, ...], "test": [{"input"}, ...]}}, a file of one
such task, and a folder with one file per task, in nested folders too; each file plain or gzipped. The id of a task in
a file of its own is the file's name without its ending.

A test may have its "output" beside its "input". Such outputs become `Solutions` where all of a task are there. A null
or empty one is unknown.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc import foreign_files
from submission.arc.json_files import LIMIT, parsed, read_bytes, read_json, uncollected
from submission.arc.task_parsing import Outputs, known_outputs, named, solution_of, task_of, test_count, twice
from submission.arc.tasks import BadTask, Grid, Solutions, Task, Tasks
from submission.errors import BadInput, require
from submission.input_files import repeated_keys

MOST_FILES = 100_000
"""Most task files of a folder."""

ENDINGS = (".json", ".json.gz")

TOLD = 3
"""How many bad tasks a sentence names."""


@dataclass(frozen=True, eq=False)
class TaskFile:
    """What a file or folder holds: its tasks, the outputs of their tests, and the tasks that cannot be read."""

    name: str
    """The name of the file, for sentences."""
    tasks: dict[str, Task]
    outputs: Mapping[str, Outputs] = field(default_factory=dict)
    """Only of tasks of which some output is known."""
    bad: Mapping[str, BadTask] = field(default_factory=dict)
    bad_outputs: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a test output, by task; the task itself can be solved."""

    def solutions(self) -> dict[str, tuple[Grid, ...]]:
        """The outputs of the tasks of which all are known."""
        return {
            name: known
            for name, outputs in self.outputs.items()
            if len(known := tuple(each for each in outputs if each is not None)) == len(outputs)
        }

    def require_good(self, names: Iterable[str], skipping: str = "") -> None:
        """BadInput where tasks among `names` are bad: it has their number, and the first with their faults.

        `skipping` says what the user can do to go on without them.
        """
        faults = {name: bad.fault for name, bad in self.bad.items()} | dict(self.bad_outputs)
        chosen = list(names)
        found = [name for name in chosen if name in faults]
        if not found:
            return
        told = "; ".join(f"task {named(name)}: {faults[name]}" for name in found[:TOLD])
        count = f"{len(found)} of {len(chosen)} tasks cannot be read, the first: " if len(found) > 1 else ""
        raise BadInput(f"{self.name}: {count}{told}{f' ({skipping})' if skipping else ''}")

    def line(self) -> str:
        """A line for the log: how many tasks and test inputs were read, and how many outputs are known."""
        tests = sum(len(task.tests) for task in self.tasks.values())
        known = sum(each is not None for outputs in self.outputs.values() for each in outputs)
        bad = f"; {len(self.bad)} more cannot be read" if self.bad else ""
        return f"{self.name}: {len(self.tasks)} tasks with {tests} test inputs, {known} outputs known{bad}"


def read_tasks(path: Path) -> TaskFile:
    """Read a file or a folder of tasks.

    A task that is wrong, or has an id that is, is among `bad`: one such task does not take the others with it.
    BadInput for what cannot be read at all, has no task, has none that is good, or has another shape.
    """
    with uncollected():
        return _looked_at(path.name or str(path), _of_folder(path) if os.path.isdir(path) else _of_file(path))


def _looked_at(name: str, bodies: Bodies) -> TaskFile:
    tasks: dict[str, Task] = {}
    outputs: dict[str, Outputs] = {}
    bad: dict[str, BadTask] = {}
    bad_outputs: dict[str, str] = {}
    for task_id, (body, wrong) in bodies.items():
        try:
            require(not wrong, wrong)
            tasks[task_id] = task_of(task_id, body)
        except BadInput as fault:
            bad[task_id] = BadTask(str(fault), test_count(body))
            continue
        try:
            known = known_outputs(body["test"])
        except BadInput as fault:
            bad_outputs[task_id] = str(fault)
            continue
        if any(each is not None for each in known):
            outputs[task_id] = known
    found = TaskFile(name, tasks, outputs, bad, bad_outputs)
    if not tasks:
        found.require_good(bad)
        raise BadInput(f"{found.name}: there is no task in it")
    return found


def read_challenges(path: Path) -> dict[str, Task]:
    """The tasks of a file or folder; BadInput where one of them is bad."""
    found = read_tasks(path)
    found.require_good([*found.tasks, *found.bad])
    return found.tasks


def read_solutions(path: Path, tasks: Tasks | None = None) -> dict[str, tuple[Grid, ...]]:
    """Read a solutions file, {id: [grid, ...]}: of all its tasks, or of those given, which it must then fit."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise BadInput(f"{path.name}: expected an object of solutions, found a {type(content).__name__}")
    repeated = repeated_keys(content)
    solutions = {}
    for task_id in tasks if tasks is not None else content:
        try:
            if task_id not in content:
                raise BadInput("no solution is given")
            if task_id in repeated:
                raise BadInput(twice(task_id))
            solutions[task_id] = solution_of(content[task_id], len(tasks[task_id].tests) if tasks is not None else None)
        except BadInput as fault:
            raise BadInput(f"{path.name}: task {named(task_id)}: {fault}") from None
    return solutions


def require_agreement(found: TaskFile, solutions: Solutions, source: Path) -> None:
    """BadInput where an output that stands inside a task differs from that of a solutions file."""
    for task_id, truths in solutions.items():
        for k, (inside, apart) in enumerate(zip(found.outputs.get(task_id, ()), truths, strict=False)):
            if inside is not None and not np.array_equal(inside, apart):
                at = f"task {named(task_id)}, test {k}"
                raise BadInput(f"{at}: the output in {found.name} and that in {source.name} differ; name one of them")


# -- where the tasks are ------------------------------------------------------------------------------------------

Bodies = dict[str, tuple[Any, str]]
"""Id -> what the file holds for it, not yet looked at, and what is known to be wrong with it ("" for nothing)."""


def _of_file(path: Path) -> Bodies:
    content = foreign_files.require_tasks(path, read_json(path))
    if foreign_files.is_one_task(content):
        return {_stem(path.name): (content, "")}
    repeated = repeated_keys(content)
    return {name: (body, twice(name) if name in repeated else "") for name, body in content.items()}


def _of_folder(folder: Path) -> Bodies:
    """The tasks of a folder with one file for each; a name that is in several folders has its folder before it."""
    paths = task_paths(folder)
    numbers = Counter(_stem(path.name) for path in paths)
    bodies: Bodies = {}
    refused: list[BadInput] = []
    left = LIMIT
    for path in paths:
        stem = _stem(path.name)
        task_id = stem if numbers[stem] == 1 else _stem(path.relative_to(folder).as_posix())
        require(task_id not in bodies, f"{folder}: {task_id} is there plain and gzipped; remove one of the two files")
        try:
            content = read_bytes(path)
            left -= len(content)
            bodies[task_id] = (_single(path, content), "")
        except BadInput as fault:
            refused.append(fault)
            bodies[task_id] = (None, str(fault).splitlines()[0].removesuffix("; to convert it:"))
        require(left >= 0, f"{folder}: its files have more than {LIMIT >> 20} MiB, the most that is read as tasks")
    if refused and len(refused) == len(bodies):
        raise refused[0]
    return bodies


def task_paths(folder: Path) -> list[Path]:
    """The task files below a folder, in order; hidden files, and those that macOS adds to archives, are none."""

    def failed(error: OSError) -> None:
        raise BadInput(f"{error.filename}: cannot be read ({error.strerror})") from None

    found: list[Path] = []
    others: list[str] = []
    for here, folders, names in os.walk(folder, onerror=failed):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__MACOSX")))
        shown = sorted(each for each in names if not each.startswith("."))
        found += [Path(here, each) for each in shown if each.lower().endswith(ENDINGS)]
        others += [each for each in shown if not each.lower().endswith(ENDINGS)]
        require(len(found) <= MOST_FILES, f"{folder}: has more than {MOST_FILES} JSON files; name a folder of tasks")
    besides = f", but e.g. {named(others[0])}" if others else ""
    require(bool(found), f"{folder}: there is no JSON file in this folder{besides}; each task has a file of its own")
    return found


def _single(path: Path, content: bytes) -> Any:
    """The body of the task in a file of its own."""
    body = foreign_files.require_tasks(path, parsed(path, content))
    if not foreign_files.is_one_task(body):
        holds = sum(isinstance(each, dict) and foreign_files.is_one_task(each) for each in body.values())
        require(holds == 0, f"{path.name}: holds {holds} tasks, a file in a folder one; name that file itself")
    return body


def _stem(name: str) -> str:
    ending = next((each for each in reversed(ENDINGS) if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)]
