"""A LoRA that is added within its projection's product is peft's, forward and backward; merged, it says the same."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import bitsandbytes
import numpy as np
import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.arc.prompts import row
from submission.arc.tasks import Task, grid
from submission.config import Adapt, Model, Search
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.inference.test_time_training import backward
from submission.model import lora
from submission.model.checkpointing import set_level
from submission.model.loading import load_base
from submission.model.lora import with_adapter
from tests.support.cases import cases
from tests.support.engines import ADAPT, engine, loaded, questions, scored
from tests.support.families import FAMILIES, miniature, packed

SMALL = Adapt(rank=4)


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
@pytest.mark.parametrize("ends", ["off", "full"])
def test_it_has_the_same_loss_and_the_same_gradient(
    family: str, ends: Literal["off", "full"], tmp_path: Path, small_task: Task
) -> None:
    settings = Model(device="cpu", dense_megabytes=0)
    engine = loaded(miniature(tmp_path, family), settings, Adapt(rank=4, ends=ends), Search())
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_16_bits_it_is_the_same_up_to_their_rounding(
    dtype: Literal["bfloat16", "float16"], tmp_path: Path, small_task: Task
) -> None:
    half, whole = (
        loaded(miniature(tmp_path, "llama-3.1"), Model(device="cpu", dense_megabytes=0, dtype=each), SMALL, Search())
        for each in (dtype, "float32")
    )
    torch.manual_seed(0)
    for ours, theirs in zip(half._adapter, whole._adapter, strict=True):
        torch.nn.init.normal_(ours, std=0.1)
        theirs.data.copy_(ours)
    _, true = trained_on(whole, small_task)
    loss, gradient = trained_on(half, small_task)
    assert gradient.dtype is torch.float32
    unfused(half.model)
    theirs_loss, peft = trained_on(half, small_task)
    assert loss == pytest.approx(theirs_loss, rel=0.01)
    error, theirs_error = ((each - true).norm() / true.norm() for each in (gradient, peft))
    assert 0 < error < 2 * theirs_error + 1e-3


def test_what_is_computed_again_ends_before_the_last_product_of_a_block(tmp_path: Path, small_task: Task) -> None:
    settings = Model(device="cpu", dense_megabytes=0, dtype="bfloat16")
    engine = loaded(miniature(tmp_path, "llama-3.1"), settings, SMALL, Search())
    set_level(engine.base, "recompute")
    engine.model.train()
    calls: Counter[str] = Counter()

    def noted(kind: str, *_: Any) -> None:
        calls.update([kind])

    for name, module in engine.model.named_modules():
        if name.endswith("base_layer"):
            module.register_forward_hook(partial(noted, name.split(".")[-2]))
    trained_on(engine, small_task)
    assert (calls["up_proj"], calls["down_proj"]) == (4, 2), "two blocks, one micro-batch"


def test_inputs_of_yet_another_type_go_peft_s_way(tmp_path: Path) -> None:
    settings = Model(device="cpu", dense_megabytes=0, four_bit=False)
    engine = loaded(miniature(tmp_path, "llama-3.1"), settings, Adapt(rank=4), Search())
    module: Any = next(each for each in engine.model.modules() if "forward" in each.__dict__)
    torch.nn.init.normal_(module.lora_B["default"].weight)
    module.double()
    module.lora_A.float(), module.lora_B.float()
    seen = torch.randn(2, 3, module.in_features, dtype=torch.float64)
    fused = module(seen)
    unfused(engine.model)
    assert torch.equal(fused, module(seen))


SIZES = {
    "vocab_size": 16, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 13, "bos_token_id": 14, "eos_token_id": 15,
}  # fmt: skip

LACKING: dict[str, tuple[dict[str, Any], str]] = {
    "phi3": ({}, "0 q_proj, 0 k_proj, 0 v_proj, 2 o_proj, 0 gate_proj, 0 up_proj, 2 down_proj"),
    "mixtral": ({"num_local_experts": 2}, "2 q_proj, 2 k_proj, 2 v_proj, 2 o_proj, 0 gate_proj"),
    "qwen3_moe": ({"num_experts": 2, "moe_intermediate_size": 32, "head_dim": 16}, "0 gate_proj, 0 up_proj"),
    "gpt2": ({"n_layer": 2, "n_embd": 64, "n_head": 4}, "0 q_proj"),
    "olmoe": ({"num_experts": 2}, "2 o_proj, 0 gate_proj"),
    "starcoder2": ({}, "0 gate_proj"),
    "glm4": ({"head_dim": 16}, "0 gate_proj, 0 up_proj, 2 down_proj"),
}
"""Family with joined projections or experts -> its sizes, and what of the seven projections it has."""


@cases("family", LACKING)
def test_a_model_without_the_seven_projections_is_refused(family: str) -> None:
    options, told = LACKING[family]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**SIZES, **options}))
    model.name_or_path = "the/folder"
    with pytest.raises(BadInput, match=f"the/folder: .* 2 blocks, 14 linear layers, .*{told}") as refused:
        with_adapter(model, SMALL, 0)
    assert "\n" not in str(refused.value)
    assert not any("lora" in name for name, _ in model.named_modules()), "it is refused before anything is attached"


@cases("family", FAMILIES)
def test_seven_projections_of_each_block_are_adapted(family: str, tmp_path: Path) -> None:
    model = loaded(miniature(tmp_path / family, family), Model(device="cpu"), SMALL, Search()).model
    adapted = Counter(name.rpartition(".")[2] for name, module in model.named_modules() if lora._is_adapted(module))
    assert adapted == dict.fromkeys(lora.PROJECTIONS, 2)


def test_a_layer_that_peft_leaves_out_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later peft might, that does not know a kind of layer: counted after it has done its work."""
    base = load_base(miniature(tmp_path, "llama-3.1"), Model(device="cpu"), "cpu")
    monkeypatch.setattr(lora, "LoraConfig", partial(LoraConfig, exclude_modules=["up_proj"]))
    with pytest.raises(BadInput, match="0 up_proj, 2 down_proj"):
        with_adapter(base, SMALL, 0)


