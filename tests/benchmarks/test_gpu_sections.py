"""What is checked on a card, on a CPU in miniature: what is right passes, what is wrong is a failure in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from submission.arc.layouts import CHAT16
from submission.benchmarks import gpu_sections, synthetic_checkpoint
from submission.benchmarks.gpu_check import SECTIONS, Outcome
from submission.benchmarks.gpu_sections import Peak, judged_comparison, judged_peaks, judged_rates, outcome_of
from submission.benchmarks.gpu_subject import CheckFailed, Subject, one_task
from submission.benchmarks.kernel_comparison import Comparison, StepSpeed
from submission.deadline import NEVER, within
from submission.model import memory_plan
from tests.support.families import miniature
from tests.support.gpu_orders import on_cpu


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(on_cpu(miniature(tmp_path / "model", "llama-3.1")))


def outcome(name: str, subject: Subject) -> Outcome:
    return outcome_of(name, subject, NEVER).outcome


def test_each_section_has_its_function_and_its_time() -> None:
    assert list(gpu_sections.SECTIONS) == list(SECTIONS)
    assert all(seconds > 0 for seconds in SECTIONS.values())


def test_a_sound_model_passes(subject: Subject) -> None:
    loaded, attended, done = (outcome(name, subject) for name in ("load", "attention", "task"))
    assert [each.status for each in (loaded, attended, done)] == ["ok"] * 3
    assert loaded.figures["blocks"] == 2 and loaded.figures["dtype"] == "float32"
    assert sum(attended.figures["kernels"].values()) > 10
    assert done.figures["training_seconds"] > 0 and done.figures["search_seconds"] > 0


def test_memory_and_kernels_of_a_gpu_are_skipped_on_a_cpu(subject: Subject) -> None:
    assert outcome("memory", subject).status == "skipped"
    assert outcome("kernels", subject).status == "skipped"


def only_by_math(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """Attention with values wider than queries, which no other kernel of a CPU takes; the result is the same."""
    group = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(group, dim=1) for each in (key, value))
    wide = F.scaled_dot_product_attention(
        query, key, F.pad(value, (0, 8)), attn_mask=mask, is_causal=mask is None and query.shape[2] > 1
    )
    return wide[..., :-8].transpose(1, 2).contiguous(), None


def test_attention_that_falls_back_to_the_math_kernel_fails_and_the_next_section_is_run(subject: Subject) -> None:
    AttentionInterface.register("only_by_math", only_by_math)
    AttentionMaskInterface.register("only_by_math", sdpa_mask)
    subject.engine().base.config._attn_implementation = "only_by_math"
    told = outcome("attention", subject)
    assert told.status == "failed"
    assert told.sentence == (
        "only torch's MATH kernel does an attention here: RuntimeError: No available kernel. Aborting execution."
    )
    assert any("same last dimension" in each for each in told.figures["why"]), "torch's own reason"
    assert outcome("task", subject).status == "ok", "elsewhere MATH is allowed, and computes the same"


def test_after_an_error_of_the_gpu_the_process_is_of_no_more_use(subject: Subject) -> None:
    def broken(*_: Any, **__: Any) -> tuple[Tensor, None]:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nCompile")

    AttentionInterface.register("broken", broken)
    AttentionMaskInterface.register("broken", sdpa_mask)
    subject.engine().base.config._attn_implementation = "broken"
    reply = outcome_of("attention", subject, NEVER)
    assert not reply.usable
    assert reply.outcome.sentence == (
        "AcceleratorError: CUDA error: no kernel image is available for execution on the device"
    )


def test_what_a_section_raises_is_a_failure_of_its_own(tmp_path: Path) -> None:
    subject = Subject(on_cpu(tmp_path / "none"))
    reply = outcome_of("load", subject, NEVER)
    assert reply.outcome.status == "failed" and "there is no such folder" in reply.outcome.sentence
    assert reply.usable
    assert outcome("kernels", subject).status == "skipped"


def test_a_task_that_forgets_nothing_or_learns_nothing_fails(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = subject.engine()
    monkeypatch.setattr(engine, "_first", [each.detach().clone() + 0.01 for each in engine._adapter])
    with pytest.raises(CheckFailed, match="after forgetting, the logits are not those of the first time"):
        one_task(subject, NEVER)
    idle = Subject(on_cpu(subject.order.model, "adapt.rate=1e-30"))
    with pytest.raises(CheckFailed, match="the training has changed nothing"):
        one_task(idle, NEVER)
    with pytest.raises(CheckFailed, match="the training ended after 0 steps: deadline"):
        one_task(idle, within(0.0))


def test_rates_are_measured_and_named_when_none_are_stated(subject: Subject) -> None:
    told = outcome("rates", subject)
    assert told.status == "ok" and "none are stated for this device" in told.sentence
    assert {"training, keep", "training, recompute", "prefill", "passes"} <= set(told.figures["per_second"])
    assert all(0 < each < 1e7 for each in told.figures["per_second"].values())


def test_rates_are_held_against_the_stated_ones(subject: Subject) -> None:
    """A miniature is far slower than an 8B's rates scaled to its few weights."""
    subject.order = replace(subject.order, card="t4")
    told = outcome("rates", subject)
    assert told.status == "failed" and "as shares of the projection" in told.sentence
    assert set(told.figures["per_second"]) <= set(told.figures["projected"])
    half = judged_rates({"prefill": 51.0, "passes": 2.0}, {"prefill": 100.0, "passes": 1.0})
    assert (half.status, half.sentence[-25:]) == ("ok", "prefill 0.51, passes 2.00")
    assert judged_rates({"prefill": 49.0, "passes": 2.0}, {"prefill": 100.0, "passes": 1.0}).status == "failed"


