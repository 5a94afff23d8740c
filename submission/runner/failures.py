"""Why a try at a task, or a worker process, failed: a kind, which decides what happens next, and a message.

The kind follows from the type of an exception, or from how a process ended; never from the words of a message.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from typing import Any, Literal

FailureKind = Literal["out_of_memory", "died", "hung", "not_finite", "cuda", "error", "out_of_time"]
"""out_of_memory: RAM or GPU memory, or a kill by the system (SIGKILL), which is how Linux frees memory. died: the
process ended by itself. hung: no heartbeat, or no end after its deadline. not_finite: the model computes NaN or
infinity. cuda: an error of the GPU or of torch on it. error: any other exception. out_of_time: the run's time was over.
"""


@dataclass(frozen=True)
class Failure:
    """One failure."""

    kind: FailureKind
    message: str
    """One line, for the notes of the task and for the log."""

    @property
    def needs_new_process(self) -> bool:
        """Whether the process that raised it is replaced: its memory, its weights or its GPU may be damaged."""
        return self.kind in ("out_of_memory", "not_finite", "cuda")


class EveryTaskFailed(Exception):
    """No solver came to an end with any task: each try raised an exception, or lost its worker."""

    def __init__(self, sentence: str, summary: dict[str, Any]) -> None:
        """The sentence names the commonest failure; the summary is the one that `run` would have returned."""
        super().__init__(sentence)
        self.summary = summary


def raised(error: Exception, trace: str) -> Failure:
    """The failure of a worker in which this exception was raised; `trace` is its traceback."""
    return Failure(_kind(error), f"failed: {trace.strip().splitlines()[-1]}")


def died(exit_code: int | None) -> Failure:
    """The failure of a worker process that ended by itself, with this exit code (None: unknown)."""
    killed = exit_code == -signal.SIGKILL
    return Failure("out_of_memory" if killed else "died", f"the worker died (exit code {exit_code}) and was replaced")


def _kind(error: Exception) -> FailureKind:
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, FloatingPointError):
        return "not_finite"
    torch = sys.modules.get("torch")  # Not imported here: without it, the exception is not one of torch's.
    if torch is None:
        return _kind(error.__cause__) if isinstance(error.__cause__, Exception) else "error"
    if isinstance(error, torch.OutOfMemoryError):
        return "out_of_memory"
    # Errors of cuBLAS and cuDNN are plain RuntimeErrors, and leave the GPU in a state that the next call shows.
    if isinstance(error, torch.AcceleratorError) or (type(error) is RuntimeError and _gpu_is_broken(torch)):
        return "cuda"
    return _kind(error.__cause__) if isinstance(error.__cause__, Exception) else "error"


def _gpu_is_broken(torch: Any) -> bool:
    """Whether the GPU that this process uses, if it does, fails at whatever it is asked."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
