"""The bench at real size, on a tiny shape: every pass is computed, the answers are the script's."""

from __future__ import annotations

import json
from pathlib import Path

import bitsandbytes
import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Prompt
from submission.arc.tasks import grid_key
from submission.benchmarks import baselines, synthetic_model
from submission.benchmarks.baselines import Work
from submission.cli.commands import main


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short prompts and answers."""
    monkeypatch.setattr(synthetic_model, "PROMPT", 40)
    monkeypatch.setattr(synthetic_model, "SIDE", 5)
    monkeypatch.setattr(synthetic_model, "DOUBT_EVERY", 12)


def prompts(number: int) -> list[Prompt]:
    rng = np.random.default_rng(0)
    return [Prompt(rng.integers(0, 10, synthetic_model.PROMPT), 0) for _ in range(number)]


def test_the_scripted_model_is_in_four_bits_and_says_what_is_scripted(small: None) -> None:
    model = synthetic_model.Scripted(
        synthetic_model.quantized("tiny", "cpu", torch.float32), synthetic_model.PROMPT, synthetic_model.script()
    )
    assert sum(isinstance(each, bitsandbytes.nn.Linear4bit) for each in model.modules()) == 14
    [found] = baselines.depth_first(model, CHAT16, prompts(1), 0.09, Work())
    assert 1 < len(found) <= 11
    assert all(key[:2] == bytes([synthetic_model.SIDE, synthetic_model.SIDE]) for key in found)
    best = max(found, key=lambda key: found[key])
    written = torch.argmax(synthetic_model.script(), dim=1).numpy()
    answer = CHAT16.parse(written.tolist())
    assert answer is not None
    assert best == grid_key(answer)


@pytest.mark.slow
def test_ours_takes_fewer_passes_for_the_same(small: None) -> None:
    measured, text = synthetic_model.report("tiny", "cpu", (1, 4), 0.09, 500.0)
    passes = {(each.method, each.views): each.passes for each in measured}
    assert passes.keys() == {("ours", 1), ("depth-first", 1), ("ours", 4), ("depth-first", 4), ("lock-step", 4)}
    assert passes["ours", 4] * 4 < passes["lock-step", 4] < passes["depth-first", 4]
    assert all(each.seconds > each.prefill_seconds >= 0 for each in measured)
    assert len(text.splitlines()) == 6


def test_the_command_tells_and_writes_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small: None, tmp_path: Path
) -> None:
    monkeypatch.setattr(synthetic_model, "VIEWS", (2,))
    command = ["bench", "search", "--shape", "tiny", "--set", "model.device=cpu", "--json", str(tmp_path / "s.json")]
    assert main(command) == 0
    assert "ms/pass" in capsys.readouterr().out
    assert [each["method"] for each in json.loads((tmp_path / "s.json").read_text())] == ["ours", "depth-first"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_bench_runs_on_a_gpu() -> None:
    measured, _ = synthetic_model.report("tiny", "cuda", (1, 4), 0.09, 500.0)
    assert {each.method for each in measured} == {"ours", "depth-first", "lock-step"}
