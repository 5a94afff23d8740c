"""Two or more sides of a comparison, measured in turn, each time in a process of its own.

A process of its own: what one side loads or keeps in memory is none of the other's. In turn: what else the machine does
meets all sides alike, so that ratios within one turn hold where seconds do not.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

Job = TypeVar("Job")
Made = TypeVar("Made")

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Clock:
    """What a block of code took."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Of this process's threads: what other processes do hardly counts. On a GPU it says nothing."""


@contextmanager
def added_to(clock: Clock) -> Iterator[None]:
    """Add what the block takes."""
    began, processor = time.perf_counter(), time.process_time()
    yield
    clock.seconds += time.perf_counter() - began
    clock.processor_seconds += time.process_time() - processor


def in_turn(
    sides: Mapping[str, Callable[[Job], Made]], job: Job, turns: int, on_result: Callable[[str, Made], None]
) -> dict[str, list[Made]]:
    """What each side returns for the job, by turn; the sides are functions of modules. `on_result` gets each at once.

    Every other turn runs the sides backwards: neither is always the first.
    """
    made: dict[str, list[Made]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            made[name].append(apart(sides[name], job))
            on_result(name, made[name][-1])
    return made


def apart(side: Callable[[Job], Made], job: Job) -> Made:
    """What a function returns, called in a new process; what it raises is raised here."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(side, job).result()


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median over the turns of one side's figure divided by the other's."""
    return median(a / b for a, b in zip(of, to, strict=True))


def forget_peak() -> None:
    """Have `peak_megabytes` count from now on, where the system can (Linux, CUDA)."""
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_megabytes(device: str) -> float:
    """The most memory (10^6 bytes) of this process since `forget_peak`: its resident set, or on "cuda" the GPU's."""
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None:
        return float(torch.cuda.max_memory_allocated() / 1e6)
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
