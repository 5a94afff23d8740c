"""What a worker sends to the parent process; one of these per message."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import NamedTuple

from submission.errors import BadInput
from submission.runner.failures import Failure, raised
from submission.solver.records import TaskRecord


class Peaks(NamedTuple):
    """The most memory that a process has used so far, in MiB."""

    rss_mb: float
    gpu_mb: float


@dataclass(frozen=True)
class Ready:
    """The model is loaded."""

    dtype: str = ""
    """The type that it computes in; empty where there is no model."""
    device: str = ""
    """Where it computes, see `Solver.device`."""


@dataclass(frozen=True)
class Unfit:
    """The model can never be loaded: bad input. The worker ends."""

    sentence: str
    traceback: str


@dataclass(frozen=True)
class LoadFailed:
    """The model could not be loaded this time. The worker ends."""

    traceback: str


@dataclass(frozen=True)
class Progress:
    """The record of the test inputs that are done so far."""

    record: TaskRecord


@dataclass(frozen=True)
class Failed:
    """The try at the task raised an exception."""

    failure: Failure
    traceback: str
    peaks: Peaks


@dataclass(frozen=True)
class Solved:
    """The record of the task."""

    record: TaskRecord
    peaks: Peaks


Message = Ready | Unfit | LoadFailed | Progress | Failed | Solved


def load_failure(error: Exception) -> Unfit | LoadFailed:
    """The message of a worker whose model could not be loaded; to be called where the exception is handled."""
    trace = traceback.format_exc()
    return Unfit(str(error), trace) if isinstance(error, BadInput) else LoadFailed(trace)


def task_failure(error: Exception, peaks: Peaks) -> Failed:
    """The message of a worker whose try raised an exception; to be called where the exception is handled."""
    trace = traceback.format_exc()
    return Failed(raised(error, trace), trace, peaks)
