"""The sections in a process of their own: one that hangs or dies costs itself, and the whole keeps to its time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from submission.benchmarks import gpu_check
from submission.benchmarks.gpu_check import (
    NO_NEW_SECTION,
    SOFT,
    WHOLE,
    Outcome,
    Process,
    as_json,
    failed,
    first_line,
    ok,
    skipped,
    unrunnable,
)  # fmt: skip
from submission.deadline import NEVER, within
from submission.errors import BadInput
from tests.support.families import miniature
from tests.support.gpu_orders import on_cpu


def test_a_section_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    process = Process(on_cpu(tmp_path))
    reply = process.ask("load", 0.01)
    assert reply.outcome == failed("took longer than 0 seconds and was ended") and not reply.usable
    process.end()


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    process = Process(on_cpu(tmp_path))
    threading.Timer(0.2, process._process.kill).start()
    reply = process.ask("load", 60.0)
    assert reply.outcome == failed("the process died (exit code -9)") and not reply.usable
    assert process.ask("task", 60.0).outcome.status == "failed", "nobody is there to run it"
    process.end()


def test_no_section_is_begun_late_or_without_a_model() -> None:
    loaded = {"load": ok("loaded", {})}
    assert unrunnable("task", loaded, NEVER) is None
    assert unrunnable("task", loaded, within(0.0)) == skipped("not begun: the 8 minutes of the check are over")
    broken = {"load": failed("MemoryError")}
    assert unrunnable("task", broken, NEVER) == skipped("the model could not be loaded")
    assert unrunnable("embedded", broken, NEVER) is None
    assert NO_NEW_SECTION < WHOLE < 540 and 0 < SOFT < 1


def test_the_json_has_no_number_that_json_does_not_have() -> None:
    told = as_json({"rates": Outcome("ok", "fast", {"a": float("nan"), "b": [(1.0, float("inf"))]}, 1.23456)})
    assert json.loads(json.dumps(told, allow_nan=False)) == [
        {"name": "rates", "status": "ok", "sentence": "fast", "figures": {"a": None, "b": [[1.0, None]]},
         "seconds": 1.23}
    ]  # fmt: skip


def test_an_error_is_told_by_its_first_line() -> None:
    assert first_line(RuntimeError("\nCUDA error: x\nCompile with TORCH_USE_CUDA_DSA")) == "RuntimeError: CUDA error: x"
    assert first_line(MemoryError()) == "MemoryError"
    assert first_line(BadInput("x: no such folder")) == "x: no such folder"


@pytest.mark.slow
def test_after_a_section_that_was_ended_the_others_are_run_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"load": 120.0, "attention": 0.01, "task": 120.0}
    monkeypatch.setattr(gpu_check, "SECTIONS", few)
    outcomes = gpu_check.run(on_cpu(miniature(tmp_path / "m", "llama-3.1")), lambda *_: None)
    assert [each.status for each in outcomes.values()] == ["ok", "failed", "ok"]
    assert outcomes["attention"].sentence == "took longer than 0 seconds and was ended"
