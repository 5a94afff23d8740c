"""All workers of a run compute in one type, which the first of them has chosen, after an interruption too."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import pytest

from submission.config import with_changes
from submission.inference import cpu_dtype
from submission.inference.cpu_dtype import agreed
from submission.presets import PRESETS

AUTO = with_changes(PRESETS["laptop"], ["model.threads=0"])


def measured(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    monkeypatch.setattr(cpu_dtype, "cpu_speedup", lambda: times)


def test_the_first_worker_decides_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 1.52)
    assert agreed(AUTO, tmp_path / "type").model.dtype == "bfloat16"
    assert (tmp_path / "type").read_text() == "bfloat16 1.52\n"
    measured(monkeypatch, 0.7)
    assert agreed(AUTO, tmp_path / "type").model.dtype == "bfloat16", "as it was decided"
    assert agreed(AUTO, tmp_path / "other").model.dtype == "float32"
    assert agreed(AUTO, None).model.dtype == "float32", "without a file each measures for itself"


def test_workers_that_start_at_one_time_agree_though_they_measure_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        results = cycle([1.5, 0.8])
        monkeypatch.setattr(cpu_dtype, "cpu_speedup", lambda results=results: next(results))
        with ThreadPoolExecutor(4) as threads:
            kinds = set(threads.map(lambda _, k=number: agreed(AUTO, tmp_path / f"{k}").model.dtype, range(4)))
        assert len(kinds) == 1
    assert {path.name for path in tmp_path.iterdir()} == {str(k) for k in range(30)}, "no temporary file is left"


def test_a_type_that_is_named_is_taken_and_nothing_is_written(tmp_path: Path) -> None:
    named = with_changes(AUTO, ["model.dtype=float32"])
    assert agreed(named, tmp_path / "type") == named
    assert not list(tmp_path.iterdir())


def test_a_file_that_says_nothing_or_cannot_be_written_leaves_each_to_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measured(monkeypatch, 1.5)
    (tmp_path / "type").write_bytes(b"\xff\xfe nonsense")
    assert agreed(AUTO, tmp_path / "type").model.dtype == "bfloat16"
    caplog.set_level(logging.WARNING)
    assert agreed(AUTO, tmp_path / "no folder" / "type").model.dtype == "bfloat16"
    assert "cannot be written" in caplog.text
