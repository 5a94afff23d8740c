"""The presets against the published recipes: each computed here step by step from its description alone.

Sources of the figures: the released evaluation script of PoE and its log, NVARC's notebook, the TTT paper's code and
its table 6; transformers is asked for its own schedule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import get_cosine_schedule_with_warmup

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Row
from submission.arc.tasks import Pair, Task, grid
from submission.arc.training_rows import training_rows
from submission.arc.views import COLOURS, View
from submission.benchmarks.rates import SHAPE_8B, SHAPES
from submission.config import Adapt, Settings, TrainingRows
from submission.deadline import NEVER, Deadline
from submission.inference.language_model import LanguageModel
from submission.inference.test_time_training import batches, finetune, schedule, warmup_steps
from submission.model.lora import ends_of
from submission.model.memory_plan import FLOAT32
from submission.presets import PRESETS, preset, recipe_of
from submission.rng import generator
from tests.support.cases import cases
from tests.support.engines import loaded
from tests.support.families import miniature
from tests.support.layouts import ARCHITECTS

LARGE = [name for name in PRESETS if name != "laptop"]


# -- what a description says ---------------------------------------------------------------------------------------


def described_rates(peak: float, steps: int, warm: int) -> list[float]:
    """A linear rise from 0 to the peak over `warm` steps, then half a cosine to 0 over the others."""
    rates = []
    for step in range(steps):
        if step < warm:
            rates.append(peak * step / warm)
        else:
            rates.append(peak * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2)
    return rates


POE_RATES = {
    0: 0.0, 8: 2.500e-5, 15: 4.688e-5, 16: 5.000e-5, 24: 7.500e-5, 31: 9.688e-5, 32: 1.000e-4, 40: 8.536e-5,
    48: 5.000e-5, 56: 1.464e-5, 63: 2.408e-7,
}  # fmt: skip
"""Step -> the rate that HF's Trainer had with PoE's arguments: 64 steps, 32 of them warm-up, cosine, 1e-4."""

SEVEN = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@dataclass(frozen=True)
class Described:
    """What one recipe does to a task, from its description."""

    rates: list[float]
    ends_rates: list[float] | None
    """None where embeddings and head are frozen."""
    targets: set[str]
    rank: int
    scale: float
    weight_decay: float
    rows_a_step: int
    epochs: int


@cache
def described(recipe: str, rows: int) -> Described:
    """The description of a recipe, for a task of this many rows."""
    if recipe == "poe":
        assert rows == 8 * 8
        rates, ends = described_rates(1e-4, 64, 32), described_rates(1e-5, 64, 32)
        return Described(rates, ends, SEVEN, 32, 16 / math.sqrt(32), 0.0, 1, 1)
    if recipe == "nvarc":
        assert rows == 8 * 16
        rates = described_rates(5e-5, 128, math.ceil(0.1 * 128))
        return Described(rates, rates, SEVEN, 256, 32 / math.sqrt(256), 0.0, 1, 1)
    total = rows * 2 // 2
    rates = described_rates(1e-4, 2 * math.ceil(rows / 2), total // 10)
    return Described(rates, None, SEVEN - {"k_proj", "o_proj"}, 128, 16 / 128, 0.01, 2, 2)


# -- what a preset does ------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A training, watched from outside: at each step of the optimizer, and at each pass of the model."""

    groups: list[list[tuple[float, float, set[str]]]] = field(default_factory=list)
    """Of each step and group of weights: rate, weight decay, names."""
    passes: list[list[tuple[int, ...]]] = field(default_factory=list)
    """The rows of each pass, without padding."""
    betas: set[tuple[float, float]] = field(default_factory=set)
    eps: set[float] = field(default_factory=set)
    norms: list[float] = field(default_factory=list)
    """Of the whole gradient at each step."""


