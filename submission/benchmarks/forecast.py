"""A forecast of the hours that a run takes, and of the tasks that it reaches, before a GPU is paid for.

    python -m submission bench plan --preset poe-l4x4 --challenges FILE --hours 11.5
    python -m submission bench plan --preset poe-l4x4 --challenges FILE --card t4,l4,h100,h200
    python -m submission bench plan --data arc1-train          # the embedded model, measured on this machine

Tokens are counted task by task: of the training rows, of the prompts of all views, and of an answer of the expected
size. The rates are stated for large models on GPUs, and measured for a small model on the CPU. The forecast is for
one pass over each task, and no training ends early: as an upper bound it is as good as the rates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, expected_shape, prompt, task_length
from submission.arc.tasks import Task, Tasks, grid
from submission.arc.training_rows import training_rows
from submission.benchmarks.rates import LAYOUTS_OF, SHAPES, Rates, measured, stated
from submission.config import EMBEDDED, Settings
from submission.errors import BadInput
from submission.model import memory_plan
from submission.model.memory_plan import CARDS, DEVICE_OF, LARGE, Shape
from submission.presets import card_of, gpus_of, recipe_of
from submission.rng import generator
from submission.runner.spec import PlannedTraining


@dataclass(frozen=True)
class Machine:
    """The workers of a run; all are equal."""

    rates: Rates
    budget_bytes: float
    """Memory of one worker's device."""
    width: int
    """Bytes of a number in the data type that is computed in."""
    workers: int
    device: memory_plan.Device = "cpu"


@dataclass(frozen=True)
class ModelSpec:
    """The properties of a model that a forecast needs."""

    layout: Layout
    shape: Shape


PASSES_A_TOKEN, PASSES_A_TEST = 1.2, 8.0
"""Forward passes of a search: for each token of an answer, and for each test input whatever its size. Fitted to the
embedded model on 5 held-out training tasks (12 to 53 passes for 2 to 33 tokens, 16 views); an 8B is more certain of its
answers, and may need fewer."""

PASSES_A_STEP = 2.0
"""The least that a training step takes, in forward passes over a few tokens: forward and backward, each of which reads
(and dequantizes) all weights."""


@dataclass(frozen=True)
class Demand:
    """The tokens of one task."""

    task: str
    rows: int
    """Training rows."""
    row_tokens: int
    """Tokens of all training rows, of all epochs."""
    longest_row: int
    """Tokens of the longest training row."""
    prompt_tokens: int
    """Tokens of the prompts of all views of all test inputs, those that only give scores included."""
    answer_tokens: int
    """Tokens of one answer of the expected size to each test input."""
    tests: int


@dataclass(frozen=True)
class Cost:
    """The seconds of one task."""

    task: str
    training: float
    prefill: float
    search: float
    level: memory_plan.Level
    """What training keeps of each block."""
    seconds: float
    """The sum of these, at most the limit that the settings give a task."""
    reached: bool = False
    """Whether the task is finished within the hours of the run."""


@dataclass(frozen=True)
class Forecast:
    """The forecast of a run."""

    tasks: tuple[Cost, ...]
    """In the order of solving: the cheapest first."""
    workers: int
    hours: float
    """Until the last worker has finished all tasks."""
    reached: int
    """Tasks finished within the hours of the run; all tasks if it has no limit."""
    rates: Rates


def planned_run(tasks: Tasks, model: Path, settings: Settings, preset: str, workers: int, hours: float) -> Forecast:
    """Return the forecast of a run with this model folder; `workers` 0: as many as the run would start.

    A preset for GPUs means the stated rates, whatever GPU is here, and the model of its recipe unless another is
    named. Otherwise the model is measured on the CPU; BadInput if it is too large for that.
    """
    card = card_of(preset)
    if card is not None:
        return planned_on_cards(tasks, model, settings, preset, workers, hours, [card])[card]
    spec, machine = _on_cpu(tasks, model, settings, workers)
    return forecast_tasks(tasks, spec, settings, machine, hours)


