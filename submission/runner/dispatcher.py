"""Who solves, and when: the network and the search for programs, each with a queue and workers of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from submission.arc.prompts import task_cost
from submission.arc.tasks import Tasks
from submission.deadline import Deadline
from submission.results.store import RunStore
from submission.runner.devices import cores, worker_devices
from submission.runner.schedule import Outcome, Schedule
from submission.runner.spec import Kind, RunSpec, WorkerSpec
from submission.runner.workers import NoWorkerLeft, WorkerPool
from submission.solver.records import Record

logger = logging.getLogger(__name__)

PROGRAMS_SHARE = 0.2
"""Share of the run's time that the search for programs takes at most, where it shares the cores with the network."""


@dataclass
class SolverLane:
    """One kind of solver: its queue, and those who work on it."""

    kind: Kind
    schedule: Schedule
    pool: WorkerPool


class Dispatcher:
    """All who solve. Programs come before the network where both need the same cores or GPUs, else beside it."""

    def __init__(self, job: RunSpec, tasks: Tasks, book: RunStore, until: Deadline) -> None:
        """Nobody is at work yet."""
        self.job = job
        self.sides: list[SolverLane] = []
        self.broken: NoWorkerLeft | None = None
        """Why those that the run is about could not go on; the others do, as far as they have something to do."""
        gpus = worker_devices(1, job.settings.model.device) != [None]
        self.beside = job.ray is not None or (gpus and not job.settings.programs.writer)
        self._later = [kind for kind in ("programs", "network") if kind in job.solvers]
        self._queues = {kind: self._queue(kind, tasks, book, until) for kind in self._later}
        for record in book.records["programs"].values():
            self.heard("programs", record)

    def at_work(self) -> list[SolverLane]:
        """Those who have something to do; whose turn has come is called."""
        working = [side for side in self.sides if side.pool.busy() or side.schedule.pending()]
        for side in self.sides:
            if side not in working:
                side.pool.close()
        while self._later and (self.beside or not working):
            kind = self._later.pop(0)
            self.sides.append(SolverLane(kind, self._queues[kind], self._pool(kind)))
            working += [self.sides[-1]] if self.sides[-1].schedule.pending() else []
        return working

    def wait(self, side: SolverLane, seconds: float) -> list[Outcome]:
        """What has come of a side's orders, see `Pool.wait`; a side that is broken leaves."""
        try:
            return side.pool.wait(seconds)
        except NoWorkerLeft as error:
            if side.kind == self.job.main:
                self.broken = error
            logger.error("%s: %s", side.kind, error)
            side.pool.close()
            self.sides.remove(side)
            return []

    def heard(self, kind: Kind, record: Record) -> None:
        """A task that programs have solved is the network's last."""
        stability = max((each["stability"] for each in record.get("programs", [])), default=-1.0)
        if kind == "programs" and "network" in self._queues and stability >= self.job.settings.programs.min_stability:
            self._queues["network"].postpone(record["task"])

    def _queue(self, kind: Kind, tasks: Tasks, book: RunStore, until: Deadline) -> Schedule:
        settings, finished = self.job.settings, book.records[kind]
        if kind == "programs":
            time_ = replace(settings.time, seconds=settings.programs.seconds, schedule="uniform")
            settings = replace(settings, time=time_)
            until = until if self.beside or "network" not in self.job.solvers else until.share(PROGRAMS_SHARE)
        return Schedule(tasks, task_cost, settings, self.job.seed, until, finished)

    def _pool(self, kind: Kind) -> WorkerPool:
        """Those who work on one queue: none if there is nothing to do."""
        job = self.job
        crew = WorkerSpec(job.model, self._queues[kind].settings, job.seed, job.load, kind)
        if not self._queues[kind].pending():
            return WorkerPool(crew, [])
        if kind == "programs" and job.settings.programs.writer:
            return WorkerPool(crew, worker_devices(job.workers, job.settings.model.device))
        if kind == "programs":
            busy = len(worker_devices(job.workers, job.settings.model.device)) if self.beside and job.ray is None else 0
            return WorkerPool(crew, [None] * max(1, (job.workers or cores()) - busy))
        if job.ray is not None:
            from submission.runner.ray_workers import RayPool

            return RayPool(crew, job.ray, job.workers)
        where = worker_devices(job.workers, job.settings.model.device)
        logger.info("%d workers", len(where))
        return WorkerPool(crew, where)
