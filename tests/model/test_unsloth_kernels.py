"""What is around unsloth's kernels: refusals, when a pass goes through them, what happens when one fails.

The kernels are stood in for by the same functions written in torch. They themselves are tested in `tests.kernels`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import finegrained_fp8

from submission.arc.layouts import CHAT16
from submission.arc.prompts import row
from submission.arc.tasks import Task, grid
from submission.benchmarks.rates import SHAPE_8B
from submission.config import Adapt, Model, Search, Settings, with_changes
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.image import Profile, read_image
from submission.model import memory_plan, unsloth_import
from submission.model.lora import with_adapter
from submission.model.unsloth_import import Kernels, load_kernels
from submission.model.unsloth_kernels import TrainingKernels
from submission.presets import preset
from submission.solver.engine import Fit
from submission.versions import KNOWN_UNSLOTH
from tests.support import interpreter
from tests.support.engines import loaded, questions, scored
from tests.support.families import miniature
from tests.support.plain_kernels import plain_kernels

SMALL = Adapt(rank=4, rate=3e-3)


def with_kernels(engine: LanguageModel, kernels: Kernels) -> TrainingKernels:
    """Put the kernels on a model that was loaded natively."""
    engine.kernels = TrainingKernels(engine.model, engine.base, kernels)
    return engine.kernels


def engine_of(folder: Path, adapt: Adapt = SMALL, **model: Any) -> LanguageModel:
    return loaded(folder, Model(device="cpu", dense_megabytes=0, **model), adapt, Search())


# -- what is refused --------------------------------------------------------------------------------------------


def test_without_a_gpu_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BadInput) as told:
        engine_of(miniature(tmp_path, "llama-3.1"), backend="unsloth")
    assert str(told.value) == "model.backend=unsloth needs a CUDA GPU; model.backend=native does without one"


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "unsloth_zoo":
            raise unsloth_import.PackageNotFoundError(name)
        return KNOWN_UNSLOTH[-1]

    monkeypatch.setattr(unsloth_import, "version", version)
    with pytest.raises(BadInput) as told:
        load_kernels("cuda")
    assert str(told.value) == (
        "model.backend=unsloth: unsloth_zoo is not installed; the wheels of profile unsloth are needed"
    )


@pytest.fixture
def no_unsloth(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of unsloth is imported, before and after."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] in ("unsloth", "unsloth_zoo")]

    for name in ours():
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in ours():
        del sys.modules[name]


@pytest.mark.parametrize(
    ("version", "code", "why"),
    [
        ("2025.9.7", "", "version 2025.9.7 was not tried"),
        (KNOWN_UNSLOTH[0], "raise OSError('no driver,\\nno card')", "no driver, no card"),
        (KNOWN_UNSLOTH[0], "raise KeyError", "KeyError"),
        (KNOWN_UNSLOTH[0], "apply_lora_qkv = apply_lora_o = apply_lora_mlp_swiglu = 1", "matmul_lora"),
    ],
)
def test_kernels_that_cannot_be_had_are_refused_with_the_versions_that_are_known(
    version: str, code: str, why: str, no_unsloth: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages(tmp_path, monkeypatch, code, version)
    with pytest.raises(BadInput) as told:
        load_kernels("cuda")
    said = str(told.value)
    assert said.startswith(f"model.backend=unsloth: the kernels of unsloth {version} cannot be had here (")
    assert why in said and said.endswith("); known are 2026.10.7, 2026.10.9") and "\n" not in said


def packages(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, version: str = KNOWN_UNSLOTH[-1]) -> None:
    """Packages laid out as unsloth's are, whose own code must not run; `code` is that of fast_lora."""
    for name in unsloth_import.PACKAGES:
        inside = folder.joinpath(*name.split("."))
        inside.mkdir(parents=True)
        (inside / "__init__.py").write_text("raise AssertionError('the code of a package was run')")
    for name, text in {
        "fast_lora": code, "rms_layernorm": "fast_rms_layernorm = len", "utils": "_USE_NF4_KERNELS = True",
        "rope_embedding": "import unsloth_zoo.temporary_patches\nfast_rope_embedding = len",
    }.items():  # fmt: skip
        (folder / "unsloth" / "kernels" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(unsloth_import, "version", lambda name: version)


def test_the_kernels_are_imported_and_nothing_else_is_changed(
    no_unsloth: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing = "from transformers.integrations import finegrained_fp8\nfinegrained_fp8.FP8Linear.forward = len\n"
    first = finegrained_fp8.FP8Linear.forward
    packages(
        tmp_path, monkeypatch, f"{replacing}apply_lora_qkv = apply_lora_o = apply_lora_mlp_swiglu = matmul_lora = len"
    )
    found = load_kernels("cuda")
    assert found.norm is len and found.rope is len and found.dequantizes
    assert load_kernels("cuda").lora is found.lora, "and a second model gets the same"
    assert finegrained_fp8.FP8Linear.forward is first, "what a kernel's module replaces is put back"


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "qwen2": ({}, "knows Llama, Mistral and Qwen3; this model is a qwen2"),
    "gemma3_text": ({}, "knows Llama, Mistral and Qwen3; this model is a gemma3_text"),
    "llama": ({"hidden_act": "gelu"}, "this model is a llama with gelu"),
    "qwen3": ({"attention_bias": True}, "this model's projections have biases, which its kernels leave out"),
}
"""model_type -> what else its config says, and how it is refused."""


@pytest.mark.parametrize("family", OTHERS)
def test_a_model_that_the_kernels_are_not_for_is_refused(family: str) -> None:
    options, told = OTHERS[family]
    config = AutoConfig.for_model(
        family, vocab_size=16, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=13, bos_token_id=14, eos_token_id=15, **options,
    )  # fmt: skip
    base = AutoModelForCausalLM.from_config(config)
    base.name_or_path = "the/folder"
    adapted = with_adapter(base, SMALL, 0)
    with pytest.raises(BadInput, match=f"model.backend=unsloth.*{told}"):
        TrainingKernels(adapted, base, plain_kernels())
    assert "forward" not in base.model.layers[0].mlp.__dict__, "it is refused before anything is put on"


@pytest.mark.parametrize("ends", [False, True])
def test_gradients_that_are_off_are_refused(ends: bool, tiny_line_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(tiny_line_model, replace(SMALL, ends=ends))
    with_kernels(engine, plain_kernels()).require_right()
    for wrong, told in ((lambda norm, x: 1.01 * plain_kernels().norm(norm, x), r"\d\.\d"), (_nan, "nan")):
        engine = engine_of(tiny_line_model, replace(SMALL, ends=ends))
        with pytest.raises(BadInput, match=f"on this GPU its gradients are {told} % off the native ones; use model"):
            with_kernels(engine, replace(plain_kernels(), norm=wrong)).require_right()


def _nan(norm: Any, x: torch.Tensor) -> torch.Tensor:
    return x * torch.nan


# -- what is around the kernels ---------------------------------------------------------------------------------


def lessons(task: Task, copies: int = 3) -> list[Any]:
    return [row(CHAT16, task.demonstrations[:1], 4096)] * copies


def test_training_goes_through_the_kernels_and_nothing_else_does(tiny_line_model: Path, small_task: Task) -> None:
    native, ours = engine_of(tiny_line_model), engine_of(tiny_line_model)
    calls: Counter[str] = Counter()
    kernels = plain_kernels()

    def norm(module: Any, x: torch.Tensor) -> torch.Tensor:
        calls.update(["norm"])
        return kernels.norm(module, x)

    with_kernels(ours, replace(kernels, norm=norm))
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    first = scored(native, asked, answers, 2, NEVER)
    assert np.array_equal(scored(ours, asked, answers, 2, NEVER), first)
    with torch.no_grad():
        ours.model.train()(torch.arange(8)[None])
        ours.model.eval()
    ours.model(torch.arange(8)[None])
    assert not calls, "neither a search, nor a pass without gradients, nor one in evaluation"
    fits = [each.adapt(lessons(small_task), NEVER, 0) for each in (native, ours)]
    heads = 4 if "qwen3" in str(tiny_line_model) else 0
    assert calls["norm"] == 3 * (5 + heads), "two norms in each of two blocks, and the last, in three steps"
    assert fits[1].losses == pytest.approx(fits[0].losses, rel=1e-5)
    trained = scored(ours, asked, answers, 2, NEVER)
    assert not np.allclose(trained, first, atol=1e-3)
    assert np.allclose(trained, scored(native, asked, answers, 2, NEVER), atol=1e-4)
    ours.forget()
    assert np.array_equal(scored(ours, asked, answers, 2, NEVER), first)


def failing(kernels: Kernels, where: str, after: int) -> Kernels:
    """Kernels of which one raises from a call on, each time."""
    calls: list[None] = []

    def in_forward(mlp: Any, x: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        if len(calls) > after:
            raise RuntimeError("Triton Error [CUDA]:\nno kernel image")
        result: torch.Tensor = kernels.lora.apply_lora_mlp_swiglu(mlp, x)
        return result

    def in_backward(mlp: Any, x: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        result: torch.Tensor = kernels.lora.apply_lora_mlp_swiglu(mlp, x)
        if len(calls) > after:
            result.register_hook(raising)
        return result

    def raising(gradient: torch.Tensor) -> torch.Tensor:
        raise ValueError("out of resources: shared memory")

    lora = SimpleNamespace(**vars(kernels.lora) | {"apply_lora_mlp_swiglu": locals()[where]})
    return replace(kernels, lora=lora)


@pytest.mark.parametrize(
    ("where", "told", "after", "checkpointing"),
    [
        ("in_forward", "RuntimeError: Triton Error [CUDA]: no kernel image", 0, "off"),
        ("in_forward", "RuntimeError: Triton Error [CUDA]: no kernel image", 9, "on"),
        ("in_backward", "ValueError: out of resources: shared memory", 5, "off"),
        ("in_backward", "ValueError: out of resources: shared memory", 0, "on"),
    ],
)
def test_a_kernel_that_fails_is_taken_off_and_training_is_the_native_one(
    where: str, told: str, after: int, checkpointing: Any, tiny_line_model: Path, small_task: Task, caplog: Any
) -> None:
    """At load, or in the second step of a task: the adapter is reset, and all that follows is native to the last bit.

    Two blocks: calls 1 and 2 are those at load, 3 and 4 the first step; with checkpointing twice as many.
    """
    adapt = replace(SMALL, checkpointing=checkpointing)
    native, ours = engine_of(tiny_line_model, adapt), engine_of(tiny_line_model, adapt)
    on = with_kernels(ours, failing(plain_kernels(), where, after))
    on.require_right()
    assert on.on is (after > 0)
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    for _ in range(2):
        fits = [each.adapt(lessons(small_task), NEVER, 0) for each in (native, ours)]
        assert fits[0].losses == fits[1].losses and fits[1].stopped == "done"
        assert np.array_equal(*(scored(each, asked, answers, 2, NEVER) for each in (native, ours)))
        native.forget(), ours.forget()
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert said == [
        f"model.backend=unsloth: a kernel failed ({told}); the kernels are off, and training goes on natively"
    ]
    assert not on.on


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_an_error_of_memory_is_not_the_kernels_own(error: Exception, tiny_line_model: Path, small_task: Task) -> None:
    engine = engine_of(tiny_line_model)

    def norm(module: Any, x: torch.Tensor) -> torch.Tensor:
        raise error

    on = with_kernels(engine, replace(plain_kernels(), norm=norm))
    with pytest.raises(type(error)):
        engine.adapt(lessons(small_task), NEVER, 0)
    assert on.on


def test_an_error_that_is_not_the_kernels_is_raised_by_native_training_too(tiny_line_model: Path) -> None:
    on = with_kernels(engine_of(tiny_line_model), plain_kernels())

    def train() -> Fit:
        raise ValueError("of the rows")

    with pytest.raises(ValueError, match="of the rows"):
        on.guarded(train, lambda: None)


def test_kernels_that_are_off_are_not_planned_with(tmp_path: Path) -> None:
    """A row that the kernels would keep whole is computed again where training is native."""
    settings = Model(
        device="cpu", dense_megabytes=0, gigabytes=(memory_plan.RESERVE + memory_plan.KERNELS_RESERVE) / 1e9
    )
    settings = replace(settings, gigabytes=settings.gigabytes + 0.01, context=4096)
    adapt = replace(SMALL, checkpointing="off")
    engine = loaded(miniature(tmp_path, "qwen3"), settings, adapt, Search(megabytes=1.0))
    native = engine.longest_row
    engine.settings = replace(engine.settings, model=replace(settings, backend="unsloth"))
    on = with_kernels(engine, plain_kernels())
    with_them = engine.longest_row = engine._longest_row()
    on.on = False
    engine._begin_natively()
    assert 0 < engine.longest_row == native != with_them


def test_the_products_of_an_8b_keep_a_third_less_than_natively() -> None:
    """Its rows keep their activations up to a greater length, on a T4 and on an L4."""
    for name, card in (("poe-t4x2", "t4"), ("poe-l4x4", "l4")):
        longest = []
        for backend in ("native", "unsloth"):
            settings = with_changes(preset(name), [f"model.backend={backend}", "adapt.checkpointing=off"])
            longest.append(memory_plan.longest_row(SHAPE_8B, settings, 2, memory_plan.CARDS[card]))
        assert 1.2 < longest[1] / longest[0] < 1.8
    native, kernels = (memory_plan.native_block(SHAPE_8B, 32, 2), memory_plan.kernel_block(SHAPE_8B, 2))
    assert kernels == 2 * (4 * 4096 + 4 * 4096 + 2 * 11520) + 4 * (2 + 32)
    assert kernels < native
    plans = [memory_plan.plan(SHAPE_8B, with_changes(Settings(), [f"model.backend={each}"]), 2, 64, "keep")
             for each in ("native", "unsloth")]  # fmt: skip
    assert plans[1].reserve - plans[0].reserve == pytest.approx(0.1e9)


def test_the_versions_of_wheels_tests_and_code_agree() -> None:
    lines = (Path(interpreter.__file__).parents[1] / "kernels.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    locked = {pin.name: pin.version for pin in wheels.read_lock(Profile("unsloth"))}
    assert locked == {"bitsandbytes": "0.50.2", "unsloth": KNOWN_UNSLOTH[-1], "unsloth-zoo": KNOWN_UNSLOTH[-1]}
    triton = read_image(Profile("unsloth").image).versions["triton"]
    assert pinned == {"triton": triton, "unsloth": KNOWN_UNSLOTH[-1], "unsloth_zoo": KNOWN_UNSLOTH[-1]}