def test_the_adapter_starts_from_the_seed_alone(tiny_grid_model: Path) -> None:
    torch.manual_seed(1)
    one = engine(tiny_grid_model)
    torch.manual_seed(2)
    two = engine(tiny_grid_model)
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_dense_matrices_say_what_four_bits_and_a_lora_say(tiny_line_model: Path, small_task: Task) -> None:
    through_twin = engine(tiny_line_model)
    as_it_is = loaded(tiny_line_model, Model(device="cpu", dense_megabytes=0), ADAPT, Search())
    lessons = [row(CHAT16, small_task.demonstrations, 4096)] * 20
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    untrained = scored(through_twin, asked, answers, 2, NEVER)
    for model in (through_twin, as_it_is):
        model.adapt(lessons, NEVER, seed=0)
    twin, plain = (scored(model, asked, answers, 2, NEVER) for model in (through_twin, as_it_is))
    assert np.allclose(twin, plain, atol=1e-4)
    assert not np.allclose(twin, untrained, atol=1e-2)
    assert through_twin.inference_model() is not through_twin.model
    assert as_it_is.inference_model() is as_it_is.model


@pytest.mark.parametrize(
    "family",
    [pytest.param(each, marks=[] if each in ("minitron", "qwen3") else pytest.mark.slow) for each in FAMILIES],
)
def test_whole_ends_learn_and_are_forgotten(family: str, tmp_path: Path, small_task: Task) -> None:
    adapt = replace(ADAPT, ends="full", ends_rate=1e-3, batch=2)
    engine = loaded(miniature(tmp_path, family), Model(device="cpu"), adapt, Search())
    untouched = loaded(tmp_path, Model(device="cpu"), ADAPT, Search())
    weights = {name: p.clone() for name, p in engine.model.named_parameters()}
    ends = [name for name, p in engine.model.named_parameters() if p.requires_grad and lora.of_ends(name)]
    assert len(ends) == 2, "tied ones learn apart"
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    before = scored(engine, asked, answers, 2, NEVER)
    assert np.allclose(before, scored(untouched, asked, answers, 2, NEVER), atol=1e-5), "they begin as the base's"
    engine.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 20, NEVER, seed=0)
    now = dict(engine.model.named_parameters())
    assert all(not torch.equal(now[name], weights[name]) for name in ends)
    assert not np.allclose(scored(engine, asked, answers, 2, NEVER), before, atol=1e-3)
    engine.forget()
    assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)
    assert all(torch.equal(p, weights[name]) for name, p in engine.model.named_parameters())


