"""unsloth's kernels: their gradients are peft's, and whatever does not train is as it was, bit for bit.

pip install --no-deps -r tests/kernels.txt
TRITON_INTERPRET=1 UNSLOTH_ALLOW_CPU=1 pytest tests/kernels
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.arc.prompts import row
from submission.arc.tasks import Task, grid
from submission.benchmarks.kernel_comparison import compared
from submission.config import Adapt, Model, Search
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan, unsloth_kernels
from submission.model.checkpointing import set_level
from submission.model.gradient_check import Batch, gradient_distance, gradients, trial_adapter
from submission.model.unsloth_kernels import TrainingKernels
from submission.training.corpus import Corpus
from submission.training.finetune_base import finetune_base
from submission.training.settings import FineTuning
from tests.support import interpreter
from tests.support.counted import kept_by_autograd
from tests.support.engines import loaded, questions, scored
from tests.support.families import miniature

if interpreter.reason():
    pytest.skip(interpreter.reason(), allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:Unsloth. narrow-row RMSNorm kernels disabled")
"""Its own check of a kernel for narrow rows does not pass in the interpreter; the kernel for one row is used."""

FAMILIES = ("llama-3.1", "minitron", "qwen3")
ADAPT = Adapt(rank=4, rate=3e-3)

TWO_ROWS: Batch = (
    torch.tensor([[1, 2, 3, 4, 5, 6], [9, 8, 7, 6, 5, 4]]),
    torch.tensor([[False, False, True, True, True, True], [False, True, True, False, True, False]]),
    torch.tensor([[[0, 1, 2, 3, 4, 5], [40, 41, 42, 43, 44, 45]]]),
)
"""Two rows of tokens, each at positions of its own."""


def engine_of(folder: Path, **model: Any) -> LanguageModel:
    return loaded(folder, Model(device="cpu", dense_megabytes=0, **model), ADAPT, Search())


def kernels_of(engine: LanguageModel) -> TrainingKernels:
    engine.kernels = TrainingKernels(engine.model, engine.base, interpreter.kernels())
    return engine.kernels


def gradients_of_peft(model: Any, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    """Those of transformers and peft alone: each module's own forward pass."""
    put_away = {module: module.__dict__.pop("forward") for module in model.modules() if "forward" in module.__dict__}
    found = gradients(model, batch)
    for module, forward in put_away.items():
        module.forward = forward
    return found


