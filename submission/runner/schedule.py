"""Which task is solved next, with what settings, and for how long: a run's queue, apart from who works on it.

First every task once, the cheapest first, each for as long as it needs and the time of the run allows. Then, where the
clock leaves time, those again whose answer is doubtful: another adapter, other views, and what is known already.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from submission.arc.tasks import Task, Tasks
from submission.config import Settings
from submission.deadline import Deadline
from submission.runner.failures import Failure
from submission.solver.records import Record, candidates_of, empty

QUICK = 0.05
"""Share of the seconds a task needs that a quick look takes."""

MOST_SHARES = 3.0
"""Where time is short, a task may take so many times its share of it, since many end before their deadline."""

RECENT = 20
"""Finished tasks from which the seconds of the next ones are predicted: neighbours, as the cheapest come first."""

MOST_LOOKS = 8
"""Looks at one task, the first included."""

SURE = -0.5
"""Mean log p a view above which an answer is taken for right, and not looked at again."""

SEED_STEP = 1_000_003
"""Between the seeds of two looks at one task."""


@dataclass(frozen=True)
class Order:
    """One try at one task."""

    task: Task
    settings: Settings
    seed: int
    seconds: float
    again: bool = False
    """The second try, after one that failed."""
    earlier: Record | None = None
    """What an earlier look has found, to be looked at together."""


@dataclass(frozen=True)
class Outcome:
    """What became of an order."""

    order: Order
    record: Record | None
    """None where the worker failed or was lost."""
    reason: str = ""
    """Why there is none."""
    so_far: Record | None = None
    """The record of the tests that were done until then."""
    failure: Failure | None = None
    """What went wrong in the worker, where something did; its message is the reason."""


class Schedule:
    """The queue of one run. It is told of every outcome, and answers with the next order."""

    def __init__(
        self, tasks: Tasks, cost: Callable[[Task], float], settings: Settings, seed: int, until: Deadline,
        finished: Mapping[str, Record],
    ) -> None:  # fmt: skip
        """`cost` predicts what a task takes, in any one unit; `finished` are the records of a run that goes on."""
        self.tasks = tasks
        self.settings = settings
        self.seed = seed
        self.until = until
        self.records = dict(finished)
        self._promise = {name: promise(record) for name, record in finished.items()}
        self.costs = {name: cost(task) for name, task in tasks.items()}
        self._waiting = deque(sorted((name for name in tasks if name not in finished), key=self._by_cost))
        self._retries: deque[tuple[Order, Outcome]] = deque()
        self._running: dict[str, Outcome | None] = {}
        self._looks = {name: int(record.get("looks", 1)) for name, record in finished.items()}
        self._pace: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._postponed: set[str] = set()

    def postpone(self, name: str) -> None:
        """Take this task after all others, and give it no second look: it is solved otherwise, as far as one knows."""
        self._postponed.add(name)
        if name in self._waiting:
            self._waiting.remove(name)
            self._waiting.append(name)

    def pending(self) -> bool:
        """Whether there is an order to be had now."""
        if self.until.passed():
            return False
        return bool(self._waiting or self._retries or self._doubtful())

    def left(self, workers: int) -> float:
        """Seconds that the run will still take, with so many workers."""
        if math.isfinite(self.until.at):
            return self.until.left()
        return sum(self.predicted(each) for each in [*self._waiting, *self._running]) / max(1, workers)

    def next(self, workers: int) -> Order | None:
        """The next order; None if there is none now (a failure may bring one) or no time."""
        if self.until.passed():
            return None
        if self._retries:
            order, failure = self._retries.popleft()
            self._running[order.task.id] = failure
            return replace(order, seconds=min(order.seconds, self.until.left()))
        if self._waiting:
            name = self._waiting.popleft()
            order = Order(self.tasks[name], self.settings, self.seed, self._seconds(name, workers))
        else:
            doubtful = self._doubtful()
            if doubtful is None:
                return None
            name = doubtful
            seconds = min(self.settings.time.seconds, self.until.left())
            seed = self.seed + self._looks[name] * SEED_STEP
            order = Order(self.tasks[name], self.settings, seed, seconds, earlier=self.records[name])
        self._running[name] = None
        return order

    def told(self, outcome: Outcome) -> Record | None:
        """Take note of an outcome; returns the task's record if there is a new one to keep."""
        order, name = outcome.order, outcome.order.task.id
        before = self._running.pop(name, None)
        failures = [each for each in (before, outcome) if each is not None and each.record is None]
        notes = [each.reason for each in failures]
        if outcome.record is not None:
            if order.earlier is None and not order.again:
                self._pace.append((self.costs[name], float(outcome.record["seconds"])))
            record = {**outcome.record, "notes": notes + outcome.record["notes"]}
        elif not order.again and not self.until.passed():
            short = outcome.failure is not None and outcome.failure.kind == "out_of_memory"
            self._retries.append((replace(order, settings=halved(order.settings, short), again=True), outcome))
            return None
        else:
            found = next((each.so_far for each in failures if each.so_far is not None), None)
            best = order.earlier or found or empty(order.task)
            record = {**best, "notes": [*best["notes"], *notes]}
        self._looks[name] = self._looks.get(name, 0) + 1
        record["looks"] = self._looks[name]
        self.records[name], self._promise[name] = record, promise(record)
        return record

    def predicted(self, name: str) -> float:
        """Seconds that a first look at this task will take, by the pace of the last ones; 0 before there is any."""
        costs, seconds = (sum(each) for each in zip(*self._pace, strict=True)) if self._pace else (1.0, 0.0)
        return min(self.settings.time.seconds, self.costs[name] * seconds / costs)

    def _seconds(self, name: str, workers: int) -> float:
        """How long the task may take: what it needs, as long as there is a quick look left for each of the others.

        Half the time it needs solves a task hardly ever (LOG.md), so it is the dearest that go short, not all.
        """
        left = self.until.left()
        if not math.isfinite(left):
            return self.settings.time.seconds
        if self.settings.time.schedule == "uniform":
            return min(self.settings.time.seconds, left * workers / (1 + len(self._waiting)), left)
        urgent = [each for each in self._waiting if each not in self._postponed]
        this, others = self.costs[name], sum(self.costs[each] for each in urgent)
        share = MOST_SHARES * this / (MOST_SHARES * this + others) * left * workers
        spare = left * workers - QUICK * sum(self.predicted(each) for each in urgent)
        return min(self.settings.time.seconds, max(share, min(spare, left / 2)), left)

    def _doubtful(self) -> str | None:
        """The task whose answers may gain most by another look that still fits into the time; None if none does."""
        left = self.until.left()
        if not math.isfinite(left) or self.settings.time.schedule == "uniform":
            return None
        may = [
            name for name, record in self.records.items()
            if name not in self._running and name not in self._postponed and self._looks[name] < MOST_LOOKS
            and record["fit"] is not None and self._promise[name] <= SURE
            and float(record["seconds"]) / self._looks[name] <= left
        ]  # fmt: skip
        return min(may, key=lambda name: (self._looks[name], -self._promise[name], name)) if may else None

    def _by_cost(self, name: str) -> tuple[float, str]:
        return self.costs[name], name


def promise(record: Record) -> float:
    """How much the views agree on the best answer: its mean log p a view, in nats; of several tests the worst.

    After a first look it tells what a second can do: above -1 the answer is nearly always right, below -10 hardly
    ever is one found (LOG.md).
    """
    return min((_agreement(test) for test in record["tests"]), default=-math.inf)


def _agreement(test: Mapping[str, Any]) -> float:
    candidates, symmetries = candidates_of(test)
    return max((each.total() for each in candidates), default=-math.inf) / max(1, len(symmetries))


def halved(settings: Settings, context: bool) -> Settings:
    """Settings for a second try: half the training rows and views; if asked for, half the context as well."""
    rows, search, model = settings.training_rows, settings.search, settings.model
    return replace(
        settings,
        model=replace(model, context=max(1024, model.context // 2)) if context else model,
        training_rows=replace(rows, copies=max(1, rows.copies // 2), max_rows=max(1, rows.max_rows // 2)),
        search=replace(search, views=max(1, search.views // 2)),
    )
