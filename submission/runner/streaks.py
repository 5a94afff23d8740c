"""Failures of one kind, task after task: what one retry cannot mend has a cause that lasts."""

from __future__ import annotations

from submission.runner.failures import FailureKind
from submission.runner.schedule import Outcome

LONG = 3
"""Tasks in a row that fail alike until the cause is taken to last."""


class Streak:
    """The failures of one kind since the last task that a first try has solved."""

    def __init__(self, kind: FailureKind) -> None:
        self.kind = kind
        self._failures: dict[str, Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        """Count an outcome, by its task. A retry that goes through ends no streak: the next first try fails again."""
        if outcome.failure is not None and outcome.failure.kind == self.kind:
            self._failures[outcome.order.task.id] = outcome
        elif outcome.record is not None and not outcome.order.again:
            self._failures.clear()

    def ended(self) -> list[Outcome]:
        """The last failure of each task of a streak that has become long, which then begins anew; [] until then."""
        failures = list(self._failures.values())
        if len(failures) < LONG:
            return []
        self._failures.clear()
        return failures
