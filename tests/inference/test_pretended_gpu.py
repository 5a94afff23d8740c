"""What a GPU would do, on one that is only pretended: nothing is left behind on the other side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.arc.prompts import row
from submission.arc.tasks import Task, grid
from submission.benchmarks import gpu_subject
from submission.benchmarks.gpu_check import Order
from submission.benchmarks.gpu_sections import outcome_of
from submission.benchmarks.gpu_subject import Subject
from submission.checkpoint.layout import layout_of
from submission.config import with_changes
from submission.deadline import NEVER, Deadline
from submission.inference import language_model
from submission.inference.language_model import LanguageModel
from submission.inference.node_passes import CudaGraphs
from submission.model.attention import GROUPED, REPEATED
from submission.model.grid_lm import GridLM
from submission.model.memory_plan import LEVELS
from submission.presets import card_of, preset
from submission.solver.solve import ask, learn, solve
from submission.training import finetune_base as of_large_models
from submission.training import loop, pretrain
from submission.training.corpus import Corpus
from submission.training.finetune_base import finetune_base
from submission.training.settings import FineTuning, Pretraining
from tests.support.engines import proposed, scored
from tests.support.families import FAMILIES, miniature
from tests.support.gpu_orders import MINIATURE
from tests.support.pretended_gpu import Marks, bitsandbytes_sees, pretended_gpu
from tests.support.tape import TapedGraphs

CARDS = {"poe-t4x2": ((7, 5), 15.6e9, torch.float16, REPEATED), "poe-l4x4": ((8, 9), 23.5e9, torch.bfloat16, GROUPED)}
"""By preset: compute capability, memory, what is computed in, and how attention goes."""

STEP_WAITS = {"index": 2, "index_put": 1, "_local_scalar_dense": 3, "to host": 1}
"""What the host waits for in a step: the predictions and targets that carry loss, and the gradient of the former; the
loss, whether the gradient is finite, and whether positions begin anew (transformers). The copy is the pretence's: what
clips gradients asks torch's C++ part where they are, which knows the CPU alone."""

SMALL = ["training_rows.copies=1", "training_rows.max_rows=4", "adapt.rank=4", "adapt.converged=0", "search.views=4"]


QUICK = [("poe-t4x2", "qwen3")]
"""The other pairs are slow: each card with each family."""


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture(params=[pytest.param("poe-l4x4", marks=pytest.mark.slow), "poe-t4x2"])
def card(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, marks: Marks, reduced_sums: None
) -> Iterator[str]:
    """A GPU of each of Kaggle's kinds, by its preset; the CPU reads a model from disk, and it is moved then."""
    capability, memory, _, _ = CARDS[request.param]
    monkeypatch.setattr(language_model, "resolve_device", lambda wish: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (memory, memory))
    bitsandbytes_sees(monkeypatch, capability)
    monkeypatch.setattr(language_model, "CudaGraphs", lambda on: TapedGraphs() if on else CudaGraphs(on))
    for family in (AutoModelForCausalLM, GridLM):
        monkeypatch.setattr(family, "from_pretrained", moved_when_read(family.from_pretrained))
    with pretended_gpu(marks):
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
    assert torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction == (dtype is not torch.float16)
    asked, answers = ask(small_task, 0, engine, settings, 0), [grid(small_task.tests[0][::-1]), grid([[3]])]
    before = scored(engine, asked, answers, 2, NEVER)
    _, fit = learn(small_task, engine, settings, NEVER, 0)
    assert fit.stopped == "done" and fit.steps > 0
    found = proposed(engine, asked, range(4), answers, Deadline(40.0, iter(range(1000)).__next__))
    adapted = scored(engine, asked, answers, 2, NEVER)
    assert len(found) == 4 and np.isfinite(adapted).all() and not np.array_equal(adapted, before)
    engine.forget()
    assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)


