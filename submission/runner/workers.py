"""Worker processes, each with a model of its own: fed with orders, watched, and replaced when they are lost.

The parent never imports torch. A worker that dies, hangs or fails costs the order it was at, nothing else.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any

from submission.config import with_changes
from submission.deadline import within
from submission.errors import BadInput
from submission.runner.devices import cores, starting
from submission.runner.schedule import Order, Outcome
from submission.runner.solvers import solver_of
from submission.runner.spec import WorkerSpec
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

MOST_LOADS = 3
"""Times in a row that a worker may fail to load its model before its place is given up."""


class Broken(Exception):
    """No worker is left, and none can be started."""


# -- in the worker ----------------------------------------------------------------------------------------------------


def work(line: Connection, crew: WorkerSpec, gpu: str | None, beat: Any) -> None:
    """The worker process: load the model, then solve what comes down the line until it closes.

    Each look at the clock, which no step of a training or a search goes without, is a heartbeat.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A parent that is interrupted ends its workers itself.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # Rows are of ever other lengths.
    try:
        solver = solver_of(crew)
    except BadInput as error:
        line.send(("unfit", str(error)))
        return
    except Exception:
        line.send(("broken", traceback.format_exc()))
        return
    line.send(("ready", None))

    def clock() -> float:
        beat.value = now = time.monotonic()
        return now

    while True:
        try:
            order: Order = line.recv()
        except (EOFError, ConnectionError):
            return
        try:
            record = solver.solve(order, within(order.seconds, clock), lambda so_far: line.send(("so far", so_far)))
        except Exception as error:
            line.send(("failed", (traceback.format_exc(), peaks(), is_beyond_repair(error))))
        else:
            line.send(("solved", (record, peaks())))


def is_beyond_repair(error: BaseException) -> bool:
    """Whether a process that met this is better replaced: memory is short, or the weights or the GPU may be spoilt."""
    names = {each.__name__ for each in type(error).__mro__}
    spoilt = {"MemoryError", "OutOfMemoryError", "AcceleratorError", "FloatingPointError"}
    return bool(names & spoilt) or "CUDA" in str(error)


def peaks() -> tuple[float, float]:
    """Megabytes of memory and of GPU memory that this process has used at most."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    torch = sys.modules.get("torch")
    gpu = torch.cuda.max_memory_allocated() / (1 << 20) if torch is not None and torch.cuda.is_available() else 0.0
    return rss, gpu


def _end_with_the_parent() -> None:
    """A parent that was killed cannot end its workers: they would finish their task for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


# -- in the parent ----------------------------------------------------------------------------------------------------


class Worker:
    """One place to work at: a process, started anew whenever it was lost."""

    def __init__(self, crew: WorkerSpec, gpu: str | None) -> None:
        self.crew = crew
        self.gpu = gpu
        self.failed_loads = 0
        self.peaks = 0.0, 0.0
        """Megabytes of memory and of GPU memory, see `peaks`."""
        self.ready = False
        self.order: Order | None = None
        self.done: float | None = None
        """When its last order was done; None before there was one."""
        self.so_far: TaskRecord | None = None
        self.start()

    def start(self) -> None:
        """A fresh process, which loads its model now."""
        context = multiprocessing.get_context("spawn")
        self.beat: Any = context.Value(ctypes.c_double, 0.0, lock=False)
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.crew, self.gpu, self.beat), daemon=True)
        # Products of a search for programs are small: the threads of several workers would only be in each other's way.
        with starting(1 if self.crew.kind == "programs" else self.crew.settings.model.threads):
            self.process.start()
        theirs.close()
        self.ready, self.began = False, time.monotonic()

    def give(self, order: Order) -> None:
        """Hand over an order."""
        self.order, self.so_far, self.began = order, None, time.monotonic()
        self.beat.value = self.began
        with suppress(OSError):  # It has just died, which the closed line will tell.
            self.line.send(order)

    def is_hung(self) -> str:
        """Why this worker is taken for hung; nothing if it is not."""
        time_ = self.crew.settings.time
        spent = time.monotonic() - self.began
        if not self.ready:
            return f"the model was not loaded in {time_.loading_timeout:.0f} s" if spent > time_.loading_timeout else ""
        if self.order is None:
            return ""
        if spent > self.order.seconds + time_.grace:
            return f"the worker hung {time_.grace:.0f} s past the deadline and was replaced"
        silent = self.silent() > time_.heartbeat_timeout
        return f"the worker gave no sign for {time_.heartbeat_timeout:.0f} s and was replaced" if silent else ""

    def silent(self) -> float:
        """Seconds since its last heartbeat."""
        return time.monotonic() - float(self.beat.value)

    def end(self) -> int | None:
        """Kill the process; returns the exit code that it had before, if it had ended."""
        if not connection.wait([self.process.sentinel], 0.5 if self.process.exitcode is None else 0):
            self.process.kill()
            self.process.join()
            self.line.close()
            return None
        self.process.join()
        self.line.close()
        return self.process.exitcode