def planned_on_cards(
    tasks: Tasks, model: Path, settings: Settings, preset: str, workers: int, hours: float, cards: Sequence[str]
) -> dict[str, Forecast]:  # fmt: skip
    """Return the forecasts of a run on these kinds of GPUs; BadInput where the preset is not one for GPUs."""
    if not recipe_of(preset):
        raise BadInput("--card asks for rates of a GPU: name the recipe by a preset for GPUs as well, as poe-l4x4")
    spec = _gpu_model(model, settings, preset)
    demands = [demand(task, spec.layout, settings) for task in tasks.values()]
    return {
        card: forecast_demands(demands, spec.shape, settings, _gpus(card, spec, settings, workers, preset), hours)
        for card in cards
    }


def _on_cpu(tasks: Tasks, model: Path, settings: Settings, workers: int) -> tuple[ModelSpec, Machine]:
    """Measure a small model on rows of the median length of these tasks."""
    shape = memory_plan.shape_of(model)
    if shape.block_weights > LARGE:
        raise BadInput(f"{model}: {shape.block_weights / 1e9:.1f} billion weights need GPUs: name a preset for GPUs")
    from submission.checkpoint.layout import layout_of
    from submission.model.loading import compute_dtype, device_bytes, resolve_device

    name = resolve_device(settings.model.device)
    layout, width = layout_of(model, settings.model.layout), compute_dtype(settings.model.dtype, name).itemsize
    lengths = [task_length(layout, each.demonstrations, each.tests[0]) for each in tasks.values()]
    rates = measured(model, settings, max(64, int(np.median(lengths))))
    machine = Machine(rates, device_bytes(settings.model, name), width, workers or os.cpu_count() or 1)
    return ModelSpec(layout, shape), machine


def _gpu_model(model: Path, settings: Settings, preset: str) -> ModelSpec:
    """The model of a recipe, or another one that is named."""
    if model == EMBEDDED:
        return ModelSpec(LAYOUTS_OF[recipe_of(preset)], SHAPES[recipe_of(preset)])
    from submission.checkpoint.layout import layout_of

    return ModelSpec(layout_of(model, settings.model.layout), memory_plan.shape_of(model))


def _gpus(card: str, spec: ModelSpec, settings: Settings, workers: int, preset: str) -> Machine:
    """GPUs of a kind with the stated rates, by default as many as the preset's machine has."""
    rates, number = stated(card, spec.shape, settings), workers or gpus_of(preset)
    return Machine(rates, CARDS[card], memory_plan.SIXTEEN_BITS, number, DEVICE_OF[card])


def forecast_tasks(
    tasks: Tasks, model: ModelSpec, settings: Settings, machine: Machine, hours: float, seed: int = 0
) -> Forecast:
    """Return the forecast of a run over these tasks, the cheapest first."""
    demands = [demand(task, model.layout, settings, seed) for task in tasks.values()]
    return forecast_demands(demands, model.shape, settings, machine, hours)


def forecast_demands(
    demands: Sequence[Demand], shape: Shape, settings: Settings, machine: Machine, hours: float
) -> Forecast:  # fmt: skip
    """Return the forecast of a run over tasks of which the tokens are counted."""
    costs = sorted((cost(each, shape, settings, machine) for each in demands), key=lambda each: each.seconds)
    ends = finish_times([each.seconds for each in costs], machine.workers, machine.rates.loading)
    judged = tuple(replace(each, reached=end <= hours * 3600) for each, end in zip(costs, ends, strict=True))
    whole = max(ends, default=0.0) / 3600
    return Forecast(judged, machine.workers, whole, sum(each.reached for each in judged), machine.rates)


