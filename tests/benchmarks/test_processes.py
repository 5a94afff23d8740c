"""Jobs run in processes of their own, and none is left at work when the whole ends early."""

from __future__ import annotations

import os
import time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children

import pytest

from submission.benchmarks.processes import in_processes


def doubled(number: int) -> int:
    return 2 * number


def failing(number: int) -> int:
    if number == 0:
        raise ValueError("none")
    time.sleep(60)
    return number


def killed(number: int) -> int:
    os._exit(9)


def test_each_job_comes_with_what_is_made_of_it_in_order() -> None:
    assert list(in_processes(doubled, [3, 1, 2], 2)) == [(3, 6), (1, 2), (2, 4)]


@pytest.mark.slow
def test_where_a_job_raises_the_others_are_ended() -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="none"):
        list(in_processes(failing, [0, 1], 2))
    assert time.monotonic() - began < 30
    assert not active_children()


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_and_no_hang() -> None:
    with pytest.raises(BrokenProcessPool):
        list(in_processes(killed, [0], 1))
