"""Three tasks in a row that fail alike have a common cause; a retry that goes through does not mend it."""

from __future__ import annotations

from submission.runner.failures import Failure, FailureKind
from submission.runner.schedule import Order, Outcome
from submission.runner.streaks import Streak
from submission.solver.records import TaskRecord
from tests.faults.cell import SCRIPTED, copies

TASKS = list(copies(5)[0].values())


def failed(number: int, kind: FailureKind = "out_of_memory", again: bool = False) -> Outcome:
    return Outcome(Order(TASKS[number], SCRIPTED, 0, 1.0, again), None, "why", failure=Failure(kind, "why"))


def solved(number: int, again: bool = False) -> Outcome:
    return Outcome(Order(TASKS[number], SCRIPTED, 0, 1.0, again), TaskRecord.empty(TASKS[number]))


def after(*outcomes: Outcome) -> list[str]:
    """The tasks of the streak that these outcomes make."""
    streak = Streak("out_of_memory")
    for each in outcomes:
        streak.add(each)
    return [each.order.task.id for each in streak.ended()]


def test_three_tasks_that_fail_alike_are_a_streak_however_often_each_has_failed() -> None:
    assert after(failed(0), failed(0, again=True), failed(1), failed(1, again=True)) == []
    assert after(failed(0), failed(1), failed(2)) == ["copy000", "copy001", "copy002"]


def test_a_retry_that_goes_through_ends_no_streak_and_a_first_try_does() -> None:
    assert len(after(failed(0), solved(0, again=True), failed(1), solved(1, again=True), failed(2))) == 3
    assert after(failed(0), failed(1), solved(3), failed(2)) == []


def test_failures_of_another_kind_are_no_part_of_it() -> None:
    assert after(failed(0), failed(1), failed(2, "error")) == []
    assert len(after(failed(0), failed(1), failed(3, "died"), failed(2))) == 3


def test_a_streak_that_was_told_begins_anew() -> None:
    streak = Streak("out_of_memory")
    for number in range(3):
        streak.add(failed(number))
    assert len(streak.ended()) == 3
    streak.add(failed(3))
    assert streak.ended() == []
