"""Deadlines on a clock that the test moves."""

from __future__ import annotations

import math
import re
import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import submission
from submission.deadline import NEVER, Deadline, within
from tests.support.clock import Clock


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


def test_without_a_clock_time_is_monotonic() -> None:
    assert Deadline(0.0).clock is time.monotonic
    assert 59 < within(60).left() <= 60


def test_a_deadline_is_a_value() -> None:
    deadline = within(10, Clock())
    with pytest.raises(FrozenInstanceError):
        deadline.at = 0.0  # type: ignore[misc]


def test_a_clock_that_jumps_ahead_ends_what_is_under_way() -> None:
    """A machine that slept, say."""
    clock = Clock()
    run = within(100, clock)
    task = run.share(0.5)
    clock.now += 1e6
    assert run.passed() and task.passed() and task.share(0.5).left() == 0


OF_FILES = {"output_folder.py"}
"""Modules that need the calendar: a file's age is told by it alone."""


def test_no_module_looks_at_the_calendar_but_for_the_age_of_files() -> None:
    package = Path(submission.__file__).parent
    wall = re.compile(r"time\.time(_ns)?\(|datetime")
    assert {path.name for path in package.rglob("*.py") if wall.search(path.read_text())} == OF_FILES
