"""The devices of the workers: the GPUs of this machine, or its CPU cores and memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psutil

from submission.gpus import listed

logger = logging.getLogger(__name__)

WORKER_BYTES = 2e9
"""The most memory that a worker with the embedded model takes."""


def worker_devices(wanted: int, device: str) -> list[str | None]:
    """The GPU of each worker, as a value of CUDA_VISIBLE_DEVICES, or None for the CPU.

    One worker per GPU; without a GPU, or with device "cpu", as many as there are cores and memory for. `wanted` is
    another number of workers, which share the GPUs; 0 for no wish. CUDA is not loaded in this process.
    """
    gpus = visible_gpus() if device != "cpu" else []
    if gpus:
        return [gpus[k % len(gpus)] for k in range(wanted or len(gpus))]
    fitting = int(psutil.virtual_memory().total // WORKER_BYTES)
    return [None] * (wanted or max(1, min(cores(), fitting)))


@contextmanager
def omp_threads(threads: int) -> Iterator[None]:
    """Processes started in this block use this many threads, also in numpy, which reads the variable on import."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, each as a value of CUDA_VISIBLE_DEVICES; a failing nvidia-smi is logged."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each for each in visible.split(",") if each.strip() and not each.strip().startswith("-")]
    gpus, failure = listed(os.environ)
    if failure:
        _warn_once(failure)
    return [str(gpu.index) for gpu in gpus]


@cache
def _warn_once(sentence: str) -> None:
    logger.warning(sentence)
