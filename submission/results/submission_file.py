"""submission.json: blank, filled task by task, checked, written atomically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from submission.arc.tasks import LARGEST_SIDE, BadTask, Grid, Tasks
from submission.atomic import write_json

Submission = dict[str, list[dict[str, list[list[int]]]]]
"""{task id: [{"attempt_1": rows, "attempt_2": rows}, ...]}, one entry per test input."""

BLANK = [[0]]
"""The legal filler of a slot for which there is no candidate."""


def blank(tasks: Tasks) -> Submission:
    """A complete submission without a single answer."""
    return {name: [{"attempt_1": BLANK, "attempt_2": BLANK} for _ in task.tests] for name, task in tasks.items()}


def filled(submission: Submission, task_id: str, attempts: Sequence[Sequence[Grid]]) -> Submission:
    """A submission with the attempts of one task put in: for each test input none, one or two grids.

    With one grid, the second attempt stays blank; a blank is never put before a grid.
    """
    entries = []
    for grids in attempts:
        first, second = [*(each.tolist() for each in grids), BLANK, BLANK][:2]
        entries.append({"attempt_1": first, "attempt_2": second})
    return {**submission, task_id: entries}


def check(submission: Any, tasks: Tasks) -> list[str]:
    """What is wrong with a submission for these tasks, a sentence each; nothing if it is valid."""
    if not isinstance(submission, dict):
        return ["a submission must be a JSON object {task id: entries}"]
    wrong = [f"task {name} is missing" for name in tasks if name not in submission]
    wrong += [f"task {name} is not among the tasks" for name in submission if name not in tasks]
    for name, task in tasks.items():
        entries = submission.get(name, [])
        if name in submission and (not isinstance(entries, list) or len(entries) != len(task.tests)):
            wrong.append(f"task {name}: expected {len(task.tests)} entries")
            continue
        for k, entry in enumerate(entries):
            if not isinstance(entry, dict) or set(entry) != {"attempt_1", "attempt_2"}:
                wrong.append(f"task {name}, test {k}: expected attempt_1 and attempt_2")
            else:
                wrong += [f"task {name}, test {k}, {a}: not a grid" for a, g in entry.items() if not _is_grid(g)]
    return wrong


def require_valid(submission: Submission, tasks: Tasks) -> None:
    """AssertionError for an invalid submission: a mistake of this package, not of the user or of the disk."""
    wrong = check(submission, tasks)
    assert not wrong, "; ".join(wrong[:3])


def write(path: Path, submission: Submission, tasks: Tasks, left_blank: Mapping[str, BadTask] | None = None) -> None:
    """Write a valid submission atomically, with blank entries for the bad tasks that are left blank.

    OSError where it cannot be written. An invalid submission is never written.
    """
    require_valid(submission, tasks)
    entry = {"attempt_1": BLANK, "attempt_2": BLANK}
    write_json(path, {**submission, **{name: [entry] * bad.tests for name, bad in (left_blank or {}).items()}})


def _is_grid(rows: Any) -> bool:
    if not isinstance(rows, list) or not 1 <= len(rows) <= LARGEST_SIDE:
        return False
    if not all(isinstance(row, list) and 1 <= len(row) <= LARGEST_SIDE and len(row) == len(rows[0]) for row in rows):
        return False
    return all(type(cell) is int and 0 <= cell <= 9 for row in rows for cell in row)
