"""Who solves when: programs before the network on the same cores, and what they have solved is the network's last."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.prompts import task_cost
from submission.arc.tasks import Pair, Task, grid
from submission.config import EMBEDDED, with_changes
from submission.deadline import NEVER
from submission.presets import PRESETS
from submission.results.store import RunStore
from submission.runner import dispatcher
from submission.runner.dispatcher import Dispatcher, SolverLane
from submission.runner.failures import Failure, FailureKind
from submission.runner.run import run
from submission.runner.schedule import Order, Outcome, Schedule
from submission.runner.spec import RunSpec, WorkerSpec
from submission.runner.workers import WorkerPool
from tests.faults.cell import copies
from tests.faults.scripted import Loader
from tests.support.planted import mirrored_tasks

QUICK = with_changes(
    PRESETS["laptop"], ["training_rows.copies=1", "search.views=2", "programs.seconds=1", "programs.settle=False"]
)


def contradictory(name: str) -> Task:
    """One that no program solves: equal inputs have unequal outputs. It is the longest."""
    rng = np.random.default_rng(9)
    same = grid(rng.integers(0, 10, (9, 9)))
    return Task(name, (Pair(same, grid([[1]])), Pair(same, grid([[2]]))), (same,))


def finished_at(folder: Path) -> dict[str, int]:
    """When each record of a journal was written."""
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def lane_of_nobody(out: Path, number: int = 6) -> tuple[Dispatcher, SolverLane]:
    """A dispatcher with some tasks, and the network's lane without a worker."""
    tasks, _ = copies(number)
    spec = RunSpec(out, EMBEDDED, QUICK, workers=1, load=Loader())
    made = Dispatcher(spec, tasks, RunStore(out, tasks, {}, QUICK), NEVER)
    schedule = Schedule(tasks, task_cost, QUICK, 0, NEVER, {})
    return made, SolverLane("network", schedule, WorkerPool(WorkerSpec(EMBEDDED, QUICK, 0), []))


def fail_both_tries(made: Dispatcher, lane: SolverLane, kind: FailureKind, tasks: int) -> list[Order]:
    """Let each try at so many tasks fail in this way; returns the first tries."""
    orders: list[Order] = []
    for _ in range(2 * tasks):
        order = lane.schedule.next(1)
        assert order is not None
        outcome = Outcome(order, None, "why", failure=Failure(kind, "why"))
        made.answer_streaks(lane, outcome)
        lane.schedule.update(outcome)
        orders += [] if order.again else [order]
    return orders


