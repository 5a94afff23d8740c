"""Test-time training: the loss falls, the clock bounds it, what is not finite is undone, and forgetting is exact."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, GRID16
from submission.arc.prompts import Row, row
from submission.arc.tasks import Pair, Task, grid
from submission.config import Model, Search
from submission.deadline import NEVER, Deadline
from submission.inference import test_time_training as finetuning
from submission.inference.language_model import LanguageModel
from submission.inference.test_time_training import backward, batches, finetune, schedule, steps_due
from submission.model.grid_lm import fresh
from submission.rng import generator
from tests.support.cases import cases
from tests.support.engines import ADAPT, HALVES, engine, loaded, logits, proposed, questions, rows_of


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


def test_the_learning_rate_rises_in_a_line_then_falls_to_nothing() -> None:
    rates = [schedule(k, 100, warmup=10) for k in range(101)]
    assert rates[:11] == [k / 10 for k in range(11)]
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))


@cases(("steps", "warmup"), [(1, 0), (1, 1), (5, 5), (7, 0)])
def test_the_learning_rate_is_never_above_its_peak_however_short_the_training(steps: int, warmup: int) -> None:
    rates = [schedule(k, steps, warmup) for k in range(steps + 2)]
    assert all(0 <= each <= 1 for each in rates)
    assert rates[warmup] == 1.0


def test_where_the_clock_is_faster_than_the_steps_the_learning_rate_rises_with_it() -> None:
    slow = [schedule(k, 40, warmup=10) for k in range(8)]
    fast = [schedule(5 * k, 40, warmup=10) for k in range(8)]
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
