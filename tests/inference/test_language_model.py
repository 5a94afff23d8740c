"""The 4-bit model: loading, adapting, forgetting bit for bit, and the CPU packing trap."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import bitsandbytes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, GRID16, Layout, described
from submission.arc.prompts import Row, padded, prompt, row
from submission.arc.tasks import Pair, Task, grid
from submission.arc.views import identity
from submission.config import PRESETS, Adapt, Model, Search, with_changes
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.inference import test_time_training as finetuning
from submission.inference.language_model import LanguageModel
from submission.inference.test_time_training import backward, batches, finetune, schedule, steps_due
from submission.model import lora, memory_plan
from submission.model.grid_lm import fresh
from submission.model.loading import from_unsloth, layout_of, load_base, with_fused_norms
from submission.model.vocabulary import shrink
from submission.rng import generator
from submission.solver.engine import Fit, Question
from submission.solver.solve import learn
from tests.support.engines import loaded, proposed, scored
from tests.support.families import FAMILIES, miniature

HALVES: tuple[Literal["float16", "float32"], ...] = ("float16", "float32")
ADAPT = Adapt(rank=4, rate=3e-3, batch=4, warmup=0.1)


def engine(path: Path, **adapt: object) -> LanguageModel:
    settings = Adapt(**{**ADAPT.__dict__, **adapt})  # type: ignore[arg-type]
    return loaded(path, Model(device="cpu"), settings, Search())


def rows_of(task: Task, copies: int = 1) -> list[Row]:
    return [row(GRID16, task.demonstrations, 4096, first_learned=1)] * copies


def questions(task: Task, layout: Layout = GRID16) -> list[Question]:
    one = identity(len(task.demonstrations))
    return [Question(one, prompt(layout, task.demonstrations, each, 4096)) for each in task.tests]


def logits(model: LanguageModel, task: Task) -> torch.Tensor:
    ids, _, where = padded(GRID16, rows_of(task))
    with torch.no_grad():
        return model.model(
            input_ids=torch.from_numpy(ids), position_ids=torch.from_numpy(where), use_cache=False
        ).logits


def test_the_blocks_are_in_four_bits_and_only_the_adapter_learns(tiny_grid_model: Path) -> None:
    model = engine(tiny_grid_model)
    four_bit = [m for m in model.model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(four_bit) == 2 * 7, "seven projections in each of the two blocks"
    assert all(m.weight.dtype == torch.uint8 for m in four_bit)
    assert not any(m.support_avx512bf16_for_cpu for m in four_bit)
    learning = [name for name, p in model.model.named_parameters() if p.requires_grad]
    assert len(learning) == 2 * 2 * 7
    assert all("lora_" in name for name in learning)


def test_the_loss_falls_and_forget_brings_the_base_model_back_bit_for_bit(
    tiny_grid_model: Path, small_task: Task
) -> None:
    model = engine(tiny_grid_model)
    before = logits(model, small_task)
    first = model.adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert first.steps == 20
    assert np.mean(first.losses[-3:]) < 0.9 * np.mean(first.losses[:3])
    assert not torch.equal(logits(model, small_task), before)
    model.forget()
    assert torch.equal(logits(model, small_task), before)
    again = model.adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert again.losses == first.losses, "nothing of the first task is left, the optimizer's moments included"


def test_the_gradient_is_the_same_before_and_after_inference(tiny_grid_model: Path, small_task: Task) -> None:
    """bitsandbytes repacks CPU weights in an evaluation pass; trained on after that, gradients are wrong."""

    def gradient(model: LanguageModel) -> torch.Tensor:
        model.model.train()
        model.model.zero_grad()
        backward(model.model, GRID16, rows_of(small_task), 4096)
        model.model.eval()
        return torch.cat([p.grad.reshape(-1) for p in model.model.parameters() if p.grad is not None])

    model = loaded(tiny_grid_model, Model(device="cpu", dense_megabytes=0), ADAPT, Search())
    before = gradient(model)
    proposed(model, questions(small_task), [0], [], Deadline(3.0, iter(range(1000)).__next__))
    logits(model, small_task)
    after = gradient(model)
    assert before.abs().sum() > 0
    assert torch.equal(before, after)


def test_a_checkpoint_is_the_same_after_inference(tiny_grid_model: Path, small_task: Task) -> None:
    model = engine(tiny_grid_model)
    kept = {name: p.clone() for name, p in model.model.state_dict().items()}
    logits(model, small_task)
    assert all(torch.equal(p, kept[name]) for name, p in model.model.state_dict().items())


def test_four_bits_cost_little(tiny_grid_model: Path, small_task: Task) -> None:
    exact = loaded(tiny_grid_model, Model(device="cpu", four_bit=False), ADAPT, Search())
    rounded = engine(tiny_grid_model)
    difference = (logits(exact, small_task) - logits(rounded, small_task)).norm() / logits(exact, small_task).norm()
    assert 0 < difference < 0.25


def test_training_stops_at_the_deadline_and_when_converged(tiny_grid_model: Path, small_task: Task) -> None:
    ticks = iter(range(10_000))
    cut = engine(tiny_grid_model).adapt(rows_of(small_task, 400), Deadline(9.0, lambda: next(ticks)), seed=0)
    assert cut.stopped == "deadline"
    assert 1 <= cut.steps < 9
    done = engine(tiny_grid_model, converged=100.0).adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert (done.stopped, done.steps) == ("converged", 9)
    assert engine(tiny_grid_model, rank=0).adapt(rows_of(small_task), NEVER, seed=0).stopped == "off"


def test_a_training_that_leaves_the_finite_numbers_is_undone(tiny_grid_model: Path, small_task: Task) -> None:
    model = engine(tiny_grid_model, rate=1e30, clip=1e30, warmup=0.0)
    before = logits(model, small_task)
    fit = model.adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert fit.stopped == "not finite"
    assert torch.equal(logits(model, small_task), before)
    model.settings = replace(model.settings, adapt=replace(ADAPT, rate=1e-3))
    after = model.adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert after.stopped == "done", "nothing of it is left in the gradients either"
    another = engine(tiny_grid_model, rate=1e-3)
    assert after.losses == another.adapt(rows_of(small_task, 80), NEVER, seed=0).losses


def test_in_float16_the_gradient_is_scaled_on_its_way_and_by_less_where_that_is_too_much(
    tiny_grid_model: Path, small_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, exact = (loaded(tiny_grid_model, Model(device="cpu", dtype=each), ADAPT, Search()) for each in HALVES)

    def gradient(of: LanguageModel, scale: float) -> torch.Tensor:
        of.forget()
        backward(of.model, GRID16, rows_of(small_task), 4096, scale)
        return torch.cat([p.grad.flatten() for p in of._adapter if p.grad is not None])

    true = gradient(exact, 1.0)
    error = [float((gradient(model, scale) - true).norm() / true.norm()) for scale in (2.0**-14, finetuning.SCALE)]
    assert error[1] < 0.02 < error[0], "what is too small for float16 is lost"
    model.forget()
    monkeypatch.setattr(finetuning, "SCALE", 2.0**30)
    fit = model.adapt(rows_of(small_task, 80), NEVER, seed=0)
    assert fit.stopped == "done"
    assert 15 <= fit.steps < 20, "a few steps found the scale"
    assert all(torch.isfinite(each).all() for each in model._adapter)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_fused_norms_say_the_same(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(miniature(tmp_path, family), dtype=dtype)
    ids = torch.arange(16)[None]
    theirs = base(ids).logits
    with_fused_norms(base)
    assert sum("forward" in module.__dict__ for module in base.modules()) >= 5, "two of each block, and the last"
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    torch.testing.assert_close(base(ids).logits, theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("ends", [False, True])
def test_the_logits_of_a_small_vocabulary_are_not_rounded(ends: bool, tmp_path: Path, small_task: Task) -> None:
    settings = Model(device="cpu", dtype="bfloat16", dense_megabytes=0)
    model = loaded(miniature(tmp_path, "llama-3.1"), settings, replace(ADAPT, ends=ends), Search())
    seen = model.model(torch.arange(16)[None]).logits
    assert seen.dtype is torch.float32
    assert not torch.equal(seen, seen.bfloat16().float())
    assert model.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0).stopped == "done"


def test_padding_costs_no_mask(tiny_line_model: Path, small_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask would keep attention from its fast kernels, and would be as large as all pairs of tokens."""
    base = AutoModelForCausalLM.from_pretrained(tiny_line_model)
    rows = [row(CHAT16, small_task.demonstrations, 4096, first_learned=1)]
    assert len(rows[0].ids) % 32 != 0
    masks = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(*given: Any, **options: Any) -> torch.Tensor:
        masks.append(options.get("attn_mask"))
        return attend(*given, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    backward(base, CHAT16, rows, 4096)
    assert masks == [None] * base.config.num_hidden_layers


def test_rows_are_as_long_as_the_memory_allows(tiny_line_model: Path, small_task: Task) -> None:
    whole = engine(tiny_line_model)
    assert whole.longest_row == Model().context
    made = memory_plan.plan(memory_plan.shape_of(tiny_line_model), whole.settings, 4, 64, True)
    tight = Model(device="cpu", gigabytes=(made.weights + made.adapter + made.training + made.reserve) / 1e9)
    little = loaded(tiny_line_model, tight, replace(ADAPT, batch=1), Search())
    assert 32 <= little.longest_row <= 64
    seen: list[Row] = []

    def noted(rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        seen.extend(rows)
        return Fit(0, (), 0.0, "off")

    little.adapt = noted  # type: ignore[method-assign]
    learn(small_task, little, with_changes(PRESETS["laptop"], ["training_rows.copies=1"]), NEVER, 0)
    assert seen
    assert all(len(each.ids) <= little.longest_row for each in seen)


def test_the_adapter_starts_from_the_seed_alone(tiny_grid_model: Path) -> None:
    torch.manual_seed(1)
    one = engine(tiny_grid_model)
    torch.manual_seed(2)
    two = engine(tiny_grid_model)
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_adapting_changes_the_answers_of_stock_models_too(tiny_line_model: Path, small_task: Task) -> None:
    model = engine(tiny_line_model)
    assert model.layout is CHAT16
    lessons = [row(CHAT16, small_task.demonstrations, 4096)] * 40
    asked, answer = questions(small_task, CHAT16)[:1], grid(small_task.tests[0][::-1])
    before = scored(model, asked, [answer], 1, NEVER)
    fit = model.adapt(lessons, NEVER, seed=0)
    assert fit.losses[-1] < fit.losses[0]
    changed = not np.allclose(scored(model, asked, [answer], 1, NEVER), before)
    assert changed, "the prompts are read again with the new weights"
    model.forget()
    assert np.array_equal(scored(model, asked, [answer], 1, NEVER), before)


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


def test_views_that_do_not_fit_into_the_memory_take_turns(tiny_grid_model: Path, small_task: Task) -> None:
    asked = questions(small_task) * 3
    answers = [grid([[1, 2]]), grid([[3]])]
    whole = scored(engine(tiny_grid_model), asked, answers, 2, NEVER)
    narrow = loaded(tiny_grid_model, Model(device="cpu"), ADAPT, Search(megabytes=1e-6))
    assert np.allclose(scored(narrow, asked, answers, 2, NEVER), whole, atol=1e-4)
    with narrow.inference(asked) as inference:
        assert inference.forest.capacity.parallel_prompts == 1
    cut = scored(narrow, asked, answers, 2, Deadline(0.0, lambda: 1.0))
    assert np.isnan(cut).all(), "no time, no scores, no crash"


@pytest.mark.parametrize("method", ["threshold", "sample", "beam", "rebase"])
def test_every_method_proposes_answers_through_the_engine(
    tiny_grid_model: Path, small_task: Task, method: Literal["threshold", "sample", "beam", "rebase"]
) -> None:
    settings = Search(method=method, threshold=1.0, width=3)
    model = loaded(tiny_grid_model, Model(device="cpu"), ADAPT, settings)
    found = proposed(model, questions(small_task), [0, 1], [], Deadline(60.0, iter(range(1000)).__next__))
    assert len(found) == 2
    assert all(each.exhaustive == (method == "threshold") for each in found if each.proposals)


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        engine(tmp_path)


def test_the_layout_is_told_by_the_checkpoint(tiny_grid_model: Path) -> None:
    assert layout_of(tiny_grid_model) is GRID16


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [schedule(k, 100, warmup=0.1) for k in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == rates[9]
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


def test_where_the_clock_is_faster_than_the_steps_the_learning_rate_rises_with_it() -> None:
    slow = [schedule(k, 40, warmup=0.25) for k in range(8)]
    fast = [schedule(5 * k, 40, warmup=0.25) for k in range(8)]
    assert max(slow) < 0.8
    assert max(fast) == fast[2] > 0.8
    assert fast[-1] < 0.1


@pytest.mark.parametrize(("now", "due"), [(0.0, 0), (1e-6, 0), (0.24, 0), (0.26, 1), (5.0, 20), (11.0, 40)])
def test_only_whole_steps_by_the_clock_change_the_learning_rate(now: float, due: int) -> None:
    assert steps_due(Deadline(10.0, lambda: now), 10.0, 40) == due


def test_without_a_deadline_the_clock_says_nothing() -> None:
    assert steps_due(NEVER, NEVER.left(), 40) == 0


def test_a_training_that_keeps_up_with_its_clock_has_the_same_losses_however_the_clock_trembles(
    tiny_grid_model: Path, small_task: Task
) -> None:
    rows = [row(GRID16, small_task.demonstrations, 100)] * 24
    losses = []
    for trembling in (0.0, 1e-6, 1e-3, 0.9):
        model = engine(tiny_grid_model)
        ticks = itertools.count()
        until = Deadline(1000.0, lambda ticks=ticks, by=trembling: next(ticks) * by)
        losses.append(model.adapt(rows, until, 0).losses)
    assert losses == [losses[0]] * 4


def test_batches_hold_every_row_once_and_rows_of_like_length() -> None:
    rng = np.random.default_rng(0)
    rows = [Row(np.zeros(n, np.int64), np.zeros(n, bool)) for n in rng.integers(10, 90, 30)]
    made = batches(rows, 4, generator(0, "test"))
    assert sorted(len(each.ids) for batch in made for each in batch) == sorted(len(each.ids) for each in rows)
    spread = [max(len(r.ids) for r in batch) - min(len(r.ids) for r in batch) for batch in made]
    assert np.mean(spread) < 15


def test_a_batch_that_goes_through_the_model_in_parts_has_the_same_loss_and_gradient() -> None:
    pairs = [Pair(grid([[1, 2], [3, 4]]), grid([[4]])), Pair(grid([[5]]), grid([[6, 7]]))]
    rows = [row(GRID16, pairs[:1], 100), row(GRID16, pairs, 100), row(GRID16, pairs[1:], 100)]
    outcomes = []
    for tokens in (4096, 64, 1):
        model = fresh(64, 2, seed=3).eval()
        loss = backward(model, GRID16, rows, tokens)
        outcomes.append((loss, torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])))
    for loss, gradient in outcomes[1:]:
        assert loss == pytest.approx(outcomes[0][0], abs=1e-5)
        assert torch.allclose(gradient, outcomes[0][1], atol=1e-5)


def test_an_untrainable_model_trains_nothing(tiny_grid_model: Path) -> None:
    fit = finetune(engine(tiny_grid_model).model, GRID16, [], ADAPT, NEVER, generator(0))
    assert (fit.steps, fit.stopped) == (0, "done")


# -- the families of large models, in miniature -----------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_every_way(family: str, tmp_path: Path, small_task: Task) -> None:
    """16 bits -> NF4 on load -> saved -> NF4 as it is; adapted, searched, scored, and forgotten bit for bit."""
    half = miniature(tmp_path / "half", family)
    model = Model(device="cpu", dense_megabytes=0)
    load_base(half, Model(device="cpu"), "cpu").save_pretrained(tmp_path / "nf4")
    lessons = [row(CHAT16, small_task.demonstrations, 4096)] * 8
    asked, answers = questions(small_task, CHAT16), [grid(small_task.tests[0][::-1]), grid([[3]])]
    told = {}
    for folder in (half, tmp_path / "nf4"):
        engine = loaded(folder, model, ADAPT, Search(threshold=1.0, views=2))
        quantized = [m for m in engine.model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
        assert len(quantized) == 2 * 7
        before = scored(engine, asked, answers, 2, NEVER)
        fit = engine.adapt(lessons, NEVER, seed=0)
        assert fit.stopped == "done" and fit.steps == 2
        found = proposed(engine, asked, [0], answers, Deadline(40.0, iter(range(1000)).__next__))
        adapted = scored(engine, asked, answers, 2, NEVER)
        assert not np.array_equal(adapted, before)
        engine.forget()
        assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)
        told[folder.name] = before, adapted, fit.losses, len(found)
    for one, other in zip(told["half"], told["nf4"], strict=True):
        assert np.array_equal(one, other), "a checkpoint saved in NF4 is what it was when it was saved"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lora_on_the_ends_learns_and_is_forgotten(family: str, tmp_path: Path, small_task: Task) -> None:
    adapt = replace(ADAPT, ends=True, batch=2)
    engine = loaded(miniature(tmp_path, family), Model(device="cpu"), adapt, Search())
    names = [name for name, p in engine.model.named_parameters() if p.requires_grad]
    assert sum("embed_tokens" in name or "lm_head" in name for name in names) == 4
    weights = {name: p.clone() for name, p in engine.base.named_parameters()}
    asked, answers = questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])]
    before = scored(engine, asked, answers, 2, NEVER)
    assert engine.inference_model() is engine.model, "never through matrices that lack what the ends have learned"
    engine.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 20, NEVER, seed=0)
    ends = [name for name in names if "embed_tokens" in name or "lm_head" in name]
    now = dict(engine.model.named_parameters())
    first = {name: p for name, p in zip(names, engine._first, strict=True)}
    assert all(not torch.equal(now[name], first[name]) for name in ends), "all of the ends' adapters learn"
    assert not np.allclose(scored(engine, asked, answers, 2, NEVER), before, atol=1e-3)
    engine.forget()
    assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)
    assert all(torch.equal(p, weights[name]) for name, p in engine.base.named_parameters())


