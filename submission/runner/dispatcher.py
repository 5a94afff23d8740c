"""Dispatcher: a task queue and a worker pool for each kind of solver, the network and the search for programs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

from submission.arc.prompts import task_cost
from submission.arc.tasks import Task, Tasks, grid_key
from submission.deadline import Deadline
from submission.results.store import RunStore
from submission.runner.devices import cores, worker_devices
from submission.runner.pace import Pace
from submission.runner.schedule import Outcome, Schedule
from submission.runner.spec import Kind, RunSpec, WorkerSpec
from submission.runner.streaks import LONG, Streak
from submission.runner.workers import NoWorkerLeft, WorkerPool
from submission.solver import ensemble
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

PROGRAMS_SHARE = 0.2
"""Share of the run's time that the search for programs takes at most, where it shares the cores with the network."""

CPU_DTYPE = "journal/cpu_dtype"
"""The file, in the output folder, that says what the workers compute in on a CPU."""

MOST_TIMES_LESS = 3
"""How often the network asks for less memory than before: the second time it has half the context as well.

The rest costs time only, a shorter context may cost answers.
"""


@dataclass
class SolverLane:
    """The queue of one kind of solver (its schedule), and the worker pool that works on it."""

    kind: Kind
    schedule: Schedule
    pool: WorkerPool


def different_demonstrations(task: Task) -> int:
    """How many different demonstrations a task has."""
    return len({(grid_key(pair.input), grid_key(pair.output)) for pair in task.demonstrations})


