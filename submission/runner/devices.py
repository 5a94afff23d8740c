"""Where workers can go on this machine: its GPUs, or its cores and memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

WORKER_BYTES = 2e9
"""Memory that a worker with the embedded model may take, at most."""


def places(wanted: int, device: str) -> list[str | None]:
    """Where workers go: on each GPU there is, else on the CPU as many as have a core and memory; `wanted`: that many.

    The GPUs are asked for without CUDA, which must not be started in the parent.
    """
    found = gpus() if device != "cpu" else []
    if found:
        return [found[k % len(found)] for k in range(wanted or len(found))]
    fitting = int(psutil.virtual_memory().total // WORKER_BYTES)
    return [None] * (wanted or max(1, min(cores(), fitting)))


@contextmanager
def starting(threads: int) -> Iterator[None]:
    """Processes that are started here compute with so many threads, in numpy too, which counts them when imported."""
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


def gpus() -> list[str]:
    """The GPUs that a process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each for each in visible.split(",") if each.strip() and not each.strip().startswith("-")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(k) for k, _ in enumerate(line for line in listed.stdout.splitlines() if line.startswith("GPU "))]
