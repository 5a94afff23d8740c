"""The worker process: it loads a model, solves the orders it is sent, and reports by messages through a pipe."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from contextlib import closing
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any

from submission import streams
from submission.deadline import within
from submission.runner.messages import Peaks, Progress, Ready, Solved, load_failure, task_failure
from submission.runner.schedule import Order
from submission.runner.solvers import solver_of
from submission.runner.spec import WorkerSpec


def work(pipe: Connection, spec: WorkerSpec, gpu: str | None, heartbeat: Any) -> None:
    """The worker process: load the model, then solve the orders that come through the pipe until it is closed.

    Every deadline check, which all steps of training and search make, stores the time in `heartbeat`, a shared double.
    """
    streams.make_lasting()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A parent that is interrupted ends its workers itself.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # Training rows vary in length.
    try:
        solver = solver_of(spec)
    except Exception as error:
        pipe.send(load_failure(error))
        return
    pipe.send(Ready(solver.dtype, solver.device))

    def clock() -> float:
        heartbeat.value = now = time.monotonic()
        return now

    with closing(solver):
        while True:
            try:
                order: Order = pipe.recv()
            except (EOFError, ConnectionError):
                return
            try:
                record = solver.solve(order, within(order.seconds, clock), lambda so_far: pipe.send(Progress(so_far)))
            except Exception as error:
                pipe.send(task_failure(error, peaks()))
            else:
                pipe.send(Solved(record, peaks()))


def peaks() -> Peaks:
    """The most RAM and GPU memory that this process has used so far."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    torch = sys.modules.get("torch")
    gpu = torch.cuda.max_memory_allocated() / (1 << 20) if torch is not None and torch.cuda.is_available() else 0.0
    return Peaks(rss, gpu)


def _end_with_the_parent() -> None:
    """Exit when the parent does: one that was killed cannot end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
