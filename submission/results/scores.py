"""Scores of a submission and of a run's records against the true answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from submission.arc.tasks import Grid, Solutions, grid_key
from submission.results import submission_file
from submission.results.submission_file import _is_grid
from submission.solver import voting
from submission.solver.candidates import ATTEMPTS
from submission.solver.records import Record, candidates_of, is_whole


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


def by_solver(found: Mapping[str, Mapping[str, Record]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each kind of solver been alone; `found` are the records of each."""
    alone: dict[str, int] = {}
    for kind, records in found.items():
        if records:
            submission: submission_file.Submission = {}
            for name, record in records.items():
                submission = submission_file.filled(submission, name, record["attempts"])
            alone[kind] = int(score(submission, solutions)["solved_tasks"])
    return alone


def by_rule(records: Mapping[str, dict[str, Any]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each voting rule chosen the attempts; poe alone, if nothing was scored but what it needs."""
    whole = all(is_whole(test) for record in records.values() for test in record["tests"])
    solved = {}
    for rule in voting.NAMES if whole else ("poe",):
        submission: submission_file.Submission = {}
        for name, record in records.items():
            rankings = [voting.rank(*candidates_of(test), rule) for test in record["tests"]]
            attempts = [[answer.tolist() for answer in ranking[:ATTEMPTS]] for ranking in rankings]
            submission = submission_file.filled(submission, name, attempts)
        solved[rule] = int(score(submission, solutions)["solved_tasks"])
    return solved
