"""The queue of a run: cheapest first, time shared anew before each task, one retry, then the doubtful ones again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, Tasks, grid
from submission.arc.views import identity
from submission.config import with_changes
from submission.deadline import NEVER, within
from submission.presets import PRESETS
from submission.runner.failures import Failure
from submission.runner.schedule import MOST_PASSES, Order, Outcome, Schedule, halved, with_less_memory
from submission.solver.records import FitRecord, TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate
from tests.support.clock import Clock

SETTINGS = with_changes(PRESETS["laptop"], ["time.seconds=50"])


def tasks(*sides: int) -> dict[str, Task]:
    """Tasks of these sizes, called a, b, c and so on."""
    some = [grid(np.zeros((side, 1), np.uint8)) for side in sides]
    return {chr(97 + k): Task(chr(97 + k), (Pair(g, g),) * 2, (g,)) for k, g in enumerate(some)}


def cost(task: Task) -> float:
    return float(task.tests[0].size)


def record(order: Order, seconds: float = 1.0, log_p: float = -0.1, **more: Any) -> TaskRecord:
    """What a worker would make of an order: one candidate, with this log p in each of two views."""
    view = ViewRecord(identity(2), 0, True)
    candidate = Candidate(grid([[1]]), {0: log_p}, np.full(2, log_p), 2 * log_p)
    tests = (TestRecord((view, view), False, (candidate,)),)
    fit = FitRecord(1, 1, (1.0,), 0.5, "done")
    return replace(TaskRecord(order.task.id, ((grid([[1]]),),), tests, fit, seconds=seconds), **more)


class Queue(Schedule):
    """A schedule whose records are kept as the run store keeps them."""

    def __init__(self, tasks: Tasks, until: Any, records: dict[str, TaskRecord]) -> None:
        super().__init__(tasks, cost, SETTINGS, 0, until, records)
        self.store = records

    def update(self, outcome: Outcome) -> TaskRecord | None:
        record = super().update(outcome)
        if record is not None:
            self.store[record.task] = record
        return record


def cell_of(kept: TaskRecord) -> int:
    """The one cell of the first attempt."""
    return kept.attempts[0][0].item()


def drained(schedule: Schedule, workers: int = 1) -> list[Order]:
    """All orders, each done at once."""
    orders = []
    while (order := schedule.next(workers)) is not None:
        orders.append(order)
        schedule.update(Outcome(order, record(order)))
    return orders


def made(tasks: Tasks, until: Any = NEVER, finished: Any = None) -> Schedule:
    return Queue(tasks, until, finished or {})


def test_the_cheapest_come_first_and_each_once() -> None:
    assert [each.task.id for each in drained(made(tasks(3, 1, 2)))] == ["b", "c", "a"]


def test_what_is_finished_is_not_solved_again() -> None:
    known = record(Order(tasks(3)["a"], SETTINGS, 0, 1.0))
    assert [each.task.id for each in drained(made(tasks(3, 1), finished={"a": known}))] == ["b"]


def test_without_a_clock_a_task_may_take_what_the_settings_say() -> None:
    order = made(tasks(1, 1)).next(1)
    assert order is not None
    assert order.seconds == 50


def paced(costs: list[int], seconds: float, clock: Clock, taken: float = 1.0) -> Schedule:
    """A schedule whose first task, the cheapest, took so many seconds for each unit of its cost."""
    schedule = made(tasks(*costs), within(seconds, clock))
    first = schedule.next(1)
    assert first is not None
    schedule.update(Outcome(first, record(first, seconds=taken * costs[0])))
    return schedule


def test_a_task_may_take_what_it_needs_while_a_quick_pass_is_left_for_each_of_the_others() -> None:
    clock = Clock()
    schedule = paced([1, 2, *range(10, 16)], 40, clock)
    orders = [order for _ in range(7) if (order := schedule.next(1)) is not None]
    assert orders[0].seconds == pytest.approx(20.0), "half of what is left, should it hang"
    assert orders[-1].seconds == pytest.approx(40.0), "nobody comes after the last one"


def test_where_time_is_short_the_rest_is_shared_by_cost() -> None:
    for workers in (1, 2):
        clock = Clock()
        schedule = paced([1, *[10] * 30], 100, clock, taken=10.0)
        clock.now = schedule.until.at - 20 / workers
        order = schedule.next(workers)
        assert order is not None
        assert order.seconds == pytest.approx(30 / 320 * 20), "not even a quick pass is left for all"


def test_what_a_task_takes_is_predicted_from_those_before_it() -> None:
    schedule = paced([1, 2, 3], 1000, Clock(), taken=4.0)
    assert [schedule.predicted(name) for name in "bc"] == [8.0, 12.0]
    order = schedule.next(1)
    assert order is not None
    assert order.seconds == 50, "there is time enough"
    schedule.update(Outcome(order, record(order, seconds=14.0)))
    assert schedule.predicted("c") == pytest.approx(18.0)


def test_nothing_is_begun_after_the_end() -> None:
    clock = Clock()
    schedule = made(tasks(1, 2), within(10, clock))
    assert schedule.next(1) is not None
    clock.now += 11
    assert not schedule.pending()
    assert schedule.next(1) is None


def test_no_order_is_longer_than_the_run() -> None:
    clock = Clock()
    rng = np.random.default_rng(0)
    schedule = made(tasks(*rng.integers(1, 30, 20)), within(60, clock))
    while (order := schedule.next(3)) is not None:
        assert order.seconds <= schedule.until.left() + 1e-9
        clock.now += float(rng.uniform(0, order.seconds))
        schedule.update(Outcome(order, record(order)))


def test_a_failure_is_tried_once_more_with_half_of_everything_and_then_left_with_the_reasons() -> None:
    schedule = made(tasks(1, 2))
    order = schedule.next(1)
    assert order is not None
    assert schedule.update(Outcome(order, None, "failed: this")) is None
    again = schedule.next(1)
    assert again is not None
    assert (again.task.id, again.settings) == ("a", halved(SETTINGS, memory=False))
    left = schedule.update(Outcome(again, None, "failed: that"))
    assert left is not None
    assert (left.attempts, left.fit, left.notes) == (((),), None, ("failed: this", "failed: that"))
    assert [each.task.id for each in drained(schedule)] == ["b"]


@pytest.mark.parametrize(
    ("failure", "halves"),
    [
        (Failure("out_of_memory", "failed: torch.OutOfMemoryError: CUDA"), True),
        (Failure("out_of_memory", "the worker died (exit code -9) and was replaced"), True),
        (Failure("error", "failed: ValueError: not a MemoryError, exit code -9"), False),
        (None, False),
    ],
)
def test_where_memory_was_short_the_second_try_asks_for_less_of_it(failure: Failure | None, halves: bool) -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.update(Outcome(order, None, failure.message if failure else "failed: MemoryError", failure=failure))
    again = schedule.next(1)
    assert again is not None
    part = 2 if halves else 1
    assert again.settings.model.context == SETTINGS.model.context // part
    assert again.settings.search.megabytes == SETTINGS.search.megabytes / part
    assert again.settings.adapt.tokens == SETTINGS.adapt.tokens // part
    assert again.settings.adapt.checkpointing == ("on" if halves else "auto")


def test_first_tries_that_ask_for_less_have_all_rows_and_views_and_their_retries_ask_for_less_again() -> None:
    schedule = made(tasks(1, 2))
    schedule.ask_for_less(context=False)
    order = schedule.next(1)
    assert order is not None
    assert order.settings == with_less_memory(SETTINGS, context=False)
    assert (order.settings.training_rows, order.settings.search.views) == (SETTINGS.training_rows, 16)
    assert (order.settings.model, order.settings.search.megabytes) == (SETTINGS.model, 256)
    schedule.update(Outcome(order, None, "failed", failure=Failure("out_of_memory", "failed")))
    again = schedule.next(1)
    assert again is not None
    assert (again.settings.search.megabytes, again.settings.model.context) == (128, 2048)


def test_tasks_whose_failure_is_mended_are_taken_once_more_before_the_others() -> None:
    schedule = made(tasks(1, 2))
    for _ in range(2):
        order = schedule.next(1)
        assert order is not None
        lost = Outcome(order, None, "failed: NaN", failure=Failure("not_finite", "failed: NaN"))
        schedule.update(lost)
    assert list(schedule.failed) == ["a"]
    schedule.reopen([lost])
    assert schedule.failed == {}
    order = schedule.next(1)
    assert order is not None
    assert (order.task.id, order.again, order.settings) == ("a", False, SETTINGS)
    kept = schedule.update(Outcome(order, record(order)))
    assert kept is not None
    assert (kept.finished, kept.notes) == (True, ("failed: NaN",))
    schedule.reopen([lost])
    assert [each.task.id for each in drained(schedule)] == ["b"], "what is solved is not taken again"


def test_a_retry_that_succeeds_says_what_went_before() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.update(Outcome(order, None, "the worker died"))
    again = schedule.next(1)
    assert again is not None
    kept = schedule.update(Outcome(again, record(again, notes=("training ended",))))
    assert kept is not None
    assert kept.notes == ("the worker died", "training ended")


def test_what_a_failed_try_had_found_is_kept() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.update(Outcome(order, None, "the worker died", so_far=record(order)))
    again = schedule.next(1)
    assert again is not None
    kept = schedule.update(Outcome(again, None, "the worker died"))
    assert kept is not None
    assert cell_of(kept) == 1


# -- a second pass ------------------------------------------------------------------------------------------------


def passed(*log_ps: float, seconds: float = 100.0) -> tuple[Schedule, Clock]:
    """A schedule after a first pass over tasks whose answers the views give these log p."""
    clock = Clock()
    schedule = made(tasks(*range(1, 1 + len(log_ps))), within(seconds, clock))
    for log_p in log_ps:
        order = schedule.next(1)
        assert order is not None
        assert order.earlier is None
        schedule.update(Outcome(order, record(order, log_p=log_p)))
    return schedule, clock


def test_time_that_is_left_goes_to_the_doubtful_and_among_them_to_the_most_promising() -> None:
    schedule, _ = passed(-0.1, -9.0, -2.0, -40.0)
    second = schedule.next(1)
    assert second is not None
    assert second.task.id == "c"
    assert second.earlier is not None
    assert second.earlier.task == "c"
    assert second.seed != 0, "another pass is another adapter and other views"
    schedule.update(Outcome(second, record(second, log_p=-2.0)))
    assert [order.task.id for order in (schedule.next(1), schedule.next(1)) if order] == ["b", "d"]


def test_there_is_no_further_pass_without_a_clock_or_over_what_is_sure() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.update(Outcome(order, record(order, log_p=-9.0)))
    assert schedule.next(1) is None
    schedule, _ = passed(-0.1, -0.2)
    assert not schedule.pending()


def test_a_pass_that_would_not_end_in_time_is_not_begun() -> None:
    schedule, clock = passed(-3.0, seconds=100.0)
    clock.now += 99.5
    assert not schedule.until.passed()
    assert schedule.next(1) is None


def test_passes_end_some_time() -> None:
    schedule, _ = passed(-3.0)
    assert len(drained_doubtful(schedule)) == MOST_PASSES - 1


def drained_doubtful(schedule: Schedule) -> list[Order]:
    orders = []
    while (order := schedule.next(1)) is not None:
        orders.append(order)
        schedule.update(Outcome(order, record(order, log_p=-3.0)))
    return orders


def test_a_pass_that_fails_twice_leaves_what_was_known() -> None:
    schedule, _ = passed(-3.0)
    for _ in range(2):
        order = schedule.next(1)
        assert order is not None
        kept = schedule.update(Outcome(order, None, "the worker died"))
    assert kept is not None
    assert cell_of(kept) == 1
    assert kept.passes == 2
    assert kept.notes == ("the worker died", "the worker died")


def test_a_run_that_goes_on_counts_the_passes_that_were_taken() -> None:
    known = record(Order(tasks(1)["a"], SETTINGS, 0, 1.0), log_p=-3.0, passes=MOST_PASSES - 1)
    schedule = made(tasks(1), within(100, Clock()), {"a": known})
    assert len(drained_doubtful(schedule)) == 1


def test_confidence_is_of_the_worst_test_and_none_without_an_answer() -> None:
    order = Order(tasks(1)["a"], SETTINGS, 0, 1.0)
    both = record(order, log_p=-1.0)
    both = replace(both, tests=both.tests + record(order, log_p=-4.0).tests)
    assert both.confidence() == pytest.approx(-4.0)
    assert TaskRecord.empty(order.task).confidence() == -math.inf
