"""Whether this machine trains as fast as planned: judged once, after the first tasks. It is told, and stops nothing."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from submission.config import Adapt
from submission.errors import TRACEBACKS
from submission.runner.schedule import Outcome, Schedule
from submission.runner.spec import PlannedTraining
from submission.solver.records import FitRecord

logger = logging.getLogger(__name__)

FIRST_TASKS = 3
"""Tasks after which the machine is judged."""

AS_PLANNED = 0.8
"""The lowest rate, as a share of the planned one, that counts as planned: the plan takes GPU programs to reach 60 % of
their upper bound, and they reach 50 to 70 %."""


@dataclass(frozen=True)
class Training:
    """One training, as it was planned and as it was."""

    planned: float
    seconds: float


class Pace:
    """The trainings of the first tasks, against the plan; without a plan, of the embedded model, nothing is judged."""

    def __init__(self, planned: PlannedTraining | None) -> None:
        self._planned = planned
        self._trainings: list[Training] = []
        self.judged: dict[str, Any] = {}
        """What the summary says: tasks, seconds, planned seconds, rate (1: as planned), and a warning of a slow one."""

    def add(self, outcome: Outcome, schedule: Schedule, workers: int) -> None:
        """Take note of a finished first try; after `FIRST_TASKS` of them, judge the machine and warn if it is slow."""
        fit = outcome.record.fit if outcome.record is not None else None
        if self._planned is None or self.judged or fit is None or outcome.order.again or outcome.order.earlier:
            return
        done, settings = share_done(fit, outcome.order.settings.adapt), outcome.order.settings
        if done > 0 and fit.seconds > 0:
            try:
                self._trainings.append(Training(self._planned(outcome.order.task, settings) * done, fit.seconds))
            except Exception as error:  # Whatever is wrong with the plan is no reason to lose the run.
                logger.error("the machine is not compared with the plan: %r", error)
                TRACEBACKS.debug("the machine is not compared with the plan", exc_info=True)
                self._planned = None
        if len(self._trainings) == FIRST_TASKS:
            self._judge(schedule, workers)

    def _judge(self, schedule: Schedule, workers: int) -> None:
        planned, seconds = (sum(vars(each)[name] for each in self._trainings) for name in ("planned", "seconds"))
        rate = planned / seconds
        self.judged = {
            "tasks": FIRST_TASKS, "seconds": round(seconds, 1), "planned_seconds": round(planned, 1),
            "rate": round(rate, 3),
        }  # fmt: skip
        if rate < AS_PLANNED:
            self.judged["warning"] = (
                f"this machine trains at {100 * rate:.0f} % of the planned rate (the first {FIRST_TASKS} tasks took "
                f"{seconds:.0f} s, planned {planned:.0f} s): {outlook(schedule, workers)}"
            )
            logger.warning("%s", self.judged["warning"])


def share_done(fit: FitRecord, adapt: Adapt) -> float:
    """The share of a task's training that was done, 0 to 1: by its steps, each of a batch of rows."""
    return min(1.0, fit.steps / (adapt.epochs * math.ceil(fit.rows / adapt.batch))) if fit.rows else 0.0


def outlook(schedule: Schedule, workers: int) -> str:
    """How many tasks the run reaches at the pace of those that are done, or what it takes for all of them."""
    hours, total = (schedule.left(workers) or 0.0) / 3600, len(schedule.tasks)
    if not math.isfinite(schedule.until.at):
        return f"at this pace all {total} tasks take {hours:.1f} hours more"
    reached = schedule.reachable(workers)
    return f"at this pace {reached} of {total} tasks will be reached in the {hours:.1f} hours that are left"
