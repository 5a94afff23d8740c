"""Which task is solved next, with which settings, and for how long: the queue of one kind of solver.

First every task gets one pass, the cheapest task first, each for as long as it needs and the time of the run allows.
Then, where the clock leaves time, tasks with uncertain answers get further passes, the surest of them first: another
adapter, other views, and the candidates that are known already.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from submission.arc.tasks import Task, Tasks
from submission.config import Settings
from submission.deadline import Deadline
from submission.runner.failures import Failure
from submission.solver.records import TaskRecord

QUICK = 0.05
"""Share of the seconds a task needs that is reserved for each waiting task: a quick pass."""

MOST_SHARES = 3.0
"""Where time is short, a task may take this many times its share of the time left, since many tasks end early."""

RECENT = 20
"""Finished tasks from which the seconds of the next ones are predicted: neighbours, as the cheapest come first."""

MOST_PASSES = 8
"""Passes over one task, the first included."""

SURE = -0.5
"""Mean log p per view (nats) above which an answer is taken for right: no further pass."""

SEED_STEP = 1_000_003
"""Between the seeds of two passes over one task."""


@dataclass(frozen=True)
class Order:
    """One try at one task."""

    task: Task
    settings: Settings
    seed: int
    seconds: float
    again: bool = False
    """A retry, after a try that failed."""
    earlier: TaskRecord | None = None
    """The record of the passes before: its candidates and views vote together with those of this pass."""


@dataclass(frozen=True)
class Outcome:
    """What became of an order."""

    order: Order
    record: TaskRecord | None
    """None where the worker failed or was lost."""
    reason: str = ""
    """Why there is none."""
    so_far: TaskRecord | None = None
    """The record of the test inputs that were done by then."""
    failure: Failure | None = None
    """What went wrong in the worker, if anything did; its message is the reason."""


class Schedule:
    """The queue of one kind of solver: `next` gives an order, `update` takes its outcome."""

    def __init__(
        self, tasks: Tasks, cost: Callable[[Task], float], settings: Settings, seed: int, until: Deadline,
        records: Mapping[str, TaskRecord],
    ) -> None:  # fmt: skip
        """`cost` predicts what a task takes, in any one unit.

        `records` are those of the run store, which stays their owner: what `update` returns is to be kept there before
        the next call.
        """
        self.tasks = tasks
        self.settings = settings
        self.seed = seed
        self.until = until
        self.records = records
        self.costs = {name: cost(task) for name, task in tasks.items()}
        self._confidence = {name: record.confidence() for name, record in records.items()}
        self._passes = {name: record.passes for name, record in records.items()}
        self._waiting = deque(sorted((name for name in tasks if name not in records), key=self._by_cost))
        self._retries: deque[tuple[Order, Outcome]] = deque()
        self._running: dict[str, Outcome | None] = {}
        """Task -> the failure before this try, if it is a retry."""
        self._pace: deque[tuple[float, float]] = deque(maxlen=RECENT)
        """(cost, seconds) of the tasks that finished last."""
        self._postponed: set[str] = set()
        self.left_out: set[str] = set()
        """Tasks that are not solved here, as another solver has settled them."""
        self._reopened: dict[str, Outcome] = {}
        """Task -> its last failure, of the tasks that wait once more."""
        self.failed: dict[str, str] = {}
        """Task -> why its last try failed, of the tasks for which no try has come to an end."""

    def postpone(self, name: str) -> None:
        """Take this task after all others, and give it no further pass: another solver has a trusted answer."""
        self._postponed.add(name)
        if name in self._waiting:
            self._waiting.remove(name)
            self._waiting.append(name)

    def leave_out(self, name: str) -> None:
        """Take this task last, or not at all where the run has no clock: another solver has settled it."""
        if math.isfinite(self.until.at) or name not in self._waiting:
            self.postpone(name)
        else:
            self._waiting.remove(name)
            self.left_out.add(name)

    def ask_for_less(self, context: bool) -> None:
        """Let first tries ask for less memory from now on, see `with_less_memory`."""
        self.settings = with_less_memory(self.settings, context)

    def reopen(self, failures: Iterable[Outcome]) -> None:
        """Take the tasks that have failed for good once more: why they failed is mended."""
        for each in failures:
            name = each.order.task.id
            if name in self.failed:
                del self.failed[name]
                self._reopened[name] = each
                self._waiting.appendleft(name)

    def pending(self) -> bool:
        """Whether there is an order now."""
        if self.until.passed():
            return False
        return bool(self._waiting or self._retries or self._next_uncertain())

    def left(self, workers: int) -> float | None:
        """Seconds that the run will still take with this number of workers; None before there is any pace."""
        if math.isfinite(self.until.at):
            return self.until.left()
        waiting = [*self._waiting, *self._running]
        if waiting and not self._pace:
            return None
        return sum(self.predicted(each) for each in waiting) / max(1, workers)

    def reachable(self, workers: int) -> int:
        """Tasks that have had a first pass when the time is over, if each takes what `predicted` says."""
        left, reached = self.until.left() * workers, len(self.records)
        for name in [*(each for each in self._running if each not in self.records), *self._waiting]:
            left -= self.predicted(name)
            if left < 0:
                break
            reached += 1
        return reached

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
            doubtful = self._next_uncertain()
            if doubtful is None:
                return None
            name = doubtful
            seconds = min(self.settings.time.seconds, self.until.left())
            seed = self.seed + self._passes[name] * SEED_STEP
            order = Order(self.tasks[name], self.settings, seed, seconds, earlier=self.records[name])
        self._running[name] = self._reopened.pop(name, None)
        return order

    def update(self, outcome: Outcome) -> TaskRecord | None:
        """Take note of an outcome; returns the task's new record, or None where the task is retried."""
        order, name = outcome.order, outcome.order.task.id
        before = self._running.pop(name, None)
        failures = [each for each in (before, outcome) if each is not None and each.record is None]
        reasons = tuple(each.reason for each in failures)
        if outcome.record is not None:
            if order.earlier is None and not order.again:
                self._pace.append((self.costs[name], outcome.record.seconds))
            record = replace(outcome.record, notes=reasons + outcome.record.notes)
            self.failed.pop(name, None)
        elif not order.again and not self.until.passed():
            short = outcome.failure is not None and outcome.failure.kind == "out_of_memory"
            self._retries.append((replace(order, settings=halved(order.settings, memory=short), again=True), outcome))
            return None
        else:
            found = next((each.so_far for each in failures if each.so_far is not None), None)
            best = order.earlier or found or TaskRecord.empty(order.task)
            record = replace(best, notes=best.notes + reasons)
            if not record.finished:
                self.failed[name] = outcome.reason
        self._passes[name] = self._passes.get(name, 0) + 1
        record = replace(record, passes=self._passes[name])
        self._confidence[name] = record.confidence()
        return record

    def predicted(self, name: str) -> float:
        """Seconds that a first pass over this task will take, by the pace of the last ones; 0 before there is any."""
        costs, seconds = (sum(each) for each in zip(*self._pace, strict=True)) if self._pace else (1.0, 0.0)
        return min(self.settings.time.seconds, self.costs[name] * seconds / costs)

    def _seconds(self, name: str, workers: int) -> float:
        """How long the first pass over a task may take.

        It gets what it needs, as long as a quick pass is left for each of the others: half of the needed time rarely
        solves a task (LOG.md), so the most expensive tasks are cut short, not all of them. `fair` is its share of the
        time left by cost, several times over since many tasks end early; `spare` is what the quick passes leave.
        """
        left = self.until.left()
        if not math.isfinite(left):
            return self.settings.time.seconds
        if self.settings.time.schedule == "uniform":
            return min(self.settings.time.seconds, left * workers / (1 + len(self._waiting)), left)
        urgent = [each for each in self._waiting if each not in self._postponed]
        this, others = self.costs[name], sum(self.costs[each] for each in urgent)
        fair = MOST_SHARES * this / (MOST_SHARES * this + others) * left * workers
        spare = left * workers - QUICK * sum(self.predicted(each) for each in urgent)
        return min(self.settings.time.seconds, max(fair, min(spare, left / 2)), left)

    def _next_uncertain(self) -> str | None:
        """The task that may gain most by another pass which still fits into the time; None if none does.

        Tasks with the fewest passes come first, then those with the highest confidence below `SURE`.
        """
        left = self.until.left()
        if not math.isfinite(left) or self.settings.time.schedule == "uniform":
            return None
        may = [
            name for name, record in self.records.items()
            if name not in self._running and name not in self._postponed and self._passes[name] < MOST_PASSES
            and record.fit is not None and self._confidence[name] <= SURE
            and record.seconds / self._passes[name] <= left
        ]  # fmt: skip
        return min(may, key=lambda name: (self._passes[name], -self._confidence[name], name)) if may else None

    def _by_cost(self, name: str) -> tuple[float, str]:
        return self.costs[name], name


def halved(settings: Settings, memory: bool) -> Settings:
    """Settings for a retry: half the training rows and views; where memory was short, less of it as well."""
    rows, search = settings.training_rows, settings.search
    half = replace(
        settings,
        training_rows=replace(rows, copies=max(1, rows.copies // 2), max_rows=max(1, rows.max_rows // 2)),
        search=replace(search, views=max(1, search.views // 2), scoring_views=search.scoring_views // 2),
    )
    return with_less_memory(half, context=True) if memory else half


def with_less_memory(settings: Settings, context: bool) -> Settings:
    """Settings that ask for less memory: activations are recomputed, micro-batches and the KV cache are half as large.

    That costs time and no answer. With `context` prompts and training rows are half as long as well.
    """
    model, adapt, search = settings.model, settings.adapt, settings.search
    return replace(
        settings,
        model=replace(model, context=max(1024, model.context // 2)) if context else model,
        adapt=replace(adapt, checkpointing="on", tokens=max(1, adapt.tokens // 2)),
        search=replace(search, megabytes=search.megabytes / 2),
    )