class WorkerPool:
    """Worker processes on this machine, one for each GPU or as many as the CPU carries."""

    def __init__(self, crew: WorkerSpec, gpus: Sequence[str | None]) -> None:
        """One worker for each of `gpus`: the number of a GPU, or None for a worker without."""
        self.peak_rss_mb = 0.0
        self.peak_gpu_mb = 0.0
        self.worked = self.idle = 0.0
        """Seconds that workers had an order, and that they waited for one or were replaced before they got one."""
        if not crew.settings.model.threads:
            threads = max(1, cores() // max(1, len(gpus)))
            crew = replace(crew, settings=with_changes(crew.settings, [f"model.threads={threads}"]))
        self._workers = [Worker(crew, gpu) for gpu in gpus]
        self.size = len(gpus)
        self._fit = False
        """Whether any worker has ever loaded the model."""

    def utilization(self) -> float:
        """Share of the workers' time, from their first order to their last, in which they had one."""
        return self.worked / (self.worked + self.idle) if self.worked else 0.0

    def free(self) -> bool:
        """Whether a worker waits for an order."""
        return any(each.ready and each.order is None for each in self._workers)

    def busy(self) -> bool:
        """Whether a worker has an order."""
        return any(each.order is not None for each in self._workers)

    def give(self, order: Order) -> None:
        """Hand an order to a free worker."""
        worker = next(each for each in self._workers if each.ready and each.order is None)
        if worker.done is not None:
            self.idle += time.monotonic() - worker.done
        worker.give(order)

    def wait(self, seconds: float) -> list[Outcome]:
        """What has come of orders within these seconds, as soon as there is something; perhaps nothing.

        BadInput where the model is not fit to be loaded at all, Broken where no worker could be started.
        """
        if not self._workers:
            raise Broken("no worker could load the model; the log says why")
        lines = {each.line: each for each in self._workers}
        heard = connection.wait(list(lines), seconds)
        outcomes = [self._hear(each) for line, each in lines.items() if line in heard]
        # Who has something to say is not hung, however long nobody has listened.
        quiet = [each for each in self._workers if each.line not in heard]
        outcomes += [self._lose(each, why) for each in quiet if (why := each.is_hung())]
        return [each for each in outcomes if each is not None]

    def abandon(self) -> list[Outcome]:
        """End all work at once; what the unfinished orders had come to is returned."""
        outcomes = [
            Outcome(each.order, None, "the time of the run was over", each.so_far)
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

    def _hear(self, worker: Worker) -> Outcome | None:
        """One message of a worker process, or its end."""
        try:
            return self._take(worker, *worker.line.recv())
        except (EOFError, OSError):
            return self._lose(worker, "")

    def _take(self, worker: Worker, kind: str, content: Any) -> Outcome | None:
        """What a worker says."""
        if kind == "ready":
            worker.ready, worker.failed_loads, self._fit = True, 0, True
            logger.info("model loaded in %.1f s", time.monotonic() - worker.began)
        elif kind == "unfit" and not self._fit:
            raise BadInput(content)
        elif kind in ("unfit", "broken"):  # What others could load before is not unfit: its disk is, perhaps for now.
            logger.error("the model could not be loaded:\n%s", content)
        elif kind == "so far":
            worker.so_far = content
        elif kind == "failed":
            trace, used, spoilt = content
            self._note(worker, used)
            logger.error("%s failed:\n%s", worker.order.task.id if worker.order else "?", trace)
            why = f"failed: {trace.strip().splitlines()[-1]}"
            return self._lose(worker, why) if spoilt else self._outcome(worker, None, why)
        elif kind == "solved":
            record, used = content
            self._note(worker, used)
            return self._outcome(worker, record, "")
        return None

    def _lose(self, worker: Worker, why: str) -> Outcome | None:
        """Replace a worker that has died, or hangs for the reason given; what comes of its order."""
        code = worker.end()
        why = why or f"the worker died (exit code {code}) and was replaced"
        outcome = self._outcome(worker, None, why) if worker.order is not None else None
        if not worker.ready:
            worker.failed_loads += 1
            logger.warning("a worker was lost while it loaded its model (%d of %d)", worker.failed_loads, MOST_LOADS)
        if worker.failed_loads < MOST_LOADS:
            worker.start()
        else:
            self._workers.remove(worker)
            self.size -= 1
        return outcome

    def _outcome(self, worker: Worker, record: TaskRecord | None, reason: str) -> Outcome:
        assert worker.order is not None
        outcome = Outcome(worker.order, record, reason, worker.so_far)
        worker.done = time.monotonic()
        self.worked += worker.done - worker.began
        worker.order = worker.so_far = None
        return outcome

    def _note(self, worker: Worker, used: tuple[float, float]) -> None:
        worker.peaks = max(worker.peaks[0], used[0]), max(worker.peaks[1], used[1])
        self.peak_rss_mb = max(self.peak_rss_mb, sum(each.peaks[0] for each in self._workers))
        self.peak_gpu_mb = max(self.peak_gpu_mb, worker.peaks[1])
