"""The pace: a machine that trains slower than planned is told once, after three tasks; it never stops a run."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.config import EMBEDDED, Settings, with_changes
from submission.deadline import Deadline, within
from submission.presets import preset
from submission.runner.pace import Pace, share_done
from submission.runner.run import run
from submission.runner.schedule import Outcome, Schedule
from submission.runner.spec import PlannedTraining, RunSpec
from submission.solver.records import FitRecord, TaskRecord
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Loader
from tests.support.clock import Clock

SETTINGS = preset("poe-l4x4")

SEARCH = 30.0
"""Seconds that each task takes after its training."""


def sized(side: int) -> Task:
    square = grid(np.zeros((side, side)))
    return Task(f"t{side:02}", (Pair(square, square),), (square,))


def planned(task: Task, settings: Settings) -> float:
    """Ten seconds a row of the test input."""
    return 10.0 * len(task.tests[0])


class Machine:
    """One worker on a pretended clock, whose trainings take `slowness` times what is planned."""

    def __init__(self, slowness: float, until: float = float("inf"), tasks: int = 20) -> None:
        self.clock, self.slowness = Clock(), slowness
        self.records: dict[str, TaskRecord] = {}
        deadline = within(until, self.clock) if until < float("inf") else Deadline(until, self.clock)
        some = {task.id: task for task in map(sized, range(1, tasks + 1))}
        self.schedule = Schedule(some, lambda task: len(task.tests[0]), SETTINGS, 0, deadline, self.records)

    def solve(self, pace: Pace, part: float = 1.0) -> None:
        """Solve the next task, with so large a part of its training."""
        order = self.schedule.next(1)
        assert order is not None
        seconds = part * self.slowness * planned(order.task, order.settings)
        fit = FitRecord(64, round(64 * part), (1.0,), seconds, "done" if part == 1 else "converged")
        self.clock.now += seconds + SEARCH
        outcome = Outcome(order, replace(TaskRecord.empty(order.task), fit=fit, seconds=seconds + SEARCH))
        record = self.schedule.update(outcome)
        assert record is not None
        self.records[record.task] = record
        pace.add(outcome, self.schedule, 1)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_slow_machine_is_told_once_after_three_tasks_with_what_it_will_reach(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Worked by hand: three tasks of 20, 40 and 60 s and 30 s each are 210 s for a cost of 6, that is 35 s for one."""
    machine, pace = Machine(2.0, until=210 + 35 * (4 + 5 + 6) + 20), Pace(planned)
    for _ in range(2):
        machine.solve(pace)
    assert (pace.judged, warnings(caplog)) == ({}, [])
    for _ in range(3):
        machine.solve(pace)
    told = "this machine trains at 50 % of the planned rate (the first 3 tasks took 120 s, planned 60 s): "
    told += "at this pace 6 of 20 tasks will be reached in the 0.2 hours that are left"
    assert warnings(caplog) == [told]
    assert pace.judged == {"tasks": 3, "seconds": 120.0, "planned_seconds": 60.0, "rate": 0.5, "warning": told}


def test_without_an_end_the_hours_of_all_tasks_are_told(caplog: pytest.LogCaptureFixture) -> None:
    machine, pace = Machine(2.0), Pace(planned)
    for _ in range(3):
        machine.solve(pace)
    hours = 35 * sum(range(4, 21)) / 3600
    assert warnings(caplog)[0].endswith(f"at this pace all 20 tasks take {hours:.1f} hours more")


@pytest.mark.parametrize("slowness", [0.3, 1.0, 1.2])
def test_a_machine_as_planned_or_faster_is_silent(slowness: float, caplog: pytest.LogCaptureFixture) -> None:
    machine, pace = Machine(slowness), Pace(planned)
    for _ in range(4):
        machine.solve(pace)
    assert warnings(caplog) == []
    assert pace.judged["rate"] == pytest.approx(1 / slowness, abs=1e-3)
    assert "warning" not in pace.judged


def test_of_a_training_that_ended_early_only_what_was_done_is_compared(caplog: pytest.LogCaptureFixture) -> None:
    machine, pace = Machine(1.0), Pace(planned)
    for _ in range(3):
        machine.solve(pace, part=0.25)
    assert pace.judged["rate"] == 1.0


def test_the_share_of_a_training_follows_from_its_batches() -> None:
    adapt = with_changes(Settings(), ["adapt.batch=4", "adapt.epochs=2"]).adapt
    fit = FitRecord(10, 3, (), 1.0, "deadline")  # Two epochs of three batches.
    assert share_done(fit, adapt) == 0.5
    assert share_done(replace(fit, steps=6), adapt) == 1.0
    assert share_done(replace(fit, rows=0, steps=0), adapt) == 0.0


def test_without_a_plan_nothing_is_judged_and_retries_and_failures_do_not_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine, pace = Machine(9.0), Pace(None)
    for _ in range(4):
        machine.solve(pace)
    assert pace.judged == {}
    machine, pace = Machine(9.0), Pace(planned)
    order = machine.schedule.next(1)
    assert order is not None
    done = replace(TaskRecord.empty(order.task), fit=FitRecord(64, 64, (), 1e6, "done"))
    off = replace(done, fit=FitRecord(0, 0, (), 0.0, "off"))
    for outcome in (Outcome(replace(order, again=True), done), Outcome(replace(order, earlier=done), done),
                    Outcome(order, None), Outcome(order, off)):  # fmt: skip
        for _ in range(3):
            pace.add(outcome, machine.schedule, 1)
    assert (pace.judged, warnings(caplog)) == ({}, [])


def broken(task: Task, settings: Settings) -> float:
    raise RuntimeError("the plan is wrong")


@pytest.mark.parametrize(
    ("plan", "rate", "told"),
    [(lambda task, settings: 0.03, 0.5, "this machine trains at"), (lambda task, settings: 6.0, 1.0, ""),
     (broken, 0.0, "is not compared with the plan: RuntimeError"), (None, 0.0, "")],
)  # fmt: skip
def test_a_run_tells_its_pace_in_the_log_and_the_summary_and_goes_on(
    plan: PlannedTraining | None, rate: float, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A scripted training takes 0.06 s, or more on a busy machine."""
    tasks, _ = copies(5)
    job = RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, workers=1, load=Loader(pause=0.02), planned_training=plan)
    summary = run(job, tasks, None)
    assert summary["finished"]
    pace = json.loads((tmp_path / "out" / "summary.json").read_text()).get("pace", {})
    assert bool(pace) == bool(rate)
    assert ("warning" in pace) == (rate == 0.5)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert log.count("this machine trains at") == (rate == 0.5)
    assert told in log
