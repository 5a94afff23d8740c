"""A LoRA that is added within its projection's product is peft's, forward and backward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from submission.config import Adapt, Model, Search
from submission.finetune import backward
from submission.layouts import CHAT16
from submission.llm import LanguageModel
from submission.prompts import row
from submission.tasks import Task
from tests.families import FAMILIES, miniature


def trained_on(engine: LanguageModel, task: Task) -> tuple[float, Tensor]:
    """The loss of a row, and the gradient of the whole adapter."""
    engine.model.zero_grad()
    loss = backward(engine.model, CHAT16, [row(CHAT16, task.demonstrations, 4096)] * 2, 4096)
    return loss, torch.cat([p.grad.reshape(-1) for p in engine.model.parameters() if p.grad is not None])


def unfused(model: Any) -> None:
    """Give each projection its own forward back."""
    for module in model.modules():
        module.__dict__.pop("forward", None)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ends", [False, True])
def test_it_has_the_same_loss_and_the_same_gradient(family: str, ends: bool, tmp_path: Path, small_task: Task) -> None:
    settings = Model(device="cpu", dense_megabytes=0)
    engine = LanguageModel(miniature(tmp_path, family), settings, Adapt(rank=4, ends=ends), Search())
    torch.manual_seed(0)
    for weight in (p for p in engine.model.parameters() if p.requires_grad):
        torch.nn.init.normal_(weight, std=0.1)
    fused = sum("forward" in module.__dict__ for module in engine.model.modules())
    assert fused >= 2 * 7, "seven projections of two blocks"
    loss, gradient = trained_on(engine, small_task)
    unfused(engine.model)
    theirs, true = trained_on(engine, small_task)
    assert loss == pytest.approx(theirs, rel=1e-5)
    torch.testing.assert_close(gradient, true, rtol=1e-3, atol=1e-5)


def test_adapters_of_another_type_go_peft_s_way(tmp_path: Path) -> None:
    settings = Model(device="cpu", dense_megabytes=0, dtype="bfloat16", four_bit=False)
    engine = LanguageModel(miniature(tmp_path, "llama-3.1"), settings, Adapt(rank=4), Search())
    module: Any = next(each for each in engine.model.modules() if "forward" in each.__dict__)
    torch.nn.init.normal_(module.lora_B["default"].weight)
    seen = torch.randn(2, 3, module.in_features, dtype=torch.bfloat16)
    assert module.lora_A["default"].weight.dtype is torch.float32
    fused = module(seen)
    unfused(engine.model)
    assert torch.equal(fused, module(seen))
