"""Deadlines on a clock that the test moves, and the sharing of a run's time among its tasks."""

from __future__ import annotations

import math
import time
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from submission.budget import NEVER, Deadline, task_deadline, within


class Clock:
    """A clock that stands still until it is moved; with a `tick` it also moves each time it is read."""

    def __init__(self, now: float = 100.0, tick: float = 0.0) -> None:
        self.now = now
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def test_a_deadline_counts_down_and_never_below_zero() -> None:
    clock = Clock()
    deadline = within(10, clock)
    assert deadline.left() == 10
    clock.now += 4
    assert deadline.left() == 6
    clock.now += 60
    assert deadline.left() == 0


def test_a_deadline_has_passed_from_its_moment_on() -> None:
    clock = Clock()
    deadline = within(10, clock)
    clock.now += 9.999
    assert not deadline.passed()
    clock.now = deadline.at
    assert deadline.passed()
    clock.now += 1
    assert deadline.passed()


def test_nothing_is_left_exactly_when_the_deadline_has_passed() -> None:
    clock = Clock()
    deadline = within(3, clock)
    for _ in range(8):
        assert deadline.passed() == (deadline.left() == 0)
        clock.now += 0.5


def test_a_share_is_of_the_time_that_is_left_now() -> None:
    clock = Clock()
    run = within(10, clock)
    clock.now += 5
    half = run.share(0.5)
    assert half.left() == 2.5
    assert run.left() == 5, "the whole is as it was"
    assert half.share(0.2).left() == pytest.approx(0.5)
    clock.now += 2.5
    assert half.passed()
    assert not run.passed()


def test_a_share_of_a_passed_deadline_has_passed() -> None:
    clock = Clock()
    run = within(10, clock)
    clock.now += 20
    assert run.share(0.5).passed()
    assert run.share(0.5).left() == 0


def test_all_of_the_time_is_the_deadline_itself() -> None:
    run = within(10, Clock())
    assert run.share(1).at == run.at


def test_never_is_never() -> None:
    assert not NEVER.passed()
    assert NEVER.left() == math.inf
    assert not NEVER.share(0.5).passed()
    assert task_deadline(NEVER, [1, 2]).left() == math.inf


def test_without_a_clock_time_is_monotonic() -> None:
    assert Deadline(0.0).clock is time.monotonic
    assert 59 < within(60).left() <= 60


def test_a_deadline_is_a_value() -> None:
    deadline = within(10, Clock())
    with pytest.raises(FrozenInstanceError):
        deadline.at = 0.0  # type: ignore[misc]


# -- sharing a run's time ---------------------------------------------------------------------------------------


def test_time_is_shared_by_cost() -> None:
    run = within(100, Clock())
    assert task_deadline(run, [1, 1, 1, 1], most=1).left() == pytest.approx(25)
    assert task_deadline(run, [3, 1], most=1).left() == pytest.approx(75)
    assert task_deadline(run, [1, 3], most=1).left() == pytest.approx(25)
    assert task_deadline(run, [10, 30], most=1).left() == pytest.approx(25), "in any one unit"


def test_a_task_may_take_several_times_its_share_and_no_more() -> None:
    run = within(100, Clock())
    assert task_deadline(run, [1] * 20, most=1).left() == pytest.approx(5)
    assert 5 < task_deadline(run, [1] * 20, most=2).left() <= 10
    assert 10 < task_deadline(run, [1] * 20).left() <= 15


def test_the_last_task_may_take_all_that_is_left() -> None:
    run = within(100, Clock())
    assert task_deadline(run, [7], most=1).at == run.at
    assert task_deadline(run, [7]).at == run.at


def test_a_task_after_the_end_has_no_time() -> None:
    clock = Clock()
    run = within(100, clock)
    clock.now += 101
    assert task_deadline(run, [1, 1]).passed()


@pytest.mark.parametrize("tick", [0.0, 1e-3])
def test_no_task_is_given_more_than_the_run_has_left(tick: float) -> None:
    """Also on a clock that goes on between two readings."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        run = within(float(rng.uniform(1, 100)), Clock(tick=tick))
        costs = rng.uniform(0.1, 10, size=rng.integers(1, 6)).tolist()
        assert task_deadline(run, costs, most=float(rng.uniform(0.5, 5))).at <= run.at


def test_tasks_that_each_use_their_whole_time_end_with_the_run_and_none_goes_without() -> None:
    clock = Clock()
    run = within(1000, clock)
    costs = np.random.default_rng(1).uniform(1, 5, size=40).tolist()
    given = []
    for k in range(len(costs)):
        task = task_deadline(run, costs[k:])
        given.append(task.left())
        clock.now += task.left()
    assert min(given) > 0
    assert sum(given) == pytest.approx(1000)


def test_time_that_a_task_returns_goes_to_the_others() -> None:
    clock = Clock()
    run = within(100, clock)
    slow = task_deadline(run, [1] * 4, most=1).left()
    clock.now += 1
    assert task_deadline(run, [1] * 3, most=1).left() == pytest.approx(99 / 3)
    assert slow < 99 / 3
