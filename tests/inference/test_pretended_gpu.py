"""What a GPU would do, on one that is only pretended: nothing is left behind on the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.arc.tasks import Task, grid
from submission.checkpoint.layout import layout_of
from submission.config import with_changes
from submission.deadline import NEVER, Deadline
from submission.inference import language_model
from submission.inference.language_model import LanguageModel
from submission.model.attention import GROUPED, REPEATED
from submission.model.grid_lm import GridLM
from submission.presets import preset
from submission.solver.solve import ask, learn, solve
from submission.training import finetune_base as of_large_models
from submission.training import loop, pretrain
from submission.training.corpus import Corpus
from submission.training.finetune_base import finetune_base
from submission.training.settings import FineTuning, Pretraining
from tests.support.engines import proposed, scored
from tests.support.families import FAMILIES, miniature
from tests.support.pretended_gpu import pretended_gpu

CARDS = {"poe-t4x2": ((7, 5), 15.6e9, torch.float16, REPEATED), "poe-l4x4": ((8, 9), 23.5e9, torch.bfloat16, GROUPED)}
"""By preset: compute capability, memory, what is computed in, and how attention goes."""

SMALL = ["training_rows.copies=1", "training_rows.max_rows=4", "adapt.rank=4", "adapt.converged=0", "search.views=4"]


QUICK = [("poe-t4x2", "qwen3"), ("poe-l4x4", "minitron")]
"""Each card once, with a family of its own; the other pairs are slow."""


@pytest.fixture(params=[pytest.param("poe-l4x4", marks=pytest.mark.slow), "poe-t4x2"])
def card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A GPU of each of Kaggle's kinds, by its preset; the CPU reads a model from disk, and it is moved then."""
    capability, memory, _, _ = CARDS[request.param]
    monkeypatch.setattr(language_model, "resolve_device", lambda wish: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (memory, memory))
    for family in (AutoModelForCausalLM, GridLM):
        monkeypatch.setattr(family, "from_pretrained", moved_when_read(family.from_pretrained))
    with pretended_gpu():
        yield request.param


def moved_when_read(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_and_moved(path: Path, **options: Any) -> Any:
        if "device_map" not in options:
            return read(path, **options)
        assert options["device_map"] == {"": "cuda"}
        model, told = read(path, **options | {"device_map": {"": "cpu"}})
        return model.to("cuda"), told

    return read_and_moved


def test_tensors_of_both_sides_do_not_meet() -> None:
    with pretended_gpu():
        here, there = torch.ones(2, 2), torch.ones(2, 2, device="cuda")
        assert (here.device.type, there.device.type, (2 * there).T.device.type) == ("cpu", "cuda", "cuda")
        assert (here.to(there.device) @ there).cpu().tolist() == [[2, 2], [2, 2]]
        with pytest.raises(RuntimeError, match="one device"):
            here @ there
        with pytest.raises(RuntimeError, match="one device"):
            here[torch.tensor([0])] = there[:1]
        there[torch.tensor([0])] = 2.0
        with pytest.raises(TypeError, match=r"Tensor\.cpu"):
            there.numpy()
        weight = torch.ones(2, requires_grad=True, device="cuda")
        (weight * there).sum().backward()
        assert weight.grad is not None and weight.grad.device.type == "cuda"


@pytest.mark.parametrize(
    ("card", "family"),
    [
        pytest.param(card, family, marks=[] if (card, family) in QUICK else pytest.mark.slow)
        for card in sorted(CARDS)
        for family in FAMILIES
    ],
    indirect=["card"],
)
def test_a_large_model_is_adapted_searched_scored_and_forgotten(
    card: str, family: str, tmp_path: Path, small_task: Task
) -> None:
    settings = with_changes(preset(card), [*SMALL, "adapt.checkpointing=on"])
    engine = LanguageModel(miniature(tmp_path, family), settings)
    _, _, dtype, attention = CARDS[card]
    assert {p.device.type for p in engine.model.parameters()} == {"cuda"}
    assert engine.base.model.norm.weight.dtype == dtype
    assert engine.base.config._attn_implementation == attention
    asked, answers = ask(small_task, 0, engine, settings, 0), [grid(small_task.tests[0][::-1]), grid([[3]])]
    before = scored(engine, asked, answers, 2, NEVER)
    _, fit = learn(small_task, engine, settings, NEVER, 0)
    assert fit.stopped == "done" and fit.steps > 0
    found = proposed(engine, asked, range(4), answers, Deadline(40.0, iter(range(1000)).__next__))
    adapted = scored(engine, asked, answers, 2, NEVER)
    assert len(found) == 4 and np.isfinite(adapted).all() and not np.array_equal(adapted, before)
    engine.forget()
    assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)