def planned_training(model: Path, settings: Settings, preset: str, seed: int) -> PlannedTraining | None:
    """Return what gives the seconds that a run plans for the training of a task, by the stated rates of the preset.

    None for a preset without a GPU, and for a model so small that these rates say nothing of it.
    """
    card = card_of(preset)
    if card is None or not memory_plan.is_large(model):
        return None
    spec = _gpu_model(model, settings, preset)
    machine = _gpus(card, spec, settings, gpus_of(preset), preset)

    def seconds(task: Task, settings: Settings) -> float:
        return training_seconds(demand(task, spec.layout, settings, seed), spec.shape, settings, machine)

    return seconds


def training_seconds(tokens: Demand, shape: Shape, settings: Settings, machine: Machine) -> float:
    """Return the seconds of a whole training: by its tokens, or by its steps where the rows are short.

    A step passes all weights forward and backward, however few its tokens are.
    """
    rates, level = machine.rates, training_level(tokens, shape, settings, machine)
    trained = settings.adapt.epochs * tokens.rows
    steps = settings.adapt.epochs * math.ceil(tokens.rows / settings.adapt.batch)
    seconds = rates.training_seconds(tokens.row_tokens, steps, tokens.row_tokens / max(1, trained), level)
    return max(seconds, PASSES_A_STEP * steps * rates.pass_seconds)


def training_level(tokens: Demand, shape: Shape, settings: Settings, machine: Machine) -> memory_plan.Level:
    """Return what training keeps of each block, as memory allows for the longest row."""
    longest = max(1, tokens.longest_row)
    return memory_plan.choose_plan(shape, settings, machine.width, longest, machine.budget_bytes, machine.device).level


def demand(task: Task, layout: Layout, settings: Settings, seed: int = 0) -> Demand:
    """Count the tokens of a task: training rows as a run makes them, prompts as in the first view."""
    context = settings.model.context
    rows: Sequence[Row] = []
    if settings.adapt.rank:
        rng = generator(seed, task.id, "lessons")
        rows = training_rows(task, layout, settings.training_rows, context, rng, settings.model.dropped)
    lengths = [len(each.ids) for each in rows]
    limit = context - layout.longest_answer
    dropped = settings.model.dropped
    prompts = [len(prompt(layout, task.demonstrations, query, limit, dropped).ids) for query in task.tests]
    answers = [len(layout.answer(grid(np.zeros(expected_shape(task, query))))) for query in task.tests]
    return Demand(
        task.id, len(rows), settings.adapt.epochs * sum(lengths), max(lengths, default=0),
        views_of(settings) * sum(prompts), sum(answers), len(task.tests),
    )  # fmt: skip


def views_of(settings: Settings) -> int:
    """Return the number of prompts of each test input; the TTT paper's views are often fewer."""
    return settings.search.views + settings.search.scoring_views


def cost(tokens: Demand, shape: Shape, settings: Settings, machine: Machine) -> Cost:
    """Return the seconds of a task: training, up to its share of the task's limit; prefill; passes of the search."""
    rates, limit = machine.rates, settings.time.seconds
    level = training_level(tokens, shape, settings, machine)
    training = min(training_seconds(tokens, shape, settings, machine), settings.adapt.share * limit)
    prompts = views_of(settings) * tokens.tests
    prefill = rates.prefill_seconds(tokens.prompt_tokens, tokens.prompt_tokens / prompts)
    passes = PASSES_A_TOKEN * tokens.answer_tokens + PASSES_A_TEST * tokens.tests
    drafts = tokens.answer_tokens * views_of(settings) / rates.prefill
    search = rates.search_seconds(passes) + drafts
    seconds = min(limit, training + prefill + search)
    return Cost(tokens.task, training, prefill, search, level, seconds)


def finish_times(seconds: Sequence[float], workers: int, loading: float) -> list[float]:
    """Return when each task is finished, in seconds: each task goes to the first free worker, in this order."""
    free = [loading] * workers
    ends = []
    for each in seconds:
        first = int(np.argmin(free))
        free[first] += each
        ends.append(free[first])
    return ends