def watched(engine: LanguageModel, rows: list[Row], settings: Adapt, until: Deadline = NEVER) -> Watched:
    """Train, and return what was seen."""
    seen = Watched()
    names = {id(p): name for name, p in engine.model.named_parameters()}

    def at_step(optimizer: Any, args: object, kwargs: object) -> None:
        groups = optimizer.param_groups
        seen.groups.append([(g["lr"], g["weight_decay"], {names[id(p)] for p in g["params"]}) for g in groups])
        seen.betas |= {g["betas"] for g in groups}
        seen.eps |= {g["eps"] for g in groups}
        gradients = [p.grad for g in groups for p in g["params"]]
        seen.norms.append(math.sqrt(sum(float(each.square().sum()) for each in gradients)))

    def at_pass(module: object, args: object, kwargs: dict[str, Any]) -> None:
        seen.passes.append([tuple(ids[: (ids != CHAT16.pad).sum()].tolist()) for ids in kwargs["input_ids"]])

    hooks = [
        register_optimizer_step_pre_hook(at_step),
        engine.base.register_forward_pre_hook(at_pass, with_kwargs=True),
    ]
    try:
        fit = finetune(engine.model, engine.layout, rows, settings, until, generator(0, "finetune"))
    finally:
        for hook in hooks:
            hook.remove()
    assert fit.stopped == "done" or until is not NEVER
    return seen


def on_a_cpu(name: str) -> Settings:
    """A preset for a miniature on this machine."""
    settings = preset(name)
    return replace(settings, model=replace(settings.model, device="cpu", dtype="float32", threads=1))


@pytest.fixture(scope="module")
def one_pair() -> Task:
    """A single demonstration without any symmetry, so that the TTT paper's recipe makes few rows of it."""
    return Task("one", (Pair(grid([[1, 2, 3], [4, 5, 1]]), grid([[2, 6], [7, 8], [9, 2]])),), (grid([[3]]),))


