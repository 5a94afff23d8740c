"""The queue of a run: cheapest first, time shared anew before each task, one retry, then the doubtful ones again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, Tasks, grid
from submission.config import PRESETS, with_changes
from submission.deadline import NEVER, within
from submission.runner.schedule import MOST_LOOKS, Order, Outcome, Schedule, halved, promise
from submission.solver.records import empty
from tests.support.clock import Clock

SETTINGS = with_changes(PRESETS["laptop"], ["time.seconds=50"])


def tasks(*sides: int) -> dict[str, Task]:
    """Tasks of these sizes, called a, b, c and so on."""
    some = [grid(np.zeros((side, 1), np.uint8)) for side in sides]
    return {chr(97 + k): Task(chr(97 + k), (Pair(g, g),) * 2, (g,)) for k, g in enumerate(some)}


def cost(task: Task) -> float:
    return float(task.tests[0].size)


def record(order: Order, seconds: float = 1.0, log_p: float = -0.1, **more: Any) -> dict[str, Any]:
    """What a worker would make of an order: one candidate, with this log p in each of two views."""
    view = {"symmetry": 0, "exhaustive": True}
    candidate = {"grid": [[1]], "found": {"0": log_p}, "scores": [log_p, log_p], "at_most": 2 * log_p}
    tests = [{"views": [view, view], "settled": False, "candidates": [candidate]}]
    made = {"task": order.task.id, "attempts": [[[[1]]]], "tests": tests, "fit": {}, "seconds": seconds, "notes": []}
    return made | more


def drained(schedule: Schedule, workers: int = 1) -> list[Order]:
    """All orders, each done at once."""
    orders = []
    while (order := schedule.next(workers)) is not None:
        orders.append(order)
        schedule.told(Outcome(order, record(order)))
    return orders


def made(tasks: Tasks, until: Any = NEVER, finished: Any = None) -> Schedule:
    return Schedule(tasks, cost, SETTINGS, 0, until, finished or {})


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
    schedule.told(Outcome(first, record(first, seconds=taken * costs[0])))
    return schedule


def test_a_task_may_take_what_it_needs_while_a_quick_look_is_left_for_each_of_the_others() -> None:
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
        assert order.seconds == pytest.approx(30 / 320 * 20), "not even a quick look is left for all"


def test_what_a_task_takes_is_predicted_from_those_before_it() -> None:
    schedule = paced([1, 2, 3], 1000, Clock(), taken=4.0)
    assert [schedule.predicted(name) for name in "bc"] == [8.0, 12.0]
    order = schedule.next(1)
    assert order is not None
    assert order.seconds == 50, "there is time enough"
    schedule.told(Outcome(order, record(order, seconds=14.0)))
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
        schedule.told(Outcome(order, record(order)))


def test_a_failure_is_tried_once_more_with_half_of_everything_and_then_left_with_the_reasons() -> None:
    schedule = made(tasks(1, 2))
    order = schedule.next(1)
    assert order is not None
    assert schedule.told(Outcome(order, None, "failed: this")) is None
    again = schedule.next(1)
    assert again is not None
    assert (again.task.id, again.settings) == ("a", halved(SETTINGS, context=False))
    left = schedule.told(Outcome(again, None, "failed: that"))
    assert left is not None
    assert (left["attempts"], left["fit"], left["notes"]) == ([[]], None, ["failed: this", "failed: that"])
    assert [each.task.id for each in drained(schedule)] == ["b"]


@pytest.mark.parametrize("reason", ["failed: torch.OutOfMemoryError: CUDA", "the worker died (exit code -9) and was"])
def test_where_memory_was_short_the_second_try_has_half_the_context(reason: str) -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.told(Outcome(order, None, reason))
    again = schedule.next(1)
    assert again is not None
    assert again.settings.model.context == SETTINGS.model.context // 2


def test_a_retry_that_succeeds_says_what_went_before() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.told(Outcome(order, None, "the worker died"))
    again = schedule.next(1)
    assert again is not None
    kept = schedule.told(Outcome(again, record(again, notes=["training ended"])))
    assert kept is not None
    assert kept["notes"] == ["the worker died", "training ended"]


def test_what_a_failed_try_had_found_is_kept() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.told(Outcome(order, None, "the worker died", so_far=record(order)))
    again = schedule.next(1)
    assert again is not None
    kept = schedule.told(Outcome(again, None, "the worker died"))
    assert kept is not None
    assert kept["attempts"] == [[[[1]]]]


# -- a second look ------------------------------------------------------------------------------------------------


def looked(*log_ps: float, seconds: float = 100.0) -> tuple[Schedule, Clock]:
    """A schedule after a first look at tasks whose answers the views give these log p."""
    clock = Clock()
    schedule = made(tasks(*range(1, 1 + len(log_ps))), within(seconds, clock))
    for log_p in log_ps:
        order = schedule.next(1)
        assert order is not None
        assert order.earlier is None
        schedule.told(Outcome(order, record(order, log_p=log_p)))
    return schedule, clock


def test_time_that_is_left_goes_to_the_doubtful_and_among_them_to_the_most_promising() -> None:
    schedule, _ = looked(-0.1, -9.0, -2.0, -40.0)
    second = schedule.next(1)
    assert second is not None
    assert second.task.id == "c"
    assert second.earlier is not None
    assert second.earlier["task"] == "c"
    assert second.seed != 0, "another look is another adapter and other views"
    schedule.told(Outcome(second, record(second, log_p=-2.0)))
    assert [order.task.id for order in (schedule.next(1), schedule.next(1)) if order] == ["b", "d"]


def test_nobody_looks_again_without_a_clock_or_at_what_is_sure() -> None:
    schedule = made(tasks(1))
    order = schedule.next(1)
    assert order is not None
    schedule.told(Outcome(order, record(order, log_p=-9.0)))
    assert schedule.next(1) is None
    schedule, _ = looked(-0.1, -0.2)
    assert not schedule.pending()


def test_a_look_that_would_not_end_in_time_is_not_begun() -> None:
    schedule, clock = looked(-3.0, seconds=100.0)
    clock.now += 99.5
    assert not schedule.until.passed()
    assert schedule.next(1) is None


def test_looks_end_some_time() -> None:
    schedule, _ = looked(-3.0)
    assert len(drained_doubtful(schedule)) == MOST_LOOKS - 1


def drained_doubtful(schedule: Schedule) -> list[Order]:
    orders = []
    while (order := schedule.next(1)) is not None:
        orders.append(order)
        schedule.told(Outcome(order, record(order, log_p=-3.0)))
    return orders


def test_a_look_that_fails_twice_leaves_what_was_known() -> None:
    schedule, _ = looked(-3.0)
    for _ in range(2):
        order = schedule.next(1)
        assert order is not None
        kept = schedule.told(Outcome(order, None, "the worker died"))
    assert kept is not None
    assert kept["attempts"] == [[[[1]]]]
    assert kept["looks"] == 2
    assert kept["notes"] == ["the worker died", "the worker died"]


def test_a_run_that_goes_on_counts_the_looks_that_were_taken() -> None:
    known = record(Order(tasks(1)["a"], SETTINGS, 0, 1.0), log_p=-3.0, looks=MOST_LOOKS - 1)
    schedule = made(tasks(1), within(100, Clock()), {"a": known})
    assert len(drained_doubtful(schedule)) == 1


def test_promise_is_of_the_worst_test_and_none_without_an_answer() -> None:
    order = Order(tasks(1)["a"], SETTINGS, 0, 1.0)
    both = record(order, log_p=-1.0)
    both["tests"] += record(order, log_p=-4.0)["tests"]
    assert promise(both) == pytest.approx(-4.0)
    assert promise(empty(order.task)) == -math.inf
