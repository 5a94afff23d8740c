"""An 8B's shape on a GPU, within the memory of Kaggle's: load, adapt on 64 rows, search 16 views, forget.

    pytest tests/gpu -m gpu -s

The weights are random, so the search runs through scripted logits (see `shaped`): every pass is computed whole.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Prompt, Row
from submission.benchmarks import kernel_comparison, synthetic_model
from submission.config import Settings, with_changes
from submission.deadline import NEVER
from submission.inference import threshold_search
from submission.inference.language_model import LanguageModel
from submission.inference.token_tree import TokenForest
from submission.model import memory_plan
from submission.model.checkpointing import set_level
from submission.model.loading import device_kind
from submission.presets import preset
from tests.support.large_shapes import build

GB = 1e9


def one_task(folder: Path, settings: Settings, rows: int, length: int, views: int) -> dict[str, float]:
    """Seconds of each stage with this checkpoint; asserts what has to hold on any device."""
    took: dict[str, float] = {}

    def stage(name: str, began: float) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took[name] = time.perf_counter() - began
        return time.perf_counter()

    began = time.perf_counter()
    engine = LanguageModel(folder, settings)
    began = stage("load", began)
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, 10, (1, 64))).to(engine.device)

    def logits() -> Any:
        with torch.no_grad():
            return engine.model(input_ids=ids, use_cache=False).logits

    before = logits()
    lessons = [Row(rng.integers(0, 10, length), np.arange(length) >= length // 2) for _ in range(rows)]
    began = time.perf_counter()
    fit = engine.adapt(lessons, NEVER, 0)
    began = stage("adapt", began)
    assert (fit.stopped, fit.steps) == ("done", rows)
    assert not torch.equal(logits(), before)

    scripted = synthetic_model.Scripted(
        engine.model, synthetic_model.PROMPT, synthetic_model.script().to(engine.device)
    )
    prompts = [Prompt(rng.integers(0, 10, synthetic_model.PROMPT), 0) for _ in range(views)]
    began = time.perf_counter()
    forest = TokenForest(scripted, CHAT16, prompts, settings.search.megabytes)
    found = threshold_search.search(forest, range(views), {}, settings.search.threshold, NEVER)
    stage("search", began)
    assert all(each.exhaustive and each.proposals for each in found)
    del forest
    engine.forget()
    assert torch.equal(logits(), before), "forgotten bit for bit"
    return took


@pytest.fixture(scope="session")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama 3.1 8B's shape over the 16 ids of chat16, random, in NF4: 4 GB on disk."""
    folder = tmp_path_factory.mktemp("big") / "model"
    build(folder, 32, CHAT16)
    return folder


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "dtype"), [("poe-t4x2", "float16"), ("poe-l4x4", "auto")])
def test_an_8b_does_a_task_within_the_memory_of_the_card(eight: Path, name: str, dtype: str) -> None:
    room, there = memory_plan.CARDS[name[:2]], torch.cuda.get_device_properties(0).total_memory
    if there < room:
        pytest.skip(f"this GPU has {there / GB:.1f} GB, fewer than the {room / GB:.1f} GB to be kept within")
    settings = with_changes(preset(name), [f"model.gigabytes={room / GB}", f"model.dtype={dtype}", "adapt.converged=0"])
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room / there)
    torch.cuda.reset_peak_memory_stats()
    try:
        took = one_task(eight, settings, rows=64, length=1024, views=16)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    peak = torch.cuda.max_memory_reserved()
    print(f"\n{name}: " + ", ".join(f"{k} {s:.1f} s" for k, s in took.items()) + f", peak {peak / GB:.1f} GB reserved")
    assert peak <= room


TOLD = {"keep": "off", "selective": "selective", "recompute": "on"}
"""Level -> `adapt.checkpointing`."""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("level", memory_plan.LEVELS)
def test_the_plan_holds_what_training_takes(eight: Path, level: memory_plan.Level) -> None:
    settings = with_changes(preset("poe-l4x4"), [f"adapt.checkpointing={TOLD[level]}"])
    engine = LanguageModel(eight, settings)
    set_level(engine.base, level)
    length = 1024 if level == "keep" else 4096
    lesson = Row(np.zeros(length, np.int64), np.arange(length) >= length // 2)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    engine.adapt([lesson] * 2, NEVER, 0)
    made = memory_plan.plan(memory_plan.shape_of(eight), settings, 2, length, level, device_kind("cuda"))
    held = made.weights + made.adapter + made.training
    assert 0.5 * held < torch.cuda.max_memory_allocated() < held + made.reserve


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.skipif(find_spec("unsloth") is None, reason="unsloth is not installed: tests/kernels.txt")
def test_unsloth_s_kernels_train_as_native_training_does(eight: Path) -> None:
    name = "poe-l4x4" if torch.cuda.get_device_capability()[0] >= 8 else "poe-t4x2"
    told = kernel_comparison.compare(eight, preset(name), [1024, 4096], NEVER)
    print(f"\n{told}")
    assert told.problems() == []


def test_the_task_that_the_gpu_is_given_runs_on_a_cpu_in_miniature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps, a few thousand weights: so that the test itself is known to be right before a GPU is paid for."""
    from tests.support.families import miniature

    monkeypatch.setattr(synthetic_model, "PROMPT", 40)
    monkeypatch.setattr(synthetic_model, "SIDE", 4)
    monkeypatch.setattr(synthetic_model, "DOUBT_EVERY", 12)
    settings = with_changes(Settings(), ["model.device=cpu", "model.dense_megabytes=0", "adapt.converged=0"])
    took = one_task(miniature(tmp_path, "llama-3.1"), settings, rows=3, length=64, views=3)
    assert set(took) == {"load", "adapt", "search"}
