"""Where workers go: on each GPU, or on as many cores as have memory."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from submission.runner import devices
from submission.runner.devices import places


def test_there_is_a_worker_for_each_gpu_or_for_each_core_that_has_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert places(0, "auto") == ["2", "5"]
    assert places(3, "cuda") == ["2", "5", "2"]
    assert places(0, "cpu") == [None] * len(places(0, "cpu"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert set(places(0, "auto")) == {None}
    assert places(3, "auto") == [None] * 3
    monkeypatch.setattr(devices, "WORKER_BYTES", psutil.virtual_memory().total * 0.9)
    assert places(0, "auto") == [None], "memory for one only"


def test_gpus_are_listed_without_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: x)'\necho 'GPU 1: Tesla T4 (UUID: y)'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert devices.gpus() == ["0", "1"]
