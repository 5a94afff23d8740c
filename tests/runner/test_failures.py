"""The kind of a failure follows from the type of an exception or from an exit code, never from words."""

from __future__ import annotations

import signal
import sys

import pytest
import torch

from submission.runner import failures
from submission.runner.failures import Failure, FailureKind


def failure_of(error: Exception) -> Failure:
    return failures.raised(error, f"Traceback (most recent call last):\n  ...\n{type(error).__name__}: {error}\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("bad allocation"), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (FloatingPointError("nan"), "not_finite"),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "cuda"),
        (ValueError("CUDA, MemoryError and OutOfMemoryError are only words here"), "error"),
        (RuntimeError("CUDA error"), "error"),
    ],
)
def test_an_exception_has_a_kind_by_its_type(error: Exception, kind: FailureKind) -> None:
    failure = failure_of(error)
    assert failure.kind == kind
    assert failure.message == f"failed: {type(error).__name__}: {error}"
    assert failure.needs_new_process == (kind != "error")


def test_a_plain_runtime_error_is_one_of_cuda_where_the_gpu_fails_at_the_next_call_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert failure_of(RuntimeError("shapes do not match")).kind == "error", "the GPU still works"
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert failure_of(RuntimeError("cuBLAS failed")).kind == "cuda"
    assert failure_of(NotImplementedError("a subclass that torch does not raise for CUDA")).kind == "error"


def test_the_cause_of_an_exception_counts() -> None:
    wrapped = ValueError("the task failed")
    wrapped.__cause__ = MemoryError()
    assert failure_of(wrapped).kind == "out_of_memory"


def test_without_torch_no_exception_is_one_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert failure_of(torch.OutOfMemoryError("no torch here")).kind == "error"
    assert failure_of(MemoryError()).kind == "out_of_memory"
    assert "torch" not in sys.modules, "it is not imported for this"


def test_a_process_that_was_killed_has_run_out_of_memory_and_any_other_has_died() -> None:
    killed = failures.died(-signal.SIGKILL)
    assert (killed.kind, killed.message) == ("out_of_memory", "the worker died (exit code -9) and was replaced")
    assert [failures.died(code).kind for code in (0, 1, -signal.SIGSEGV, None)] == ["died"] * 4
