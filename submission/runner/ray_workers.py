"""The workers as actors of a Ray cluster, for hundreds of tasks, seeds and settings on several machines.

Schedule, journal and answers are those of a run on one machine; a node that is lost costs its running tasks one retry.
On a single machine Ray gains nothing over plain processes.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from submission.deadline import within
from submission.errors import BadInput
from submission.runner.failures import Failure, FailureKind
from submission.runner.messages import Failed, LoadFailed, Message, Ready, Solved, Unfit, load_failure, task_failure
from submission.runner.schedule import Order, Outcome
from submission.runner.solvers import solver_of
from submission.runner.spec import WorkerSpec
from submission.runner.worker_process import peaks
from submission.runner.workers import NoWorkerLeft, Worker, WorkerPool
from submission.solver.records import TaskRecord


class Actor:
    """The worker on some node of the cluster; the model folder must be there under the same path."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec

    def load(self) -> Ready | Unfit | LoadFailed:
        """Load the model; returns the message that a worker process would send."""
        try:
            self.solver = solver_of(self.spec)
        except Exception as error:
            return load_failure(error)
        return Ready(self.solver.dtype, self.solver.device)

    def solve(self, order: Order) -> Failed | Solved:
        """Solve a task; returns the message that a worker process would send, without any Progress before it."""
        try:
            record = self.solver.solve(order, within(order.seconds), _no_progress)
        except Exception as error:
            return task_failure(error, peaks())
        return Solved(record, peaks())


class RemoteWorker(Worker):
    """The supervisor of one actor, which is started again, on any node with free resources, whenever it is lost."""

    def __init__(self, spec: WorkerSpec, resources: Mapping[str, float]) -> None:
        """`resources` are Ray's options num_cpus and num_gpus."""
        self.resources = resources
        self.answer: Any = None
        """Ray's reference to the next message; None if none is expected."""
        super().__init__(spec, None)

    def start(self) -> None:
        """Start an actor, which loads its model as soon as a node takes it."""
        self.actor = ray.remote(Actor).options(**self.resources).remote(self.spec)
        self.answer = self.actor.load.remote()
        self.ready, self.began = False, time.monotonic()

    def give(self, order: Order) -> None:
        """Send an order to the actor."""
        self.order, self.so_far, self.began = order, None, time.monotonic()
        self.answer = self.actor.solve.remote(order)

    def since_heartbeat(self) -> float:
        """0: an actor sends no heartbeat. Ray watches the nodes, and the deadline ends what hangs."""
        return 0.0

    def end(self) -> int | None:
        """Kill the actor; its exit code is unknown."""
        ray.kill(self.actor)
        self.answer = None
        return None


class RayPool(WorkerPool):
    """A worker pool of actors on all nodes of a cluster."""

    def __init__(self, spec: WorkerSpec, address: str, wanted: int) -> None:
        """Connect to the cluster at `address` ("auto": the one of this machine, or a new one of this machine alone).

        `wanted` is the number of workers; 0 for one per GPU of the cluster, or one per CPU where it has no GPU.
        """
        super().__init__(spec, [])
        handler = signal.getsignal(signal.SIGTERM)
        _connect(address)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has installed its own, which ends the process.
        cluster = ray.cluster_resources()
        kind = "GPU" if cluster.get("GPU") and spec.settings.model.device != "cpu" else "CPU"
        resources = {"num_cpus": 1.0, "num_gpus": float(kind == "GPU")}
        self._actors = [RemoteWorker(spec, resources) for _ in range(wanted or int(cluster[kind]))]
        self._workers = list(self._actors)
        self.size = len(self._workers)

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of orders within these seconds; see `WorkerPool.wait`."""
        if not self._workers:
            raise NoWorkerLeft("no worker could be started; the log says why")
        self._actors = [each for each in self._actors if each in self._workers]
        answers = {each.answer: each for each in self._actors if each.answer is not None}
        arrived, _ = ray.wait(list(answers), timeout=seconds) if answers else ([], [])
        outcomes = [self._answered(answers[each], each) for each in arrived]
        outcomes += [self._lose(each, failure) for each in [*self._workers] if (failure := each.hang()) is not None]
        return [each for each in outcomes if each is not None]

    def close(self) -> None:
        """End all actors, and leave the cluster."""
        self._workers = []
        ray.shutdown()

    def _answered(self, worker: RemoteWorker, answer: Any) -> Outcome | None:
        worker.answer = None
        try:
            message: Message = ray.get(answer)
        except RayError as error:
            kind: FailureKind = "out_of_memory" if isinstance(error, OutOfMemoryError) else "died"
            return self._lose(worker, Failure(kind, f"the worker or its node was lost ({type(error).__name__})"))
        outcome = self._take(worker, message)
        return self._lose(worker, None) if isinstance(message, Unfit | LoadFailed) else outcome


def _connect(address: str) -> None:
    """Connect to a cluster; BadInput if none answers at the address, which Ray itself takes minutes to notice."""
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


def _no_progress(so_far: TaskRecord) -> None:
    """An actor sends no message before the task is done."""