class Dispatcher:
    """All lanes of a run. Programs come before the network where both need the same cores or GPUs, else beside it."""

    def __init__(self, spec: RunSpec, tasks: Tasks, store: RunStore, until: Deadline) -> None:
        """Queues for every kind of solver that the run asks for; no worker is started yet."""
        self.spec = spec
        self._until = until
        self.lanes: list[SolverLane] = []
        self.broken: NoWorkerLeft | None = None
        """Why the main lane lost all its workers; other lanes go on while they have tasks."""
        self.pace = Pace(spec.planned_training)
        """Of the network: whether this machine trains as fast as planned."""
        self._no_memory, self._no_numbers = Streak("out_of_memory"), Streak("not_finite")
        """Of the network's lane."""
        self._asked_for_less = 0
        gpus = worker_devices(1, spec.settings.model.device) != [None]
        self.parallel = spec.ray is not None or (gpus and not spec.settings.programs.writer)
        """Whether all lanes work at the same time."""
        self._waiting = [kind for kind in ("programs", "network") if kind in spec.solvers]
        self._schedules = {kind: self._schedule(kind, tasks, store, until) for kind in self._waiting}
        for record in store.records["programs"].values():
            self.on_record("programs", record)

    def active_lanes(self) -> list[SolverLane]:
        """The lanes that have something to do. Closes the others' pools, and starts the next lane when it may start."""
        active = [lane for lane in self.lanes if lane.pool.busy() or lane.schedule.pending()]
        for lane in self.lanes:
            if lane not in active:
                lane.pool.close()
        while self._waiting and (self.parallel or not active):
            kind = self._waiting.pop(0)
            self.lanes.append(SolverLane(kind, self._schedules[kind], self._pool(kind)))
            active += [self.lanes[-1]] if self.lanes[-1].schedule.pending() else []
        return active

    def wait(self, lane: SolverLane, seconds: float) -> list[Outcome]:
        """The outcomes of a lane's orders, see `WorkerPool.wait`; a lane without workers is closed."""
        try:
            outcomes = lane.pool.wait(seconds)
            for each in outcomes if lane.kind == "network" else ():
                self.answer_streaks(lane, each)
            return outcomes
        except NoWorkerLeft as error:
            if lane.kind == self.spec.main:
                self.broken = error
            logger.error("%s: %s", lane.kind, error)
            lane.pool.close()
            self.lanes.remove(lane)
            return []

    def on_record(self, kind: Kind, record: TaskRecord) -> None:
        """Put a task that a stable program solves last in the network's queue; leave one out that it settles.

        Beside programs the network leaves none out: which ones would depend on who comes to a task first.
        """
        network, how = self._schedules.get("network"), self.spec.settings.programs
        if kind != "programs" or network is None:
            return
        shown, order = different_demonstrations(network.tasks[record.task]), self.spec.settings.vote.programs
        settled = how.settle and ensemble.settled(record.programs or (), shown, order)
        if settled and not self.parallel:
            network.leave_out(record.task)
        elif settled or record.stability >= how.min_stability:
            network.postpone(record.task)

    def finished(self) -> set[str]:
        """The tasks with which the run is done: those of the main solver's records, and those that it leaves out."""
        return {*self._schedules[self.spec.main].records} | self.left_out()

    def left_out(self) -> set[str]:
        """The tasks that the main solver leaves to programs, which settle them."""
        return self._schedules[self.spec.main].left_out

    def answer_streaks(self, lane: SolverLane, outcome: Outcome) -> None:
        """Ask for less memory where one task after another runs out of it, and leave float16 where all overflow.

        The tasks that have lost both their tries by then are taken once more.
        """
        self._no_memory.add(outcome)
        if (failures := self._no_memory.ended()) and self._asked_for_less < MOST_TIMES_LESS:
            lane.schedule.ask_for_less(context=self._asked_for_less == 1)
            lane.schedule.reopen(failures)
            self._asked_for_less += 1
            logger.warning(
                "%d tasks in a row ran out of memory: the next ask for less (%d)", LONG, self._asked_for_less
            )
        self._no_numbers.add(outcome)
        if (failures := self._no_numbers.ended()) and lane.pool.load_in_float32():
            lane.schedule.reopen(failures)
            logger.warning("%d tasks in a row overflowed float16: they and the next are solved in float32", LONG)

    def counts(self) -> dict[Kind, tuple[int, int]]:
        """Kind of solver -> how many tasks it has finished, and how many it does not leave to another one."""
        return {
            kind: (len(each.records), len(each.tasks) - len(each.left_out)) for kind, each in self._schedules.items()
        }

    def left(self) -> float | None:
        """Seconds that the run will still take; None as long as a solver that has tasks left has shown no pace."""
        sizes = {lane.kind: lane.pool.size for lane in self.lanes}
        each = [
            schedule.left(sizes.get(kind, self.spec.workers or cores())) for kind, schedule in self._schedules.items()
        ]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each):
            return None
        return max(known, default=0.0) if self.parallel or math.isfinite(self._until.at) else sum(known)

    def failures(self) -> dict[Kind, dict[str, str]]:
        """Kind of solver -> task -> why it failed, see `Schedule.failed`."""
        return {kind: schedule.failed for kind, schedule in self._schedules.items()}

    def _schedule(self, kind: Kind, tasks: Tasks, store: RunStore, until: Deadline) -> Schedule:
        settings = self.spec.settings
        if kind == "programs":
            time_ = replace(settings.time, seconds=settings.programs.seconds, schedule="uniform")
            settings = replace(settings, time=time_)
            until = until if self.parallel or "network" not in self.spec.solvers else until.share(PROGRAMS_SHARE)
        return Schedule(tasks, task_cost, settings, self.spec.seed, until, store.records[kind])

    def _pool(self, kind: Kind) -> WorkerPool:
        """The workers of one lane: none if there is nothing to do."""
        spec = self.spec
        shared = spec.out / CPU_DTYPE if spec.ray is None else None
        worker = WorkerSpec(spec.model, self._schedules[kind].settings, spec.seed, spec.load, kind, shared)
        if not self._schedules[kind].pending():
            return WorkerPool(worker, [])
        devices = worker_devices(spec.workers, spec.settings.model.device)
        if kind == "programs" and not spec.settings.programs.writer:
            others = len(devices) if self.parallel and spec.ray is None else 0
            return WorkerPool(worker, [None] * max(1, (spec.workers or cores()) - others))
        if kind == "network" and spec.ray is not None:
            from submission.runner.ray_workers import RayPool

            return RayPool(worker, spec.ray, spec.workers)
        if kind == "network":
            logger.info("network: %d workers load the model", len(devices))
        return WorkerPool(worker, devices)