@pytest.mark.parametrize("layout", ["architects", "numpy"])
@pytest.mark.parametrize("shrunk", [False, True])
def test_a_checkpoint_answers_in_its_own_layout(
    layout: Literal["architects", "numpy"], shrunk: bool, tmp_path: Path, small_task: Task
) -> None:
    folder = miniature(tmp_path / "whole", "llama-3.1", layout)
    if shrunk:
        shrink(folder, tmp_path / "small", layout, nf4=True)
        folder = tmp_path / "small"
    engine = loaded(folder, Model(device="cpu", layout=layout), ADAPT, Search(threshold=1.0))
    assert engine.layout.name == layout
    fit = engine.adapt([row(engine.layout, small_task.demonstrations, 4096)] * 40, NEVER, seed=0)
    assert fit.losses[-1] < fit.losses[0]
    asked = questions(small_task, engine.layout)[:1]
    assert np.isfinite(scored(engine, asked, [grid([[1, 2]])], 1, NEVER)).all()


def test_auto_takes_characters_for_architects_and_a_whole_vocabulary_for_numpy(tmp_path: Path) -> None:
    assert layout_of(miniature(tmp_path / "a", "minitron", "architects")).name == "architects"
    assert layout_of(miniature(tmp_path / "n", "llama-3.1", "numpy")).name == "numpy"
    assert layout_of(miniature(tmp_path / "c", "qwen3")) is CHAT16
    assert layout_of(tmp_path / "c", "grid16") is GRID16


