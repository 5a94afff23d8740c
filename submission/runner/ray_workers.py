"""The same workers as actors of a Ray cluster, for hundreds of tasks, seeds and settings over several machines.

The queue, the journal and the results are those of a run on one machine; a node that is lost costs its running tasks
one retry. On a single machine plain processes do the same with less: there Ray gains nothing.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError

from submission.deadline import within
from submission.errors import BadInput
from submission.runner.schedule import Order, Outcome
from submission.runner.solvers import solver_of
from submission.runner.spec import WorkerSpec
from submission.runner.workers import Broken, Worker, WorkerPool, is_beyond_repair, peaks
from submission.solver.records import TaskRecord


class Actor:
    """A worker on some node of the cluster; the model's folder must be there under the same path."""

    def __init__(self, crew: WorkerSpec) -> None:
        self.crew = crew

    def load(self) -> tuple[str, Any]:
        """Load the model; what a worker process would say to it."""
        try:
            self.solver = solver_of(self.crew)
        except BadInput as error:
            return "unfit", str(error)
        except Exception:
            return "broken", traceback.format_exc()
        return "ready", None

    def solve(self, order: Order) -> tuple[str, Any]:
        """Solve a task; what a worker process would say to it."""
        try:
            record = self.solver.solve(order, within(order.seconds), _unheard)
        except Exception as error:
            return "failed", (traceback.format_exc(), peaks(), is_beyond_repair(error))
        return "solved", (record, peaks())


class Remote(Worker):
    """One place to work at: an actor, started anew, on whatever node has room, when it was lost."""

    def __init__(self, crew: WorkerSpec, needs: Mapping[str, float]) -> None:
        self.needs = needs
        self.answer: Any = None
        super().__init__(crew, None)

    def start(self) -> None:
        """A fresh actor, which loads its model as soon as a node takes it."""
        self.actor = ray.remote(Actor).options(**self.needs).remote(self.crew)
        self.answer = self.actor.load.remote()
        self.ready, self.began = False, time.monotonic()

    def give(self, order: Order) -> None:
        """Hand over an order."""
        self.order, self.so_far, self.began = order, None, time.monotonic()
        self.answer = self.actor.solve.remote(order)

    def silent(self) -> float:
        """An actor has no heartbeat: Ray itself watches the nodes, and the deadline the rest."""
        return 0.0

    def end(self) -> int | None:
        """Kill the actor."""
        ray.kill(self.actor)
        self.answer = None
        return None


class RayPool(WorkerPool):
    """Actors all over a cluster, with the calls of a `workers.Pool`."""

    def __init__(self, crew: WorkerSpec, address: str, wanted: int) -> None:
        """Connect ("auto": to the cluster that this machine belongs to, or to a new one of this machine alone)."""
        super().__init__(crew, [])
        handler = signal.getsignal(signal.SIGTERM)
        _connect(address)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own in its place, which ends the process.
        there = ray.cluster_resources()
        kind = "GPU" if there.get("GPU") and crew.settings.model.device != "cpu" else "CPU"
        needs = {"num_cpus": 1.0, "num_gpus": float(kind == "GPU")}
        self._actors = [Remote(crew, needs) for _ in range(wanted or int(there[kind]))]
        self._workers = list(self._actors)
        self.size = len(self._workers)

    def wait(self, seconds: float) -> list[Outcome]:
        """What has come of orders within these seconds, see `workers.Pool.wait`."""
        if not self._workers:
            raise Broken("no worker could load the model; the log says why")
        self._actors = [each for each in self._actors if each in self._workers]
        answers = {each.answer: each for each in self._actors if each.answer is not None}
        heard, _ = ray.wait(list(answers), timeout=seconds) if answers else ([], [])
        outcomes = [self._answered(answers[each], each) for each in heard]
        outcomes += [self._lose(each, why) for each in self._workers if (why := each.is_hung())]
        return [each for each in outcomes if each is not None]

    def close(self) -> None:
        """End all actors, and leave the cluster."""
        self._workers = []
        ray.shutdown()

    def _answered(self, worker: Remote, answer: Any) -> Outcome | None:
        worker.answer = None
        try:
            kind, content = ray.get(answer)
        except RayError as error:
            return self._lose(worker, f"the worker or its node was lost ({type(error).__name__})")
        outcome = self._take(worker, kind, content)
        return self._lose(worker, "") if kind in ("unfit", "broken") else outcome


def _connect(address: str) -> None:
    """To the cluster at an address; BadInput if nobody answers there, which Ray itself takes minutes to notice."""
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            raise BadInput(f"--ray {address}: no cluster answers there ({error})") from None
    try:
        ray.init(address=address, log_to_driver=False)
    except ConnectionError:
        ray.init(log_to_driver=False)


def _unheard(so_far: TaskRecord) -> None:
    """An actor tells of whole tasks only."""
