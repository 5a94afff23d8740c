"""A forecast of the hours that a run takes, and of the tasks that it reaches, before a GPU is paid for.

    python -m submission bench plan --preset poe-l4x4 --challenges FILE --hours 11.5
    python -m submission bench plan --data arc1-train          # the embedded model, measured on this machine

Tokens are counted task by task: of the training rows, of the prompts of all views, and of an answer of the expected
size. The rates are stated for an 8B on Kaggle's GPUs, and measured for a small model on the CPU. The forecast is for
one pass over each task, and no training ends early: as an upper bound it is as good as the rates.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
    if card is None:
        spec, machine = _on_cpu(tasks, model, settings, workers)
    else:
        spec, machine = _on_gpus(model, settings, preset, card, workers or gpus_of(preset))
    return forecast_tasks(tasks, spec, settings, machine, hours)


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


def _on_gpus(model: Path, settings: Settings, preset: str, card: str, workers: int) -> tuple[ModelSpec, Machine]:
    """Take the stated rates of a GPU, for an 8B or, scaled, for another model."""
    spec = ModelSpec(LAYOUTS_OF[recipe_of(preset)], SHAPES[recipe_of(preset)])
    if model != EMBEDDED:
        from submission.checkpoint.layout import layout_of

        spec = ModelSpec(layout_of(model, settings.model.layout), memory_plan.shape_of(model))
    return spec, Machine(stated(card, spec.shape), CARDS[card], memory_plan.SIXTEEN_BITS, workers, DEVICE_OF[card])


def forecast_tasks(
    tasks: Tasks, model: ModelSpec, settings: Settings, machine: Machine, hours: float, seed: int = 0
) -> Forecast:
    """Return the forecast of a run over these tasks, the cheapest first."""
    demands = [demand(task, model.layout, settings, seed) for task in tasks.values()]
    costs = sorted((cost(each, model.shape, settings, machine) for each in demands), key=lambda each: each.seconds)
    ends = finish_times([each.seconds for each in costs], machine.workers, machine.rates.loading)
    judged = tuple(replace(each, reached=end <= hours * 3600) for each, end in zip(costs, ends, strict=True))
    whole = max(ends, default=0.0) / 3600
    return Forecast(judged, machine.workers, whole, sum(each.reached for each in judged), machine.rates)


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
    longest = max(1, tokens.longest_row)
    plan = memory_plan.choose_plan(shape, settings, machine.width, longest, machine.budget_bytes, machine.device)
    training = min(tokens.row_tokens / rates.training_at(plan.level), settings.adapt.share * limit)
    prefill = tokens.prompt_tokens / rates.prefill
    passes = PASSES_A_TOKEN * tokens.answer_tokens + PASSES_A_TEST * tokens.tests
    drafts = tokens.answer_tokens * views_of(settings) / rates.prefill
    search = passes * rates.pass_seconds + drafts
    seconds = min(limit, training + prefill + search)
    return Cost(tokens.task, training, prefill, search, plan.level, seconds)


def finish_times(seconds: Sequence[float], workers: int, loading: float) -> list[float]:
    """Return when each task is finished, in seconds: each task goes to the first free worker, in this order."""
    free = [loading] * workers
    ends = []
    for each in seconds:
        first = int(np.argmin(free))
        free[first] += each
        ends.append(free[first])
    return ends


# -- as text and JSON -------------------------------------------------------------------------------------------


def table(forecast: Forecast, hours: float) -> list[str]:
    """Return the forecast as lines of text."""
    lines = [f"{'seconds a task':16}" + "".join(f"{head:>9}" for head in ("mean", "p10", "p50", "p90", "max"))]
    for name in ("training", "prefill", "search", "seconds"):
        values = [asdict(each)[name] for each in forecast.tasks]
        lines.append(f"{name:16}" + "".join(f"{value:9.1f}" for value in spread(values)))
    levels = Counter(each.level for each in forecast.tasks)
    count = len(forecast.tasks)
    lines.append(
        f"checkpointing of {count} tasks: {levels['keep']} none, {levels['selective']} selective, "
        f"{levels['recompute']} all; {forecast.workers} workers"
    )
    lines.append(f"{forecast.hours:.2f} hours for all {count} tasks")
    if hours < float("inf"):
        lines.append(f"{forecast.reached} of {count} tasks in {hours:g} hours, the cheapest first")
    lines.append(f"rates: {forecast.rates.source}")
    return lines


def spread(values: Iterable[float]) -> list[float]:
    """Return mean, 10th, 50th and 90th percentile, and maximum; zeros for no values."""
    array = np.array([*values] or [0.0])
    return [float(array.mean()), *(float(np.percentile(array, p)) for p in (10, 50, 90)), float(array.max())]


def as_json(forecast: Forecast) -> dict[str, Any]:
    """Return the forecast as JSON writes it."""
    return asdict(forecast)