@pytest.mark.parametrize(
    ("made", "wish", "told"),
    [
        ("numpy", "chat16", "shrink it first"),
        ("chat16", "architects", "made for layout chat16"),
        ("architects", "numpy", "each cell of a numpy grid"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_in_a_sentence(made: str, wish: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told):
        layout_of(miniature(tmp_path, "llama-3.1", made), wish)


def test_a_layout_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    config = json.loads((folder / "config.json").read_text())
    whole = described(replace(CHAT16, name="other"))
    assert isinstance(whole, dict)
    for wrong, told in (
        ("nothing", "neither one of"), (["chat16"], "neither one of"), ({"name": "x"}, "neither one of"),
        (whole | {"cells": [1, 2]}, "ten ids"), (whole | {"pad": 16}, "there are only 16"),
    ):  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config | {"arc_layout": wrong}))
        with pytest.raises(BadInput, match=told):
            layout_of(folder)
    (folder / "config.json").write_text(json.dumps(config | {"arc_layout": whole}))
    assert layout_of(folder) == replace(CHAT16, name="other")


def test_weights_that_are_cut_short_or_missing_are_refused_in_a_sentence(tmp_path: Path) -> None:
    cut = miniature(tmp_path / "cut", "llama-3.1") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-64])
    with pytest.raises(BadInput, match="cannot be read as a model"):
        engine(tmp_path / "cut")
    less = miniature(tmp_path / "less", "llama-3.1") / "model.safetensors"
    tensors = load_file(less)
    del tensors["model.layers.1.self_attn.q_proj.weight"]
    save_file(tensors, less, {"format": "pt"})
    with pytest.raises(BadInput, match="1 weights are not in its files"):
        engine(tmp_path / "less")
    none = miniature(tmp_path / "none", "llama-3.1")
    (none / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="cannot be read as a model"):
        engine(none)