def test_small_passes_of_a_search_are_replayed(card: str, tmp_path: Path, small_task: Task) -> None:
    """As CUDA graphs, which tapes stand for here: the same scores with them as without."""
    folder, graphs = miniature(tmp_path, "llama-3.1"), ["search.cuda_graphs=True", "search.cuda_graphs=False"]
    scores = []
    for change in graphs:
        settings = with_changes(preset(card), [*SMALL, change])
        engine = LanguageModel(folder, settings)
        asked = ask(small_task, 0, engine, settings, 0)
        with engine.inference(asked) as inference:
            for answer in ([[1, 2], [3, 4]], [[5, 6], [7, 8]], [[5, 6], [0, 8]], [[2, 2], [2, 2]]):
                scores.append(inference.score([grid(answer)], 1, NEVER).log_p)
            replayed = inference.forest.node_passes.replays
        assert (replayed > 0) == (change == graphs[0])
    assert np.allclose(scores[:4], scores[4:], atol=0.05)


def waits_of(marks: Marks, do: Callable[[], object]) -> Counter[str]:
    """What the host waits for while this is done."""
    marks.waits.clear()
    do()
    return Counter(marks.waits)


@pytest.mark.parametrize("blocks", [2, 3])
@pytest.mark.parametrize(
    "level", [pytest.param("off", marks=pytest.mark.slow), "selective", pytest.param("on", marks=pytest.mark.slow)]
)
def test_the_host_waits_for_each_pass_once_for_each_step_six_times_and_in_no_block(
    card: str, marks: Marks, level: str, blocks: int, tmp_path: Path, small_task: Task
) -> None:
    """As often with three blocks as with two: no number, no shape and no tensor leaves the GPU inside a block."""
    settings = with_changes(preset(card), [*SMALL, f"adapt.checkpointing={level}", "model.dense_megabytes=0"])
    engine = LanguageModel(miniature(tmp_path, "minitron", blocks=blocks), settings)
    rows = [row(engine.layout, small_task.demonstrations, 4096)]
    one, three = (waits_of(marks, lambda n=n: engine.adapt(rows * n, NEVER, 0)) for n in (1, 3))
    of_two_steps = three - one
    assert of_two_steps == {name: 2 * count for name, count in STEP_WAITS.items()}, of_two_steps
    with engine.inference(ask(small_task, 0, engine, settings, 0)) as inference:
        forest = inference.forest
        for paths in ([()], [(1,)], [(1, 2), (1, 3)]):
            passes = forest.passes
            waits = waits_of(marks, lambda paths=paths: forest.evaluate({0: paths}, NEVER))
            assert forest.passes == passes + 1
            assert waits == Counter({"to host": 1}), waits


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
def counted_there(card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that tells of its memory: the same for every training."""
    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    for name in ("memory_reserved", "max_memory_reserved", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: 100_000_000)
    monkeypatch.setattr(gpu_subject, "resolve_device", lambda _: "cuda")


@pytest.mark.slow
@pytest.mark.usefixtures("counted_there")
def test_the_sections_of_the_check_on_a_gpu_run(card: str, tmp_path: Path) -> None:
    settings = with_changes(preset(card), ["adapt.rank=4"])
    order = Order(miniature(tmp_path, "qwen3"), settings, card=card_of(card), workload=MINIATURE)
    subject = Subject(order)
    told = {name: outcome_of(name, subject, NEVER).outcome for name in ("load", "attention", "task", "memory", "rates")}
    assert {name: each.status for name, each in told.items()} == dict.fromkeys(told, "ok") | {"rates": "failed"}
    assert told["load"].figures["dtype"] == str(CARDS[card][2]).removeprefix("torch.")
    assert told["task"].figures["reserved_bytes"] == 100_000_000 < told["task"].figures["planned_bytes"]
    assert [each["level"] for each in told["memory"].figures["levels"]] == list(LEVELS)
    assert "as shares of the projection" in told["rates"].sentence, "a CPU is slow"


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
