"""Schedules against each other: real runs, with a scripted engine; and the three figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.benchmarks.time_scaling import SCHEDULES, Point, control, measured, performance, slope, table
from submission.runner.spec import RunSpec
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Loader


def point(schedule: str, budget: float, solved: int, seconds: float | None = None) -> Point:
    return Point(schedule, budget, budget if seconds is None else seconds, solved, 10, 10, 1.0)


def test_control_is_the_share_of_runs_that_keep_to_their_time() -> None:
    assert control([point("x", 100, 1, 109), point("x", 100, 1, 111)]) == 0.5
    assert control([point("x", 1000, 1, 1049), point("x", 1000, 1, 1051)]) == 0.5


def test_scaling_is_the_mean_gain_of_a_doubling_and_performance_the_best() -> None:
    points = [point("x", 400, 9), point("x", 100, 3), point("x", 200, 5)]
    assert slope(points) == pytest.approx((2 + 4 + 3) / 3)
    assert performance(points) == 9


@pytest.mark.slow
def test_every_schedule_runs_on_the_same_tasks_with_every_budget(tmp_path: Path) -> None:
    tasks, solutions = copies(4)
    told: list[Point] = []
    job = RunSpec(tmp_path, tmp_path, SCRIPTED, workers=2, load=Loader(pause=0.01))
    points = measured(job, tasks, solutions, [6.0], told.append)
    assert points == told
    assert [each.schedule for each in points] == list(SCHEDULES)
    assert {(each.solved, each.finished, each.tasks) for each in points} == {(4, 4, 4)}
    lines = list(table(points))
    assert len(lines) == 2 + len(SCHEDULES)
    assert lines[2].startswith("| adaptive | 4 of 4 | 100% |")
