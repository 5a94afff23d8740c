"""submission.json: blank, filled, checked, written atomically; and the scores against the true answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from submission.journal import write_json
from submission.tasks import LARGEST_SIDE, Grid, Solutions, Tasks, grid_key

Submission = dict[str, list[dict[str, list[list[int]]]]]
"""{task id: [{"attempt_1": rows, "attempt_2": rows}, ...]}, one entry per test input."""

BLANK = [[0]]
"""The legal filler of a slot for which there is no candidate."""


def blank(tasks: Tasks) -> Submission:
    """A complete submission without a single answer."""
    return {name: [{"attempt_1": BLANK, "attempt_2": BLANK} for _ in task.tests] for name, task in tasks.items()}


def filled(submission: Submission, task_id: str, attempts: Sequence[Sequence[list[list[int]]]]) -> Submission:
    """A submission with the attempts of one task put in: for each test input none, one or two grids.

    With one grid, the second attempt stays blank; a blank is never put before a grid.
    """
    entries = []
    for grids in attempts:
        first, second = [*grids, BLANK, BLANK][:2]
        entries.append({"attempt_1": first, "attempt_2": second})
    return {**submission, task_id: entries}


def check(submission: Any, tasks: Tasks) -> list[str]:
    """What is wrong with a submission for these tasks, a sentence each; nothing if it is valid."""
    if not isinstance(submission, dict):
        return ["a submission is an object of tasks"]
    wrong = [f"task {name} is missing" for name in tasks if name not in submission]
    wrong += [f"task {name} was not asked" for name in submission if name not in tasks]
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


def write(path: Path, submission: Submission, tasks: Tasks) -> None:
    """Write a valid submission atomically; an invalid one is our own mistake and never reaches the disk."""
    wrong = check(submission, tasks)
    assert not wrong, "; ".join(wrong[:3])
    write_json(path, submission)


def score(submission: Mapping[str, Any], solutions: Solutions) -> dict[str, float | int]:
    """Three scores and the count of solved tasks; every task of `solutions` counts, missing ones as wrong.

    score_by_output: share of test outputs with a right attempt (Kaggle's page). score_by_task: mean over tasks of
    that share. score_strict: share of tasks with all outputs right; solved_tasks counts these.
    """
    right = {name: _hits(submission.get(name, []), truth) for name, truth in solutions.items()}
    shares = [sum(hits) / len(hits) for hits in right.values()]
    solved = sum(all(hits) for hits in right.values())
    return {
        "solved_tasks": solved,
        "score_by_output": sum(map(sum, right.values())) / max(1, sum(map(len, right.values()))),
        "score_by_task": sum(shares) / max(1, len(shares)),
        "score_strict": solved / max(1, len(right)),
    }


def coverage(records: Mapping[str, Mapping[str, Any]], solutions: Solutions) -> float:
    """Share of test outputs whose true answer is among the candidates, chosen or not."""
    among = total = 0
    for name, truth in solutions.items():
        total += len(truth)
        record = records.get(name, {"tests": []})
        for number, (test, answer) in enumerate(zip(record["tests"], truth, strict=False)):
            found = [each["grid"] for each in test["candidates"]]
            found += [each["answers"][number] for each in record.get("programs", [])]
            among += answer.tolist() in found
    return among / max(1, total)


def _hits(entries: Any, truth: Sequence[Grid]) -> list[bool]:
    keys = [grid_key(answer) for answer in truth]
    given = [each if isinstance(each, dict) else {} for each in entries] if isinstance(entries, list) else []
    given += [{}] * (len(truth) - len(given))
    return [any(_key(grid) == key for grid in each.values()) for each, key in zip(given, keys, strict=False)]


def _key(rows: Any) -> bytes:
    return bytes([len(rows), len(rows[0])]) + bytes(c for row in rows for c in row) if _is_grid(rows) else b""


def _is_grid(rows: Any) -> bool:
    if not isinstance(rows, list) or not 1 <= len(rows) <= LARGEST_SIDE:
        return False
    if not all(isinstance(row, list) and 1 <= len(row) <= LARGEST_SIDE and len(row) == len(rows[0]) for row in rows):
        return False
    return all(type(cell) is int and 0 <= cell <= 9 for row in rows for cell in row)
