"""Measurements in processes of their own, as many at a time as there are workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from typing import TypeVar


def _quiet() -> None:
    """bitsandbytes warns of an optional kernel that would be fetched from the internet."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


Job = TypeVar("Job")
Made = TypeVar("Made")


def in_processes(run: Callable[[Job], Made], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Made]]:
    """Yield each job with what `run` makes of it, in the order of the jobs.

    `run` is a function of a module. Where it raises, or the whole is interrupted, no process is left at work.
    """
    pool = ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn"), initializer=_quiet)
    try:
        yield from zip(jobs, pool.map(run, jobs), strict=True)
    except BaseException:
        for each in active_children():
            each.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
