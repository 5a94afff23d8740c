"""The engine: a 4-bit model of any family that is adapted, asked, and brought back bit for bit."""

from __future__ import annotations

import gc
import json
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import bitsandbytes
import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Row, row
from submission.arc.tasks import Task, grid
from submission.config import Model, Search, with_changes
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan
from submission.model.loading import load_base
from submission.model.vocabulary import shrink
from submission.presets import PRESETS
from submission.runner.schedule import with_less_memory
from submission.solver.engine import Fit
from submission.solver.solve import learn
from tests.support.engines import ADAPT, engine, loaded, proposed, questions, rows_of, scored
from tests.support.families import FAMILIES, miniature


def test_the_blocks_are_in_four_bits_and_only_the_adapter_learns(tiny_grid_model: Path) -> None:
    model = engine(tiny_grid_model)
    four_bit = [m for m in model.model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(four_bit) == 2 * 7, "seven projections in each of the two blocks"
    assert all(m.weight.dtype == torch.uint8 for m in four_bit)
    assert not any(m.support_avx512bf16_for_cpu for m in four_bit)
    learning = [name for name, p in model.model.named_parameters() if p.requires_grad]
    assert len(learning) == 2 * 2 * 7
    assert all("lora_" in name for name in learning)


Ends = Literal["off", "full"]


@pytest.mark.parametrize("ends", ["off", "full"])
def test_the_logits_of_a_small_vocabulary_are_not_rounded(ends: Ends, tmp_path: Path, small_task: Task) -> None:
    settings = Model(device="cpu", dtype="bfloat16", dense_megabytes=0)
    model = loaded(miniature(tmp_path, "llama-3.1"), settings, replace(ADAPT, ends=ends), Search())
    seen = model.model(torch.arange(16)[None]).logits
    assert seen.dtype is torch.float32
    assert not torch.equal(seen, seen.bfloat16().float())
    assert model.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0).stopped == "done"


def test_rows_are_as_long_as_the_memory_allows(tiny_line_model: Path, small_task: Task) -> None:
    whole = engine(tiny_line_model)
    assert whole.longest_row == Model().context
    made = memory_plan.plan(memory_plan.shape_of(tiny_line_model), whole.settings, 4, 64, "recompute")
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


def test_the_settings_of_an_order_reach_the_training_and_the_search(tiny_grid_model: Path, small_task: Task) -> None:
    """A retry that asks for less memory takes less: activations are recomputed, fewer prompts are held at a time."""
    whole = with_changes(PRESETS["laptop"], ["model.device=cpu", "search.megabytes=12"])
    model = LanguageModel(tiny_grid_model, whole)
    asked, rows = questions(small_task) * 12, rows_of(small_task, 4)

    def held() -> tuple[bool, int]:
        model.adapt(rows, NEVER, 0)
        with model.inference(asked) as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # transformers 5.23 deprecates the only name that 5.0 has.
            return model.base.is_gradient_checkpointing, opened.forest.capacity.parallel_prompts

    assert (model.longest_row, model.level_for(rows)) == (4096, "keep")
    before = held()
    model.use(with_less_memory(whole, context=True))
    after = held()
    assert (before[0], after[0], model.longest_row) == (False, True, 2048)
    assert after[1] < before[1]
    model.use(whole)
    assert held() == before, "the next order has settings of its own"


def test_settings_of_an_order_do_not_change_what_was_loaded(tiny_grid_model: Path) -> None:
    model = engine(tiny_grid_model)
    model.use(with_changes(model.settings, ["model.dtype=float16", "model.gigabytes=0.1"]))
    assert (model.settings.model.dtype, model.settings.model.gigabytes, model.dtype) == ("auto", 0, "float32")


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


QUICK = ("minitron", "qwen3")
"""Untied with heads wider than the model; tied with norms of queries and keys."""

# -- the families of large models, in miniature -----------------------------------------------------------------


@pytest.mark.parametrize(
    "family", [pytest.param(each, marks=[] if each in QUICK else pytest.mark.slow) for each in FAMILIES]
)
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


@pytest.mark.parametrize(
    ("layout", "shrunk"),
    [
        ("architects", False),
        ("numpy", True),
        pytest.param("architects", True, marks=pytest.mark.slow),
        pytest.param("numpy", False, marks=pytest.mark.slow),
    ],
)
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


def test_a_window_of_attention_is_never_asked_to_look_further(tmp_path: Path, small_task: Task) -> None:
    folder = miniature(tmp_path, "minitron")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 960}))
    with pytest.raises(BadInput, match="looks back 960 only"):
        scored(engine(folder), questions(small_task, CHAT16), [grid([[1]])], 1, NEVER)


def test_what_was_read_is_dropped_when_the_inference_ends(tiny_grid_model: Path, small_task: Task) -> None:
    with engine(tiny_grid_model).inference(questions(small_task)) as opened:
        opened.score([grid([[1]])], 1, NEVER)
        forest = weakref.ref(opened.forest)
    gc.collect()
    assert forest() is None, "although the inference is still named here"
    assert opened is not None
