"""submission.json: blank, filled task by task, checked, written atomically, and read as strictly as Kaggle reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.arc.json_files import LIMIT, require_few_parts
from submission.arc.task_parsing import grid_fault
from submission.arc.tasks import BadTask, Grid, Tasks
from submission.atomic import write_json
from submission.errors import BadInput
from submission.input_files import json_kind, object_of, read_at_most, repeated_keys, size_of

Rows = list[list[int]]
"""A grid as JSON has it."""

Submission = dict[str, list[dict[str, Rows]]]
"""{task id: [{"attempt_1": rows, "attempt_2": rows}, ...]}, one entry per test input."""

BLANK = [[0]]
"""The legal filler of a slot for which there is no candidate."""

ATTEMPT_KEYS = ("attempt_1", "attempt_2")
"""The keys of an entry: these two, and no others."""


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


# -- checking -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckedTask:
    """What a submission holds for one task."""

    entries: tuple[tuple[Rows, Rows] | None, ...]
    """For each test input its two attempts; None where the entry is not valid, which counts as wrong."""
    faults: tuple[str, ...]
    """All that is wrong, a few words each; nothing if the task is valid."""


def check(submission: object, tasks: Tasks) -> list[str]:
    """What is wrong with a submission for these tasks, a sentence each; nothing if it is valid."""
    if not isinstance(submission, dict):
        return [f"a submission must be a JSON object {{task id: entries}}, not {json_kind(submission)}"]
    wrong = [f"task {name} is not among the tasks" for name in submission if name not in tasks]
    for name, task in tasks.items():
        wrong += [f"task {name}: {fault}" for fault in checked(submission, name, len(task.tests)).faults]
    return wrong


def checked(submission: Mapping[str, object], task_id: str, tests: int) -> CheckedTask:
    """The valid entries of one task with this number of test inputs, and what is wrong with the others.

    Kaggle refuses a file with one wrong entry whole. Here such an entry counts as wrong, both attempts, whichever of
    them is damaged. A wrong number of entries leaves open which of them answers which input: all count as wrong.
    """
    nothing = (None,) * tests
    if task_id not in submission:
        return CheckedTask(nothing, ("is missing",))
    if task_id in repeated_keys(submission):
        return CheckedTask(nothing, ("appears twice",))
    entries = submission[task_id]
    if not isinstance(entries, list):
        return CheckedTask(nothing, (f"is {json_kind(entries)}, not a list of entries",))
    faults = [[f"test {k}: {fault}" for fault in _entry_faults(entry)] for k, entry in enumerate(entries)]
    told = [fault for each in faults for fault in each]
    if len(entries) != tests:
        expected = f"{tests} {'entry' if tests == 1 else 'entries'}"
        return CheckedTask(nothing, (f"expected {expected}, one for each test input, found {len(entries)}", *told))
    pairs = zip(entries, faults, strict=True)
    return CheckedTask(
        tuple(None if wrong else (entry["attempt_1"], entry["attempt_2"]) for entry, wrong in pairs), tuple(told)
    )


def _entry_faults(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [f"is {json_kind(entry)}, not an object with attempt_1 and attempt_2"]
    faults = [f"{key} appears twice" for key in ATTEMPT_KEYS if key in repeated_keys(entry)]
    faults += [f"{key} is missing" for key in ATTEMPT_KEYS if key not in entry]
    extra = [key for key in entry if key not in ATTEMPT_KEYS]
    faults += [f"{key[:40]!r} is no attempt: only attempt_1 and attempt_2 exist" for key in extra[:3]]
    faults += [f"{len(extra) - 3} more such keys"] if len(extra) > 3 else []
    grids = ((key, grid_fault(entry[key])) for key in ATTEMPT_KEYS if key in entry)
    return faults + [f"{key} is not a grid: {fault}" for key, fault in grids if fault]


def require_valid(submission: Submission, tasks: Tasks) -> None:
    """AssertionError for an invalid submission: a mistake of this package, not of the user or of the disk."""
    wrong = check(submission, tasks)
    assert not wrong, "; ".join(wrong[:3])


# -- files --------------------------------------------------------------------------------------------------------


def write(path: Path, submission: Submission, tasks: Tasks, left_blank: Mapping[str, BadTask] | None = None) -> None:
    """Write a valid submission atomically, with blank entries for the bad tasks that are left blank.

    OSError where it cannot be written. An invalid submission is never written.
    """
    require_valid(submission, tasks)
    entry = {"attempt_1": BLANK, "attempt_2": BLANK}
    write_json(path, {**submission, **{name: [entry] * bad.tests for name, bad in (left_blank or {}).items()}})


def read(path: Path) -> dict[str, Any]:
    """The object of tasks in a file, for `check` and `checked`, which see the keys that stand in it twice too.

    BadInput where the file cannot be read, is too large, or is not a JSON object in UTF-8 without a byte order mark.
    """
    if size_of(path) > LIMIT:
        raise BadInput(f"{path}: is larger than {LIMIT >> 20} MiB, so it is no submission")
    raw = read_at_most(path, LIMIT)
    if raw[:3] == b"\xef\xbb\xbf" or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{path}: begins with a byte order mark (BOM), which JSON does not have; save it as plain UTF-8")
    require_few_parts(path, raw)
    try:
        submission = json.loads(raw.decode("utf-8"), object_pairs_hook=object_of)
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise BadInput(f"{path}: is not a submission, which is a whole JSON file ({why})") from None
    if not isinstance(submission, dict):
        raise BadInput(f"{path}: is not a submission, which is an object of tasks, but {json_kind(submission)}")
    return submission