def test_another_quantization_is_refused(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    config = json.loads((folder / "config.json").read_text())
    eight = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": eight}))
    with pytest.raises(BadInput, match="otherwise than in bitsandbytes' NF4"):
        engine(folder)


def test_unsloth_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    with pytest.raises(BadInput, match="needs a CUDA GPU"):
        loaded(folder, Model(device="cpu", backend="unsloth"), ADAPT, Search())
    with pytest.raises(BadInput, match="cannot be imported here"):
        from_unsloth(folder, None, Model(backend="unsloth"), "cuda")


def test_a_window_of_attention_is_never_asked_to_look_further(tmp_path: Path, small_task: Task) -> None:
    folder = miniature(tmp_path, "minitron")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 960}))
    with pytest.raises(BadInput, match="looks back 960 only"):
        scored(engine(folder), questions(small_task, CHAT16), [grid([[1]])], 1, NEVER)


def test_an_old_torchao_is_hidden_from_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, hidden in (("0.10.0", True), ("0.16.0+cu128", False), ("1.0", False)):
        monkeypatch.setattr(lora, "version", lambda name, found=found: found)
        monkeypatch.delitem(sys.modules, "torchao", raising=False)
        lora.hide_old_torchao()
        assert ("torchao" in sys.modules and sys.modules["torchao"] is None) == hidden
    monkeypatch.delitem(sys.modules, "torchao", raising=False)
