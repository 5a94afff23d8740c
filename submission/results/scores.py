"""Scores of a submission and of a run's records against the true answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from submission.arc.tasks import Grid, Solutions, grid_key
from submission.results import submission_file
from submission.results.submission_file import _is_grid
from submission.solver import voting
from submission.solver.ensemble import answers_of
from submission.solver.records import TaskRecord
from submission.solver.stopping import ATTEMPTS


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


def coverage(records: Mapping[str, TaskRecord], solutions: Solutions) -> float:
    """Share of test outputs whose true answer is among the candidates, chosen or not."""
    pools = {name: pooled_answers(record) for name, record in records.items()}
    total = sum(map(len, solutions.values()))
    among = sum(
        grid_key(answer) in {grid_key(each) for each in pool}
        for name, truth in solutions.items()
        for pool, answer in zip(pools.get(name, []), truth, strict=False)
    )
    return among / max(1, total)


def pooled_answers(record: TaskRecord) -> list[list[Grid]]:
    """For each test input all answers that were found: the network's candidates, then those of programs."""
    return [
        [each.answer for each in test.candidates] + answers_of(record.programs or (), k)
        for k, test in enumerate(record.tests)
    ]


def _hits(entries: Any, truth: Sequence[Grid]) -> list[bool]:
    keys = [grid_key(answer) for answer in truth]
    given = [each if isinstance(each, dict) else {} for each in entries] if isinstance(entries, list) else []
    given += [{}] * (len(truth) - len(given))
    return [any(_key(grid) == key for grid in each.values()) for each, key in zip(given, keys, strict=False)]


def _key(rows: Any) -> bytes:
    return bytes([len(rows), len(rows[0])]) + bytes(c for row in rows for c in row) if _is_grid(rows) else b""


def by_solver(found: Mapping[str, Mapping[str, TaskRecord]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each kind of solver been alone; `found` are the records of each kind."""
    return {
        kind: solved_tasks({name: record.attempts for name, record in records.items()}, solutions)
        for kind, records in found.items()
        if records
    }


def by_rule(records: Mapping[str, TaskRecord], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each voting rule chosen the attempts; poe alone unless all candidates have all scores."""
    complete = all(test.complete for record in records.values() for test in record.tests)
    return {
        rule: solved_tasks({name: voted(record, rule) for name, record in records.items()}, solutions)
        for rule in (voting.NAMES if complete else ("poe",))
    }


def voted(record: TaskRecord, rule: str) -> list[list[Grid]]:
    """The attempts that a voting rule chooses from a record's candidates."""
    return [voting.rank(each.candidates, each.symmetries, rule)[:ATTEMPTS] for each in record.tests]


def solved_tasks(attempts: Mapping[str, Sequence[Sequence[Grid]]], solutions: Solutions) -> int:
    """How many tasks these attempts solve."""
    submission: submission_file.Submission = {}
    for name, each in attempts.items():
        submission = submission_file.filled(submission, name, each)
    return int(score(submission, solutions)["solved_tasks"])
