"""Scores of a submission and of a run's records against the true answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from submission.arc.tasks import Grid, Solutions, grid_key
from submission.results import submission_file
from submission.results.submission_file import Rows, Submission
from submission.solver import voting
from submission.solver.ensemble import answers_of
from submission.solver.records import TaskRecord
from submission.solver.stopping import ATTEMPTS


@dataclass(frozen=True)
class TaskScore:
    """How a submission does on one task."""

    task: str
    right: tuple[int, ...]
    """For each test output the attempt that is right, 1 or 2; 0 where none is."""
    faults: tuple[str, ...] = ()
    """What is wrong with the form of its entries, see `submission_file.checked`."""

    @property
    def solved(self) -> bool:
        """Whether every output has a right attempt."""
        return bool(self.right) and all(self.right)

    @property
    def share(self) -> float:
        """Share of the outputs with a right attempt."""
        return sum(map(bool, self.right)) / max(1, len(self.right))

    def line(self) -> str:
        """One line: the task, outputs right, which attempt each is right by, and faults."""
        by = ",".join(str(each) if each else "-" for each in self.right)
        count = f"{sum(map(bool, self.right))} of {len(self.right)}"
        return "  ".join([self.task, f"{count} right", f"by attempt {by}", *self.faults])


def score_tasks(submission: Mapping[str, Any], solutions: Solutions) -> list[TaskScore]:
    """The score of each task of `solutions`, in their order; an entry that is missing or not valid is wrong."""
    scored = []
    for name, truth in solutions.items():
        task = submission_file.checked(submission, name, len(truth))
        right = tuple(_right_attempt(entry, answer) for entry, answer in zip(task.entries, truth, strict=True))
        scored.append(TaskScore(name, right, task.faults))
    return scored


def _right_attempt(entry: tuple[Rows, Rows] | None, answer: Grid) -> int:
    return next((number for number, rows in enumerate(entry or (), 1) if rows == answer.tolist()), 0)


def totals(scored: Sequence[TaskScore]) -> dict[str, float | int]:
    """Three scores and the count of solved tasks.

    score_by_output: share of test outputs with a right attempt (Kaggle's page). score_by_task: mean over tasks of
    that share. score_strict: share of tasks with all outputs right; solved_tasks counts these.
    """
    right = [bool(attempt) for each in scored for attempt in each.right]
    solved = sum(each.solved for each in scored)
    return {
        "solved_tasks": solved,
        "score_by_output": sum(right) / max(1, len(right)),
        "score_by_task": sum(each.share for each in scored) / max(1, len(scored)),
        "score_strict": solved / max(1, len(scored)),
    }


def score(submission: Mapping[str, Any], solutions: Solutions) -> dict[str, float | int]:
    """The `totals` over all tasks of `solutions`, whatever the submission lacks."""
    return totals(score_tasks(submission, solutions))


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


def by_solver(found: Mapping[str, Mapping[str, TaskRecord]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each kind of solver been alone with what it did; `found` are the records of each kind.

    Tasks that the network left to programs count as not solved by it.
    """
    return {
        kind: solved_tasks({name: record.attempts for name, record in records.items()}, solutions)
        for kind, records in found.items()
        if records
    }


def by_rule(records: Mapping[str, TaskRecord], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each voting rule chosen the attempts."""
    return {
        rule: solved_tasks({name: voted(record, rule) for name, record in records.items()}, solutions)
        for rule in rules_of(records)
    }


def rules_of(records: Mapping[str, TaskRecord]) -> tuple[str, ...]:
    """The rules by which these records can be voted: poe alone unless all candidates have all scores."""
    complete = all(test.complete for record in records.values() for test in record.tests)
    return voting.NAMES if complete else ("poe",)


def voted(record: TaskRecord, rule: str) -> list[list[Grid]]:
    """The attempts that a voting rule chooses from a record's candidates."""
    return [voting.rank(each.candidates, each.symmetries, rule)[:ATTEMPTS] for each in record.tests]


def solved_tasks(attempts: Mapping[str, Sequence[Sequence[Grid]]], solutions: Solutions) -> int:
    """How many tasks these attempts solve."""
    return int(score(submission_of(attempts), solutions)["solved_tasks"])


def submission_of(attempts: Mapping[str, Sequence[Sequence[Grid]]]) -> Submission:
    """A submission with these attempts alone."""
    submission: Submission = {}
    for name, each in attempts.items():
        submission = submission_file.filled(submission, name, each)
    return submission
