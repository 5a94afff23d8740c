"""The worker pool: worker processes, each with a model of its own, are given orders, supervised, and replaced if lost.

This is the side of the parent process, which never imports torch. A worker that dies, hangs or fails costs the order
that it was working on, nothing else.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection
from typing import Any

from submission.config import with_changes
from submission.errors import TRACEBACKS, BadInput
from submission.runner.devices import cores, omp_threads
from submission.runner.failures import Failure, FailureKind, died
from submission.runner.messages import Failed, LoadFailed, Message, Peaks, Progress, Ready, Solved, Unfit
from submission.runner.schedule import Order, Outcome
from submission.runner.spec import WorkerSpec
from submission.runner.worker_process import work
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

MAX_FAILED_LOADS = 3
"""Times in a row that a worker may fail to load its model before it is given up."""

MAX_FAILED_ORDERS: dict[FailureKind, int] = {
    "cuda": 3, "not_finite": 6, "died": 6, "hung": 6, "out_of_memory": 18,
}  # fmt: skip
"""Orders in a row that may cost a worker its process before it is given up, by the kind of the last failure.

A task costs two at most, so three tasks have to fail in a row; out of memory more, as less is asked for three times
before. A GPU that fails thrice in a row, loaded anew each time, is gone.
"""


class NoWorkerLeft(Exception):
    """Every worker has failed too often: to load its model, or at one order after another."""


class Worker:
    """The supervisor of one worker process, which is started again whenever it is lost."""

    def __init__(self, spec: WorkerSpec, gpu: str | None) -> None:
        self.spec = spec
        self.gpu = gpu
        self.failed_loads = self.failed_orders = 0
        self.peaks = Peaks(0.0, 0.0)
        self.ready = False
        self.order: Order | None = None
        self.done: float | None = None
        """When its last order was done; None before that."""
        self.so_far: TaskRecord | None = None
        self.start()

    def start(self) -> None:
        """Start a process, which begins to load its model."""
        context = multiprocessing.get_context("spawn")
        self.heartbeat: Any = context.Value(ctypes.c_double, 0.0, lock=False)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.spec, self.gpu, self.heartbeat), daemon=True)
        # The search for programs multiplies small matrices only: more threads would slow down the other workers.
        with omp_threads(1 if self.spec.kind == "programs" else self.spec.settings.model.threads):
            self.process.start()
        theirs.close()
        self.ready, self.began = False, time.monotonic()

    def give(self, order: Order) -> None:
        """Send an order to the process."""
        self.order, self.so_far, self.began = order, None, time.monotonic()
        self.heartbeat.value = self.began
        with suppress(OSError):  # It has just died: the closed pipe is noticed by the next `wait` of the pool.
            self.pipe.send(order)

    def hang(self) -> Failure | None:
        """The failure of a process that hangs: loading, after its deadline, or without a heartbeat; None otherwise."""
        time_ = self.spec.settings.time
        spent = time.monotonic() - self.began
        if not self.ready:
            loading = Failure("hung", f"the model was not loaded in {time_.loading_timeout:.0f} s")
            return loading if spent > time_.loading_timeout else None
        if self.order is None:
            return None
        if spent > self.order.seconds + time_.grace:
            return Failure("hung", f"the worker hung {time_.grace:.0f} s past the deadline and was replaced")
        if self.since_heartbeat() > time_.heartbeat_timeout:
            return Failure("hung", f"the worker gave no sign for {time_.heartbeat_timeout:.0f} s and was replaced")
        return None

    def since_heartbeat(self) -> float:
        """Seconds since its last heartbeat."""
        return time.monotonic() - float(self.heartbeat.value)

    def end(self) -> int | None:
        """End the process; returns its exit code if it had ended by itself, None if it was killed here."""
        ended = connection.wait([self.process.sentinel], 0.5 if self.process.exitcode is None else 0)
        if not ended:
            self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode if ended else None


class WorkerPool:
    """The worker processes of one kind of solver on this machine."""

    def __init__(self, spec: WorkerSpec, gpus: Sequence[str | None]) -> None:
        """Start one worker for each of `gpus`: a value of CUDA_VISIBLE_DEVICES, or None for a worker on the CPU."""
        self.peak_rss_mb = 0.0
        self.peak_gpu_mb = 0.0
        self.worked = self.idle = 0.0
        """Seconds in which workers had an order, and in which they waited for their next one."""
        if not spec.settings.model.threads:
            threads = max(1, cores() // max(1, len(gpus)))
            spec = replace(spec, settings=with_changes(spec.settings, [f"model.threads={threads}"]))
        self._workers = [Worker(spec, gpu) for gpu in gpus]
        self.size = len(gpus)
        self._loaded_once = False
        """Whether any worker has ever loaded the model."""
        self.dtype = ""
        """The type that the loaded models compute in; empty where there is none."""
        self._why_none_is_left = "no worker could be started; the log says why"

    def utilization(self) -> float:
        """Share of the workers' time, from the first order to the last, in which they had an order; 0 to 1."""
        return self.worked / (self.worked + self.idle) if self.worked else 0.0

    def free(self) -> bool:
        """Whether a worker waits for an order."""
        return any(each.ready and each.order is None for each in self._workers)

    def busy(self) -> bool:
        """Whether a worker has an order."""
        return any(each.order is not None for each in self._workers)

    def give(self, order: Order) -> None:
        """Send an order to a free worker."""
        worker = next(each for each in self._workers if each.ready and each.order is None)
        if worker.done is not None:
            self.idle += time.monotonic() - worker.done
        worker.give(order)

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of orders, as soon as a worker sends a message; [] after `seconds` without one.

        BadInput where the model can never be loaded, NoWorkerLeft where all workers have been given up.
        """
        if not self._workers:
            raise NoWorkerLeft(self._why_none_is_left)
        pipes = {each.pipe: each for each in self._workers}
        readable = connection.wait(list(pipes), seconds)
        outcomes = [self._receive(each) for pipe, each in pipes.items() if pipe in readable]
        # A worker with an unread message does not hang, however late it is read.
        quiet = [each for each in self._workers if each.pipe not in readable]
        outcomes += [self._lose(each, failure) for each in quiet if (failure := each.hang()) is not None]
        return [each for each in outcomes if each is not None]

    def abandon(self) -> list[Outcome]:
        """End all workers at once; returns the outcomes of their orders, with the records of the tests done so far."""
        failure = Failure("out_of_time", "the time of the run was over")
        outcomes = [
            Outcome(each.order, None, failure.message, each.so_far, failure)
            for each in self._workers
            if each.order is not None
        ]
        self.close()
        return outcomes

    def close(self) -> None:
        """End all workers."""
        for each in self._workers:
            each.process.kill()
        for each in self._workers:
            each.process.join()
        self._workers = []

    def load_in_float32(self) -> bool:
        """Have all workers compute in float32, as soon as they are free; False where they do not compute in float16."""
        if self.dtype != "float16":
            return False
        for each in self._workers:
            each.spec = replace(each.spec, settings=with_changes(each.spec.settings, ["model.dtype=float32"]))
            each.failed_orders = 0
            if each.order is None:
                each.end()
                each.start()
        return True

    def _receive(self, worker: Worker) -> Outcome | None:
        """Read one message of a worker, or notice its end."""
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._lose(worker, None)
        return self._take(worker, message)

    def _take(self, worker: Worker, message: Message) -> Outcome | None:
        """Act on one message; returns the outcome of the worker's order, if the message ends it."""
        match message:
            case Ready():
                worker.ready, worker.failed_loads, self._loaded_once, self.dtype = True, 0, True, message.dtype
                seconds, type_ = time.monotonic() - worker.began, f", in {message.dtype}" if message.dtype else ""
                logger.info("%s: a worker is ready after %.1f s%s", worker.spec.kind, seconds, type_)
                if worker.gpu is not None and message.device == "cpu" and worker.spec.settings.model.device == "auto":
                    logger.warning("GPU %s is there but torch cannot use it: the model runs on the CPU", worker.gpu)
            case Unfit() | LoadFailed():
                self._take_load_failure(message)
            case Progress():
                worker.so_far = message.record
            case Failed():
                return self._take_failure(worker, message)
            case Solved():
                self._update_peaks(worker, message.peaks)
                worker.failed_orders = 0
                return self._outcome(worker, message.record, None)
        return None

    def _take_load_failure(self, message: Unfit | LoadFailed) -> None:
        """Log why a model was not loaded; BadInput if it never can be."""
        # After a first load the model itself is known to be right: then its disk may have failed, perhaps for a while.
        if isinstance(message, Unfit) and not self._loaded_once:
            TRACEBACKS.debug("the model cannot be loaded:\n%s", message.traceback)
            raise BadInput(message.sentence)
        logger.error("the model could not be loaded:\n%s", message.traceback)

    def _take_failure(self, worker: Worker, message: Failed) -> Outcome:
        """Log a failed try, and replace its worker if the failure may have damaged the process."""
        assert worker.order is not None
        self._update_peaks(worker, message.peaks)
        logger.error("%s failed:\n%s", worker.order.task.id, message.traceback)
        outcome = self._outcome(worker, None, message.failure)
        if message.failure.needs_new_process:
            worker.failed_orders += 1
            worker.end()
            self._restart(worker, message.failure)
        return outcome

    def _lose(self, worker: Worker, failure: Failure | None) -> Outcome | None:
        """Replace a worker that hangs, or that died (None); returns the outcome of its order, if it had one."""
        exit_code = worker.end()
        failure, outcome = failure or died(exit_code), None
        if worker.order is not None:
            worker.failed_orders += 1
            outcome = self._outcome(worker, None, failure)
        elif worker.ready:
            worker.failed_orders += 1
            logger.warning("a worker was lost between two tasks: %s", failure.message)
        else:
            worker.failed_loads += 1
            count = f"{worker.failed_loads} of {MAX_FAILED_LOADS}"
            logger.warning("a worker was lost while it loaded its model (%s): %s", count, failure.message)
        self._restart(worker, failure)
        return outcome

    def _restart(self, worker: Worker, failure: Failure) -> None:
        """Start the process of a worker again, or give the worker up after too many failed loads or orders."""
        most = MAX_FAILED_ORDERS[failure.kind]
        if worker.failed_loads < MAX_FAILED_LOADS and worker.failed_orders < most:
            worker.start()
            return
        if worker.failed_orders >= most:
            self._why_none_is_left = (
                f"no worker is left: {most} orders in a row failed, the last with: {failure.message}"
            )
            logger.error("a worker is given up: %d orders in a row failed: %s", most, failure.message)
        self._workers.remove(worker)
        self.size -= 1

    def _outcome(self, worker: Worker, record: TaskRecord | None, failure: Failure | None) -> Outcome:
        """The outcome of a worker's order, which it no longer has."""
        assert worker.order is not None
        outcome = Outcome(worker.order, record, failure.message if failure else "", worker.so_far, failure)
        worker.done = time.monotonic()
        self.worked += worker.done - worker.began
        worker.order = worker.so_far = None
        return outcome

    def _update_peaks(self, worker: Worker, now: Peaks) -> None:
        worker.peaks = Peaks(max(worker.peaks.rss_mb, now.rss_mb), max(worker.peaks.gpu_mb, now.gpu_mb))
        self.peak_rss_mb = max(self.peak_rss_mb, sum(each.peaks.rss_mb for each in self._workers))
        self.peak_gpu_mb = max(self.peak_gpu_mb, worker.peaks.gpu_mb)