@pytest.mark.parametrize("four_bit", [True, False], ids=["nf4", "dense"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradients_are_those_of_peft(family: str, four_bit: bool, tmp_path: Path) -> None:
    """Also where blocks are computed again in the backward pass, of which the last product is then left out."""
    engine = engine_of(miniature(tmp_path, family), four_bit=four_bit, dtype="float32")
    on = kernels_of(engine)
    products: list[int] = []
    product = on.kernels.lora.matmul_lora
    with trial_adapter(engine.model):
        loss, true = gradients_of_peft(engine.model, TWO_ROWS)
        theirs, found = gradients(engine.model, TWO_ROWS)
        set_level(engine.base, "recompute")
        on.kernels.lora.matmul_lora = lambda *a, **k: products.append(len(a[1])) or product(*a, **k)
        again, recomputed = gradients(engine.model, TWO_ROWS)
        on.kernels.lora.matmul_lora = product
    assert theirs == pytest.approx(loss, rel=1e-6)
    assert set(found) == set(true)
    assert gradient_distance(true, found) < 1e-5
    assert max(gradient_distance({name: true[name]}, found) for name in true) < 1e-5, "of each weight"
    assert again == theirs and all(torch.equal(found[name], recomputed[name]) for name in found)
    # Forward: seven a block, and one in the backward pass of the MLP. Again: the output projection goes through LoRA_W
    # and its product like the others, the last one of the MLP does not.
    assert len(products) == 2 * (7 + 6 + 1)
    assert on.kernels.dequantizes, "unsloth has not fallen back to bitsandbytes"


@pytest.mark.parametrize(("family", "four_bit"), [("llama-3.1", False), ("qwen3", True)])
def test_in_16_bits_they_are_the_same_up_to_rounding(family: str, four_bit: bool, tmp_path: Path) -> None:
    """Under autocast with embeddings and head in float32 as well, as `pretrain --base` trains."""
    engine = engine_of(miniature(tmp_path, family), four_bit=four_bit, dtype="float16")
    kernels_of(engine)
    with trial_adapter(engine.model):
        loss, true = gradients_of_peft(engine.model, TWO_ROWS)
        theirs, found = gradients(engine.model, TWO_ROWS)
        assert theirs == pytest.approx(loss, rel=1e-3)
        assert 1e-5 < gradient_distance(true, found) < 0.01
        for end in (engine.base.get_input_embeddings(), engine.base.get_output_embeddings()):
            end.to(torch.float32).requires_grad_(True)
        with torch.autocast("cpu", torch.float16):
            loss, true = gradients_of_peft(engine.model, TWO_ROWS)
            theirs, found = gradients(engine.model, TWO_ROWS)
    assert theirs == pytest.approx(loss, rel=1e-3)
    assert any("embed" in name for name in true) and set(found) == set(true)
    assert 1e-5 < gradient_distance(true, found) < 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_a_search_is_the_same_before_and_after_a_training(
    family: str, tmp_path: Path, small_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting: `model.backend=unsloth`. Training learns the same, and is forgotten bit for bit."""
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 6)
    interpreter.kernels()
    folder = miniature(tmp_path, family)
    native, ours = engine_of(folder), engine_of(folder, backend="unsloth")
    assert ours.kernels is not None and ours.kernels.on
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    first = scored(native, asked, answers, 2, NEVER)
    assert np.array_equal(scored(ours, asked, answers, 2, NEVER), first)
    lessons = [row(CHAT16, small_task.demonstrations[:1], 4096)] * 2  # The first step of a warm-up has rate 0.
    losses = [each.adapt(lessons, NEVER, 0).losses for each in (native, ours)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    learned = [scored(each, asked, answers, 2, NEVER) for each in (native, ours)]
    assert np.allclose(*learned, atol=1e-4) and not np.allclose(learned[0], first, atol=1e-4)
    ours.forget()
    assert np.array_equal(scored(ours, asked, answers, 2, NEVER), first)
    assert ours.kernels.kernels.dequantizes


def test_a_wrong_scale_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one projection in seven, in float32 and in 16 bits."""
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 6)
    for dtype in ("float32", "float16"):
        engine = engine_of(miniature(tmp_path / dtype, "llama-3.1"), dtype=dtype)
        on = kernels_of(engine)
        lora = on.kernels.lora
        told = lora.get_lora_parameters
        wrong = {id(block.mlp.up_proj) for block in engine.base.model.layers}

        def scaled(layer: Any, told: Any = told, wrong: set[int] = wrong) -> Any:
            *rest, scale = told(layer)
            return *rest, scale * (1.5 if id(layer) in wrong else 1)

        on.require_right()
        with monkeypatch.context() as patched, pytest.raises(BadInput, match="on this GPU its gradients are .* % off"):
            patched.setattr(lora, "get_lora_parameters", scaled)
            on.require_right()


def test_a_kernel_that_fails_is_taken_off(tmp_path: Path, small_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of the backward pass, at every try."""
    native, ours = (engine_of(miniature(tmp_path / name, "llama-3.1")) for name in ("native", "ours"))
    on = kernels_of(ours)

    def failing(*arguments: Any) -> None:
        raise RuntimeError("Triton Error [CUDA]: no kernel image is available")

    monkeypatch.setattr(on.kernels.lora, "swiglu_DWf_DW_dfg_kernel", failing)
    lessons = [row(CHAT16, small_task.demonstrations[:1], 4096)] * 2
    assert ours.adapt(lessons, NEVER, 0).losses == native.adapt(lessons, NEVER, 0).losses
    assert not on.on


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("family", ["llama-3.1", "qwen3"])
def test_a_block_keeps_what_the_memory_plan_says(family: str, dtype: str, tmp_path: Path) -> None:
    engine = engine_of(miniature(tmp_path, family), dtype=dtype)
    kernels_of(engine)
    kept = [kept_by_autograd(engine.model.train(), *TWO_ROWS)]
    del engine.base.model.layers[1]
    kept.append(kept_by_autograd(engine.model, *TWO_ROWS))
    shape, width = memory_plan.shape_of(tmp_path), 4 if dtype == "float32" else 2
    # The plan has keys and values at the queries' width, as a T4 needs them.
    block = memory_plan.kernel_block(shape, width) - width * 2 * (shape.queries - shape.keys)
    assert kept[0] - kept[1] == TWO_ROWS[0].numel() * block


def test_a_large_base_is_fine_tuned_by_them(tmp_path: Path, copying: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 6)
    interpreter.kernels()
    base = miniature(tmp_path / "base", "llama-3.1")
    # The interpreter has no bfloat16, which may be the faster type of this CPU.
    native = FineTuning(
        steps=1, tokens=64, limit=64, warmup=1, rank=4, rate=1e-2, new_rules=0.0, backend="native", dtype="float32"
    )
    losses = [
        finetune_base(settings, lambda: copying, base, tmp_path / settings.backend)
        for settings in (native, replace(native, backend="unsloth"))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_native_and_kernels_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsloth_kernels, "CHECKED_TOKENS", 6)
    engine = engine_of(miniature(tmp_path, "llama-3.1"))
    kernels_of(engine)
    told = compared(engine, memory_plan.shape_of(tmp_path), [], NEVER)
    assert told.problems() == []
    assert told.dequantizes and told.search_equal and 0 < told.distance < 1e-5


UNCHANGED = """
import sys, types
import bitsandbytes, peft, torch, transformers
from transformers.models import llama, mistral, qwen3
import transformers.models.llama.modeling_llama, transformers.models.qwen3.modeling_qwen3
from submission.model.unsloth_import import load_kernels

WATCHED = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


def seen():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in WATCHED and isinstance(module, types.ModuleType):
            for key, value in list(vars(module).items()):
                found[name, key] = value
                if isinstance(value, type) and value.__module__.split(".")[0] in WATCHED:
                    for inner, part in list(vars(value).items()):
                        found[name, key, inner] = part
    return found


before = seen()
load_kernels("cpu")
after = seen()
COUNTERS = {"__warningregistry__", "__annotations__", "__annotations_cache__", "next_id"}
changed = [key for key, value in before.items() if after.get(key) is not value and COUNTERS.isdisjoint(key)]
print(len(before), changed)
assert len(before) > 10000
assert not changed, changed
"""


def test_nothing_is_changed_in_other_packages() -> None:
    """Every name of every module of torch, transformers, peft and bitsandbytes, and of the classes in them."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", UNCHANGED], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