def test_kernels_are_judged_by_what_is_wrong_with_them() -> None:
    step = StepSpeed(1024, False, 1.9, 1.0, 11_000_000_000, 10_000_000_000, 10.5e9)
    right = Comparison(
        "Tesla T4", "float16", on=True, distance=0.002, recomputed_distance=0.002, native_rounding=0.002,
        kernel_rounding=0.002, search_equal=True, dequantizes=True, steps=(step,),
    )  # fmt: skip
    told = judged_comparison(right)
    assert (told.status, told.figures["steps"][0]["tokens"]) == ("ok", 1024)
    assert told.sentence == "gradients 0.2 % off the native ones, 1.90 times as fast at 1024 tokens"
    told = judged_comparison(replace(right, dequantizes=False))
    assert (told.status, told.sentence) == ("failed", "the NF4 kernel has fallen back to bitsandbytes")


def test_peaks_are_held_against_the_plan() -> None:
    within_plan = Peak("keep", 1024, 10e9, 0.5e9, 10.4e9, 9.9e9)
    beyond = Peak("recompute", 4096, 8e9, 0.5e9, 8.6e9, 8.1e9)
    told = judged_peaks([within_plan])
    assert (told.status, told.figures["levels"][0]["reserved_bytes"]) == ("ok", 10.4e9)
    assert "keep 1.04 at 1024 tokens" in told.sentence
    told = judged_peaks([within_plan, beyond])
    assert told.status == "failed"
    assert told.sentence == ("recompute at 4096 tokens took 8.60 GB, planned were 8.00 GB and a reserve of 0.50 GB")
    assert judged_peaks([]).status == "skipped"


@pytest.mark.slow
def test_the_embedded_model_says_what_it_says_on_the_cpu(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    told = outcome("embedded", subject)
    assert told.status == "ok" and told.figures == {"float32": 0.0}
    exact = gpu_sections.of_embedded("cpu", "float32", NEVER)
    rounded = gpu_sections.of_embedded("cpu", "bfloat16", NEVER)
    off = abs(exact[0] - rounded[0]).max()
    assert gpu_sections.NEAR[torch.float32] < off < gpu_sections.NEAR[torch.bfloat16]


@pytest.mark.slow
def test_the_embedded_model_itself_can_be_checked(tmp_path: Path) -> None:
    """Its positions are rows and columns, and its logits are not replaced."""
    from submission.config import EMBEDDED

    subject = Subject(on_cpu(EMBEDDED, "adapt.rate=0.002"))
    assert [outcome(name, subject).status for name in ("load", "attention", "task")] == ["ok"] * 3


def test_a_checkpoint_with_random_weights_is_written_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 1,
              "head_dim": 16}  # fmt: skip
    monkeypatch.setattr(synthetic_checkpoint, "CONFIG", synthetic_checkpoint.CONFIG | narrow)
    subject = Subject(replace(on_cpu(tmp_path / "model"), synthetic_blocks=3))
    assert outcome("load", subject).figures["blocks"] == 3
    assert subject.engine().layout == CHAT16
    assert memory_plan.shape_of(tmp_path / "model").quantized
    written = (tmp_path / "model" / "config.json").stat().st_mtime_ns
    assert outcome("task", Subject(subject.order)).status == "ok"
    assert (tmp_path / "model" / "config.json").stat().st_mtime_ns == written, "a second process takes what is there"