def test_the_ends_of_a_model_over_grid_positions_are_known_by_their_names(tiny_grid_model: Path) -> None:
    model = engine(tiny_grid_model, ends="full").model
    assert sum(p.requires_grad and lora.of_ends(name) for name, p in model.named_parameters()) == 2


@pytest.mark.parametrize("family", ["llama-3.1", "qwen3"])
def test_the_merged_model_has_the_ends_that_were_trained(family: str, tmp_path: Path, small_task: Task) -> None:
    adapt = replace(ADAPT, ends="full", ends_rate=1e-2, batch=2)
    miniature(tmp_path, family)
    merged, plain = (loaded(tmp_path, Model(device="cpu", dense_megabytes=n), adapt, Search()) for n in (256, 0))
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    for model in (merged, plain):
        model.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 20, NEVER, seed=0)
    assert merged.inference_model() is not merged.model and plain.inference_model() is plain.model
    twin, as_it_is = (scored(model, asked, answers, 2, NEVER) for model in (merged, plain))
    assert np.allclose(twin, as_it_is, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_16_bits_whole_ends_are_float32_and_the_blocks_compute_as_before(
    dtype: Literal["bfloat16", "float16"], tmp_path: Path, small_task: Task
) -> None:
    settings = Model(device="cpu", dense_megabytes=0, dtype=dtype)
    miniature(tmp_path, "llama-3.1")
    engine, frozen = (loaded(tmp_path, settings, replace(ADAPT, ends=ends), Search()) for ends in ("full", "off"))
    ids = torch.arange(16)[None]
    assert torch.equal(engine.model(ids).logits, frozen.model(ids).logits)
    seen: list[torch.dtype] = []
    engine.base.model.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    fit = engine.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0)
    assert fit.stopped == "done" and set(seen) == {getattr(torch, dtype)}
    assert {end.weight.dtype for end in lora.ends_of(engine.base)} == {torch.float32}


def test_a_head_in_four_bits_is_trained_as_what_it_stands_for(tmp_path: Path, small_task: Task) -> None:
    folder = packed(miniature(tmp_path / "source", "llama-3.1"), tmp_path / "nf4", kept=["no_such_module"])
    frozen = loaded(folder, Model(device="cpu", dense_megabytes=0), ADAPT, Search())
    assert isinstance(frozen.base.get_output_embeddings(), bitsandbytes.nn.Linear4bit)
    engine = loaded(folder, Model(device="cpu", dense_megabytes=0), replace(ADAPT, ends="full"), Search())
    ids = torch.arange(16)[None]
    before = engine.model(ids).logits
    torch.testing.assert_close(before, frozen.model(ids).logits, rtol=1e-2, atol=1e-2)
    assert engine.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0).stopped == "done"
    assert not torch.equal(engine.model(ids).logits, before)
    engine.forget()
    assert torch.equal(engine.model(ids).logits, before)


@cases(("scaling", "scale"), [("rslora", 16 / 4**0.5), ("lora", 16 / 4)])
def test_the_lora_is_scaled_as_the_settings_say(
    scaling: Literal["rslora", "lora"], scale: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = load_base(miniature(tmp_path_factory.mktemp("model"), "qwen3"), Model(device="cpu"), "cpu")
    model = with_adapter(base, replace(SMALL, scaling=scaling), 0)
    assert {module.scaling["default"] for module in model.modules() if lora._is_adapted(module)} == {scale}


def test_a_lora_on_queries_values_and_mlp_leaves_the_other_layers_as_they_are(tmp_path: Path) -> None:
    base = load_base(miniature(tmp_path, "llama-3.1"), Model(device="cpu"), "cpu")
    model = with_adapter(base, replace(SMALL, targets="q_v_mlp"), 0)
    adapted = Counter(name.rpartition(".")[2] for name, module in model.named_modules() if lora._is_adapted(module))
    assert adapted == dict.fromkeys(("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"), 2)


def test_an_old_torchao_is_hidden_from_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, hidden in (("0.10.0", True), ("0.16.0+cu128", False), ("1.0", False)):
        monkeypatch.setattr(lora, "version", lambda name, found=found: found)
        monkeypatch.delitem(sys.modules, "torchao", raising=False)
        lora.hide_old_torchao()
        assert ("torchao" in sys.modules and sys.modules["torchao"] is None) == hidden
    monkeypatch.delitem(sys.modules, "torchao", raising=False)