def test_prompts_that_give_way_come_back_from_the_machines_memory(
    card: str, copying_model: Path, small_task: Task
) -> None:
    settings = with_changes(preset(card), [*SMALL, "search.megabytes=0.001", "model.dense_megabytes=0"])
    engine = LanguageModel(copying_model, settings)
    asked, answers = ask(small_task, 0, engine, settings, 0), [grid(small_task.tests[0][::-1]), grid([[3]])]
    with engine.inference(asked) as inference:
        inference.propose(range(4), answers, NEVER, 0, best_paths=True)
        inference.score(answers, 2, NEVER)
        forest = inference.forest
    assert forest.capacity.parallel_prompts == 1 and forest.prefilled_again == 0
    assert forest.prompt_tokens == sum(len(each.prompt.ids) for each in asked)


def test_a_whole_task_is_solved(card: str, copying_model: Path, small_task: Task) -> None:
    settings = with_changes(preset(card), SMALL)
    engine = LanguageModel(copying_model, settings)
    record = solve(small_task, engine, settings, NEVER, 0)
    assert len(record.attempts) == 2 and all(record.attempts)
    assert record.fit is not None and record.fit.stopped == "done"


@pytest.fixture
def trained_there(card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training as on a GPU; what bfloat16 is there is the CPU's here."""
    for room in (pretrain, of_large_models):
        monkeypatch.setattr(room, "require_device", lambda _: None)
    monkeypatch.setattr(
        loop, "computing", lambda _, dtype: torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    )
    monkeypatch.setattr(loop, "peak_flops", lambda *_: 1e9)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)


@pytest.mark.usefixtures("trained_there")
@pytest.mark.parametrize(
    ("card", "four_bit"),
    [
        ("poe-t4x2", True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("poe-t4x2", False), ("poe-l4x4", True), ("poe-l4x4", False))
        ),
    ],
    indirect=["card"],
)
def test_a_large_base_is_trained_kept_and_merged(tmp_path: Path, copying: Corpus, four_bit: bool) -> None:
    base = miniature(tmp_path, "qwen3")
    settings = FineTuning(
        steps=10, tokens=256, limit=100, warmup=2, rank=4, new_rules=0.0, checkpointing="on", device="cuda",
        four_bit=four_bit,
    )  # fmt: skip
    loss = finetune_base(settings, lambda: copying, base, tmp_path / "tuned")
    assert finetune_base(settings, lambda: copying, base, tmp_path / "tuned", resume=True) < loss
    assert layout_of(tmp_path / "tuned" / "nf4") == CHAT16


@pytest.mark.usefixtures("trained_there")
def test_the_embedded_model_is_trained_and_gone_on_with(tmp_path: Path, copying: Corpus) -> None:
    settings = Pretraining(steps=10, hidden=64, layers=1, tokens=256, limit=100, warmup=2, new_rules=0.0, device="cuda")
    loss = pretrain.pretrain(settings, lambda: copying, tmp_path)
    assert pretrain.pretrain(settings, lambda: copying, tmp_path, resume=True) < loss