def test_after_three_tasks_without_memory_the_next_ask_for_less_and_then_for_less_context(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The tasks that both their tries have cost by then are taken once more."""
    made, lane = lane_of_nobody(tmp_path, 20)
    orders = fail_both_tries(made, lane, "out_of_memory", 20)
    asked = {each.settings.search.megabytes: each.settings for each in orders}
    assert list(asked) == [512, 256, 128, 64]
    assert [each.model.context for each in asked.values()] == [4096, 4096, 2048, 2048]
    assert [each.adapt.checkpointing for each in asked.values()] == ["auto", "on", "on", "on"]
    assert {each.training_rows for each in asked.values()} == {QUICK.training_rows}
    assert caplog.text.count("3 tasks in a row ran out of memory") == 3
    of_the_first = [each.settings.search.megabytes for each in orders if each.task.id == orders[0].task.id]
    assert (of_the_first[0], of_the_first[-1]) == (512, 64)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_three_tasks_that_overflow_float16_are_solved_once_more_in_float32(
    dtype: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, lane = lane_of_nobody(tmp_path)
    lane.pool.dtype = dtype
    orders = fail_both_tries(made, lane, "not_finite", 3)
    following = lane.schedule.next(1)
    assert following is not None
    again = dtype == "float16"
    assert (following.task.id in {each.task.id for each in orders}) == again
    assert ("3 tasks in a row overflowed float16: they and the next are solved in float32" in caplog.text) == again


def test_programs_come_first_and_the_network_begins_with_what_they_have_not_solved(tmp_path: Path) -> None:
    tasks, _ = mirrored_tasks(2)
    tasks["hard"] = contradictory("hard")
    job = RunSpec(
        tmp_path / "out", EMBEDDED, QUICK, workers=1, load=Loader(pause=0.05), solvers=("network", "programs")
    )
    assert run(job, tasks, None)["finished"]
    network = finished_at(tmp_path / "out" / "journal")
    programs = finished_at(tmp_path / "out" / "journal" / "programs")
    assert set(network) == set(programs) == set(tasks)
    assert max(programs.values()) < min(network.values())
    assert min(network, key=lambda name: network[name]) == "hard", "though it is the longest"


@pytest.mark.parametrize(("seconds", "taken"), [(None, {"hard"}), (600.0, {"hard", "mirrored0", "mirrored1"})])
def test_what_programs_settle_the_network_takes_only_for_the_clocks_sake(
    seconds: float | None, taken: set[str], tmp_path: Path
) -> None:
    """A flip is found without any one of its demonstrations: without a clock no second opinion is worth its time."""
    mirrored, solutions = mirrored_tasks(2)
    tasks = {f"mirrored{k}": replace(task, id=f"mirrored{k}") for k, task in enumerate(mirrored.values())}
    answers = dict(zip(tasks, solutions.values(), strict=True))
    tasks["hard"] = contradictory("hard")
    settings = with_changes(QUICK, ["programs.settle=True"])
    out = tmp_path / "out"
    job = RunSpec(out, EMBEDDED, settings, seconds=seconds, workers=1, load=Loader(), solvers=("network", "programs"))
    summary = run(job, tasks, None)
    assert (summary["finished"], summary["finished_tasks"]) == (True, 3)
    assert set(finished_at(out / "journal")) == taken
    assert summary["tasks_settled_by_programs"] == 3 - len(taken)
    written = json.loads((out / "submission.json").read_bytes())
    assert all(written[name][0]["attempt_1"] == answers[name][0].tolist() for name in answers)
    before = finished_at(out / "journal" / "programs") | finished_at(out / "journal")
    assert run(replace(job, resume=True), tasks, None)["finished"]
    assert finished_at(out / "journal" / "programs") | finished_at(out / "journal") == before, "nothing is done again"


def test_beside_programs_the_network_leaves_nothing_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would leave out would depend on who comes to a task first."""
    monkeypatch.setattr(dispatcher, "worker_devices", lambda wanted, device: ["0"])  # As if there were a GPU.
    tasks, _ = mirrored_tasks(2)
    settings = with_changes(QUICK, ["programs.settle=True"])
    job = RunSpec(tmp_path / "out", EMBEDDED, settings, workers=1, load=Loader(), solvers=("network", "programs"))
    assert run(job, tasks, None)["tasks_settled_by_programs"] == 0
    assert set(finished_at(tmp_path / "out" / "journal")) == set(tasks)


@pytest.mark.parametrize("change", ["vote.programs=off", "vote.programs=last", "programs.settle=False"])
def test_where_programs_do_not_give_the_first_attempt_nothing_is_left_to_them(change: str, tmp_path: Path) -> None:
    tasks, _ = mirrored_tasks(2)
    settings = with_changes(QUICK, ["programs.settle=True", change])
    job = RunSpec(tmp_path / "out", EMBEDDED, settings, workers=1, load=Loader(), solvers=("network", "programs"))
    assert run(job, tasks, None)["tasks_settled_by_programs"] == 0
    assert set(finished_at(tmp_path / "out" / "journal")) == set(tasks)


def test_one_kind_of_solver_alone_keeps_a_journal_of_its_own(tmp_path: Path) -> None:
    tasks, solutions = mirrored_tasks(2)
    alone = RunSpec(tmp_path / "out", EMBEDDED, QUICK, workers=1, solvers=("programs",))
    assert run(alone, tasks, solutions)["solved_tasks"] == 2
    assert set(finished_at(tmp_path / "out" / "journal" / "programs")) == set(tasks)
    assert finished_at(tmp_path / "out" / "journal") == {}