@pytest.fixture(scope="module", params=["poe-l4x4", "nvarc-l4x4", "ttt-l4x4"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, one_pair: Task
) -> Iterator[tuple[str, LanguageModel, list[Row], Watched]]:
    """A preset's name, a miniature, the rows of a task, and what its training does."""
    settings = on_a_cpu(request.param)
    folder = miniature(tmp_path_factory.mktemp("model"), "minitron")
    engine = LanguageModel(folder, settings)
    rows = training_rows(one_pair, CHAT16, settings.training_rows, 8192, generator(0, "one", "lessons"))
    yield request.param, engine, rows, watched(engine, rows, settings.adapt)


def test_the_rates_of_every_step_are_those_of_the_recipe(
    trained: tuple[str, LanguageModel, list[Row], Watched],
) -> None:
    name, _, rows, seen = trained
    of = described(recipe_of(name), len(rows))
    assert [groups[0][0] for groups in seen.groups] == pytest.approx(of.rates, rel=1e-9, abs=1e-15)
    if of.ends_rates is None:
        assert all(len(groups) == 1 for groups in seen.groups)
    else:
        assert [groups[1][0] for groups in seen.groups] == pytest.approx(of.ends_rates, rel=1e-9, abs=1e-15)


def test_the_weights_that_are_trained_are_those_of_the_recipe(
    trained: tuple[str, LanguageModel, list[Row], Watched],
) -> None:
    name, engine, rows, seen = trained
    of = described(recipe_of(name), len(rows))
    blocks = engine.base.config.num_hidden_layers
    for groups in seen.groups:
        adapter = [each.split(".") for each in groups[0][2]]
        assert Counter(parts[-4] for parts in adapter) == dict.fromkeys(of.targets, 2 * blocks)
        assert all(parts[-3] in ("lora_A", "lora_B") for parts in adapter)
        if of.ends_rates is not None:
            assert {each.rpartition("model.")[2] for each in groups[1][2]} == {"embed_tokens.weight", "lm_head.weight"}
        assert {decay for _, decay, _ in groups} == {of.weight_decay}
    adapted = [module for module in engine.model.modules() if hasattr(module, "lora_A")]
    assert [module.scaling["default"] for module in adapted] == pytest.approx([of.scale] * len(adapted))
    assert {len(module.lora_A["default"].weight) for module in adapted} == {of.rank}
    assert {end.weight.dtype for end in ends_of(engine.base)} == {torch.float32}


def test_each_row_is_seen_as_often_as_the_recipe_says_and_in_its_batches(
    trained: tuple[str, LanguageModel, list[Row], Watched],
) -> None:
    name, _, rows, seen = trained
    of = described(recipe_of(name), len(rows))
    times = Counter(ids for each in seen.passes for ids in each)
    assert times == Counter(of.epochs * [tuple(each.ids.tolist()) for each in rows])
    assert max(map(len, seen.passes)) == of.rows_a_step
    assert len(seen.groups) == len(of.rates), "not one step less: nothing ends the training early"
    epoch = len(seen.passes) // of.epochs
    assert all(
        len({ids for each in seen.passes[at : at + epoch] for ids in each}) == len(rows)
        for at in range(0, len(seen.passes), epoch)
    ), "an epoch after the other"


def test_the_optimizer_is_adamw_with_its_usual_figures_and_gradients_of_norm_one_at_most(
    trained: tuple[str, LanguageModel, list[Row], Watched],
) -> None:
    name, _, _, seen = trained
    assert (seen.betas, seen.eps) == ({(0.9, 0.999)}, {1e-8})
    assert max(seen.norms) < 1.0001, "of adapter and ends together"
    assert name == "ttt-l4x4" or max(seen.norms) > 0.9999, "and cut there"


# -- figures that were printed elsewhere -------------------------------------------------------------------------------


def test_the_rates_of_poe_are_those_that_were_printed() -> None:
    made = described("poe", 64)
    adapt = preset("poe-l4x4").adapt
    ours = [adapt.rate * schedule(k, 64, warmup_steps(64, 64, adapt)) for k in range(64)]
    assert {k: float(f"{ours[k]:.3e}") for k in POE_RATES} == POE_RATES
    assert ours == pytest.approx(made.rates, rel=1e-12)
    assert sum(ours) == pytest.approx(3.200e-3, rel=1e-9)
    assert adapt.ends_rate * sum(ours) / adapt.rate == pytest.approx(3.2e-4, rel=1e-9)


def test_the_rates_of_nvarc_add_up_to_what_was_printed() -> None:
    adapt = preset("nvarc-l4x4").adapt
    warm = warmup_steps(128, 128, adapt)
    ours = [adapt.rate * schedule(k, 128, warm) for k in range(128)]
    assert warm == 13
    assert sum(ours) == pytest.approx(3.200e-3, rel=1e-9)
    assert max(ours) == ours[13] == 5e-5


@cases(("steps", "share"), [(64, 0.5), (128, 0.1), (48, 0.1), (70, 0.1), (7, 0.3), (5, 0.0), (1, 0.5), (250, 0.25)])
def test_the_schedule_is_that_of_transformers(steps: int, share: float) -> None:
    warm = math.ceil(share * steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    theirs = get_cosine_schedule_with_warmup(optimizer, warm, steps)
    expected = []
    for _ in range(steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    adapt = Adapt(rate=1e-4, warmup=share)
    assert warmup_steps(steps, steps, adapt) == warm
    assert [1e-4 * schedule(k, steps, warm) for k in range(steps)] == pytest.approx(expected, rel=1e-12, abs=1e-18)


@cases("rows", [1, 2, 9, 10, 11, 99, 100, 101, 191, 192, 249, 250, 4320])
def test_the_warm_up_of_the_ttt_paper_is_a_tenth_of_its_whole_batches(rows: int) -> None:
    adapt = preset("ttt-l4x4").adapt
    assert warmup_steps(rows, 2 * math.ceil(rows / 2), adapt) == rows * 2 // 2 // 10


def test_the_trained_weights_are_as_many_as_the_released_logs_and_tables_say() -> None:
    """PoE's log with rank 64 and a vocabulary of 81 ids; the TTT paper's adapter of rank 128 on a Llama-3 8B."""
    poe, whole = preset("poe-l4x4").adapt, replace(SHAPE_8B, vocabulary=81)
    assert whole.lora_weights(replace(poe, rank=64)) == 188_088_320
    assert whole.lora_weights(replace(poe, rank=64)) + whole.whole_weights(poe) == 188_751_872
    assert SHAPES["ttt"].lora_weights(preset("ttt-l4x4").adapt) == 281_018_368
    assert SHAPES["ttt"].whole_weights(preset("ttt-l4x4").adapt) == 0
    assert SHAPES["nvarc"].lora_weights(preset("nvarc-l4x4").adapt) == pytest.approx(0.53e9, rel=0.01)
    assert FLOAT32 == 4


@cases(
    ("name", "views", "threshold", "rule"),
    [
        ("poe-l4x4", 16, 0.09, "poe"), ("poe-t4x2", 16, 0.09, "poe"), ("nvarc-l4x4", 16, 0.2, "kgmon"),
        ("nvarc-t4x2", 16, 0.2, "kgmon"), ("ttt-l4x4", 64, 1.0, "hierarchical"),
    ],
)  # fmt: skip
def test_views_thresholds_and_votes_are_those_of_the_recipe(name: str, views: int, threshold: float, rule: str) -> None:
    settings = preset(name)
    assert (settings.search.views, settings.search.threshold, settings.vote.rule) == (views, threshold, rule)
    assert settings.adapt.converged == 0, "no recipe stops early"
    assert settings.model.context == 8192


@cases(
    ("name", "scoring", "first", "dropped", "views"),
    [
        ("poe-l4x4", 16, "random", "last", "symmetries"), ("nvarc-l4x4", 8, "identity", "first", "symmetries"),
        ("ttt-l4x4", 0, "identity", "first", "leave_one_out"),
    ],
)  # fmt: skip
def test_candidates_are_scored_under_the_views_of_the_recipe(
    name: str, scoring: int, first: str, dropped: str, views: str
) -> None:
    search = preset(name).search
    assert (search.scoring_views, search.first_view, search.view_recipe) == (scoring, first, views)
    assert preset(name).model.dropped == dropped
    assert search.early_stop_probability == 1, "no recipe ends a search early"


def test_a_t4_trains_as_an_l4_does_but_for_the_rank_of_nvarc() -> None:
    assert preset("poe-t4x2").adapt == preset("poe-l4x4").adapt
    small, large = preset("nvarc-t4x2"), preset("nvarc-l4x4")
    assert small.adapt.alpha / math.sqrt(small.adapt.rank) == large.adapt.alpha / math.sqrt(large.adapt.rank) == 2.0
    assert replace(small.adapt, rank=256, alpha=32.0) == large.adapt
    assert small.training_rows == large.training_rows


# -- one training, step by step -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poe-l4x4", "ttt-l4x4"])
def test_a_training_is_adamw_step_by_step(name: str, tmp_path: Path, one_pair: Task) -> None:
    """AdamW by its formulas, on gradients of plain autograd, in float64."""
    settings = on_a_cpu(name)
    adapt = replace(settings.adapt, rank=4)
    model = replace(settings.model, four_bit=False)
    folder = miniature(tmp_path, "llama-3.1")
    ours, theirs = (loaded(folder, model, adapt, settings.search) for _ in range(2))
    of_rows = replace(settings.training_rows, copies=1, max_rows=8)
    rows = training_rows(one_pair, CHAT16, of_rows, 8192, generator(0, "one", "lessons"))
    first = [p.detach().clone() for p in ours._adapter]
    finetune(ours.model, CHAT16, rows, adapt, NEVER, generator(0, "finetune"))

    steps, order = len(rows) * adapt.epochs // adapt.batch, generator(0, "finetune")
    warm = math.ceil(0.5 * steps) if name == "poe-l4x4" else steps // 10
    trained = {n: p for n, p in theirs.model.named_parameters() if p.requires_grad}
    moments = {n: [torch.zeros_like(p, dtype=torch.float64) for _ in range(2)] for n, p in trained.items()}
    step = 0
    for _ in range(adapt.epochs):
        for batch in batches(rows, adapt.batch, order):
            loss, learned = torch.zeros(()), sum(int(each.learn.sum()) for each in batch)
            for each in batch:
                logits = theirs.model(input_ids=torch.from_numpy(each.ids)[None]).logits[0].log_softmax(-1)
                for at in np.flatnonzero(each.learn):
                    loss = loss - logits[at - 1, each.ids[at]] / learned
            gradients = dict(zip(trained, torch.autograd.grad(loss, list(trained.values())), strict=True))
            norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))
            for n, p in trained.items():
                g = gradients[n].double() * min(1.0, 1.0 / (norm + 1e-6))
                m, v = moments[n]
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                end = "embed_tokens" in n or "lm_head" in n
                rate = described_rates(1e-5 if end else 1e-4, steps, warm)[step]
                update = m / (1 - 0.9 ** (step + 1)) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
                decay = 0.01 if name == "ttt-l4x4" else 0.0
                with torch.no_grad():
                    p.copy_(p.double() * (1 - rate * decay) - rate * update)
            step += 1
    changes = [
        (float((a.detach() - start).norm()), float((a.detach() - b.detach()).norm()))
        for a, b, start in zip(ours._adapter, theirs._adapter, first, strict=True)
    ]
    assert all(change > 0 for change, _ in changes)
    assert sum(apart for _, apart in changes) < 1e-3 * sum(change for change, _ in changes)


def test_the_rates_follow_the_clock_only_where_it_is_ahead_of_the_steps(tmp_path: Path, one_pair: Task) -> None:
    settings = on_a_cpu("poe-l4x4")
    adapt = replace(settings.adapt, rank=2)
    rows = training_rows(one_pair, CHAT16, settings.training_rows, 8192, generator(0, "one", "lessons"))
    folder = miniature(tmp_path, "minitron")
    expected = described_rates(1e-4, 64, 32)

    def rates(seconds_a_look: float) -> list[float]:
        now = iter(range(1_000_000))
        until = Deadline(1000.0, lambda: next(now) * seconds_a_look)
        seen = watched(loaded(folder, settings.model, adapt, settings.search), rows, adapt, until)
        return [groups[0][0] for groups in seen.groups]

    assert rates(1.0) == pytest.approx(expected, rel=1e-9, abs=1e-15), "two looks a step: it keeps up"
    hurried = rates(20.0)
    assert 20 <= len(hurried) < 30
    assert hurried[-1] < 0.05e-4 and max(hurried) > 0.9e-4, "warm-up and decay all the same"
    assert set(hurried) <= set(expected)


# -- rows ---------------------------------------------------------------------------------------------------------


@cases(("recipe", "copies", "learns_first"), [("poe", 8, False), ("nvarc", 16, True)])
def test_in_the_architects_text_the_loss_is_on_outputs_with_their_ends(
    recipe: Any, copies: int, learns_first: bool
) -> None:
    """The row as text, read letter by letter: after each O what follows counts until the end of text, that included."""
    rng = np.random.default_rng(3)
    pairs = tuple(Pair(grid(rng.integers(0, 10, (2, k))), grid(rng.integers(0, 10, (k, 3)))) for k in (1, 2, 4))
    task = Task("text", pairs, (pairs[0].input,))
    rows = training_rows(task, ARCHITECTS, TrainingRows(recipe, copies), 8192, generator(0, "text", "lessons"))
    assert len(rows) == 8 * copies
    before_answer, end = ARCHITECTS.query_to_answer[-1], ARCHITECTS.answer_close[-1]
    for each in rows:
        expected, counts, outputs = [], False, 0
        for token in each.ids.tolist():
            expected.append(counts and (learns_first or outputs > 1))
            if token == before_answer:
                counts, outputs = True, outputs + 1
            elif token == end:
                counts = False
        assert outputs == 3
        assert each.learn.tolist() == expected


def test_a_task_whose_leave_one_out_rows_are_too_long_has_all_its_leave_two_out_rows() -> None:
    """Independently: 16 variants keep the size (the task, 3 turns, 2 flips, transpose, shift, each recoloured)."""
    rng = np.random.default_rng(1)
    pairs = tuple(Pair(grid(rng.integers(0, 10, (5, 5))), grid(rng.integers(0, 10, (5, 5)))) for _ in range(6))
    task = Task("long", pairs, (pairs[0].input,))
    of_four = 6 + 2 * 4 + 5 * (2 * 29 + 8)  # Tokens of five pairs in chat16, and a few more.
    rows = training_rows(task, CHAT16, preset("ttt-l4x4").training_rows, of_four, generator(0, "long", "lessons"))
    assert len(rows) == 16 * 6 * 5 > 250
    assert {(each.ids == 15).sum() for each in rows} == {2 * 5}


@cases("colours", [(1,), (7,), (1, 2), (3, 5, 9), tuple(range(1, 10))])
def test_a_recoloured_row_of_the_ttt_paper_is_another_row(colours: tuple[int, ...]) -> None:
    """Where colours are free, each colour in use becomes a free one; the background stays."""
    from submission.arc.training_rows import other_colours

    cells = grid([[0, *colours]])
    free = set(range(1, 10)) - set(colours)
    for seed in range(200):
        new = other_colours((Pair(cells, cells),), np.random.default_rng(seed))
        assert new[0] == 0 and sorted(new) == list(range(10))
        assert not np.array_equal(View(0, new, ()).see(cells), cells)
        assert sum(new[colour] in free for colour in colours) == min(len(free), len(colours))
    assert tuple(range(10)) == COLOURS
