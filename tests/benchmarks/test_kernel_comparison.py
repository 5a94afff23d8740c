"""Native training against unsloth's kernels: what is measured, and what is said of it.

The kernels are stood in for by the same functions in torch; by the real ones it runs in `tests.kernels`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from submission.benchmarks import kernel_comparison
from submission.benchmarks.kernel_comparison import Comparison, StepSpeed, compare, compared, in_float32
from submission.config import Adapt, Model, Search, Settings
from submission.deadline import NEVER, within
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan, unsloth_kernels
from submission.model.unsloth_import import Kernels
from submission.model.unsloth_kernels import TrainingKernels
from tests.support.engines import loaded
from tests.support.families import miniature
from tests.support.plain_kernels import plain_kernels


def engine_with(folder: Path, kernels: Kernels, **model: Any) -> LanguageModel:
    engine = loaded(folder, Model(device="cpu", dense_megabytes=0, **model), Adapt(rank=4), Search())
    engine.kernels = TrainingKernels(engine.model, engine.base, kernels)
    return engine


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_ways_are_measured_and_the_model_is_left_as_it_was(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 32)
    engine = engine_with(miniature(tmp_path, "llama-3.1"), plain_kernels(), dtype=dtype)
    before = {name: (weight.dtype, weight.clone()) for name, weight in engine.model.named_parameters()}
    told = compared(engine, memory_plan.shape_of(tmp_path), [48, 32], NEVER)
    assert told.dtype == dtype and told.on and told.search_equal
    assert [each.tokens for each in told.steps] == [32, 48], "the shortest first"
    assert all(0 < each.native_seconds < 10 and 0 < each.kernel_seconds < 10 for each in told.steps)
    assert told.native_loss == pytest.approx(told.kernel_loss, rel=0.01)
    if dtype == "float32":
        assert told.distance < 1e-5 and told.recomputed_distance < 1e-5 and told.kernel_rounding == 0
    else:
        assert 1e-3 < told.native_rounding < 0.1 and 1e-3 < told.kernel_rounding < 0.1
    for name, weight in engine.model.named_parameters():
        assert weight.dtype is before[name][0] and torch.equal(weight, before[name][1])
    assert engine.kernels is not None and engine.kernels.on


def test_float32_is_left_as_it_was_entered(tmp_path: Path) -> None:
    """The head stays in float32, and the LoRA, where the rest goes back to bfloat16."""
    engine = engine_with(miniature(tmp_path, "llama-3.1"), plain_kernels(), dtype="bfloat16")
    types = {name: weight.dtype for name, weight in engine.model.named_parameters()}
    assert len(set(types.values())) == 3, "bytes, bfloat16, and float32"
    ids = torch.arange(8)[None]
    with torch.no_grad():
        first = engine.model(ids).logits
        with pytest.raises(ZeroDivisionError), in_float32(engine.model):
            exact = engine.model(ids).logits
            _ = 1 / 0
        assert torch.equal(engine.model(ids).logits, first) and not torch.equal(exact, first)
    assert types == {name: weight.dtype for name, weight in engine.model.named_parameters()}


def test_no_step_begins_after_the_time_and_none_on_a_row_that_does_not_fit(tmp_path: Path) -> None:
    engine = engine_with(miniature(tmp_path, "llama-3.1"), plain_kernels())
    engine.longest_row = 40
    shape = memory_plan.shape_of(tmp_path)
    assert engine.kernels is not None
    steps = kernel_comparison._steps(engine, engine.kernels, shape, [32, 64], NEVER)
    assert [each.tokens for each in steps] == [32]
    assert list(kernel_comparison._steps(engine, engine.kernels, shape, [32], within(0.0))) == []


def test_a_kernel_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 8)

    def failing(norm: Any, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no kernel image")

    engine = engine_with(miniature(tmp_path, "llama-3.1"), replace(plain_kernels(), norm=failing))
    told = compared(engine, memory_plan.shape_of(tmp_path), [32], NEVER)
    assert not told.on
    assert told.problems() == ["a kernel failed and was taken off: use model.backend=native"]


def test_without_kernels_there_is_nothing_to_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    with pytest.raises(BadInput, match="no kernels to compare with"):
        compared(loaded(folder, Model(device="cpu"), Adapt(rank=4), Search()), memory_plan.shape_of(folder), [], NEVER)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BadInput, match="needs a CUDA GPU"):
        compare(folder, Settings(model=Model(device="cpu")), [], NEVER)


RIGHT = Comparison(
    "Tesla T4", "float16", on=True, first_seconds=15.0, native_loss=2.7, kernel_loss=2.7, distance=0.002,
    recomputed_distance=0.002, native_rounding=0.002, kernel_rounding=0.0025, search_equal=True, dequantizes=True,
    steps=(StepSpeed(1024, False, 1.9, 1.8, 11_000_000_000, 10_000_000_000, 10.5e9),),
)  # fmt: skip

WRONG: dict[str, tuple[Comparison, str]] = {
    "far": (replace(RIGHT, distance=0.02), "gradients are 2 % off the native ones, over 1 %"),
    "not a number": (replace(RIGHT, recomputed_distance=float("nan")), "gradients with checkpointing are nan %"),
    "rounding": (
        replace(RIGHT, kernel_rounding=0.004),
        "gradients are 0.4 % off those in float32, the native ones 0.2",
    ),
    "search": (replace(RIGHT, search_equal=False), "a search after training and forgetting differs"),
    "fallback": (replace(RIGHT, dequantizes=False), "has fallen back to bitsandbytes"),
    "memory": (
        replace(RIGHT, steps=(replace(RIGHT.steps[0], kernel_bytes=11_000_000_000),)),
        "a row of 1024 tokens took 11.0 GB, planned were 10.5 GB",
    ),
    "slow": (replace(RIGHT, steps=(replace(RIGHT.steps[0], kernel_seconds=2.0),)), "took 2.00 s, natively 1.90 s"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_as_it_should_be_is_said_in_a_sentence(name: str) -> None:
    assert RIGHT.problems() == []
    comparison, told = WRONG[name]
    (said,) = comparison.problems()
    assert told in said
