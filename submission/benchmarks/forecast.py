"""How long a set of tasks will take, and how many of them are reached in time, before a GPU is paid for.

    python -m submission bench plan --preset l4x4 --challenges FILE --hours 11.5
    python -m submission bench plan --data arc1-train          # the embedded model, measured on this machine

The tokens are counted, task by task: of the rows that are trained on, of the prompts of all views, of an answer of the
size that the demonstrations suggest. The rates are stated for an 8B on Kaggle's GPUs, and measured for a small model.
What is predicted is the first look at each task, none of them cut short by convergence: an upper bound by the recipe,
as good as the rates.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.layouts import CHAT16, Layout
from submission.arc.prompts import Prompt, Row, expected_shape, prompt, task_length
from submission.arc.tasks import Task, Tasks, grid
from submission.arc.training_rows import training_rows
from submission.config import EMBEDDED, Settings
from submission.errors import BadInput
from submission.model import memory_plan
from submission.model.memory_plan import CARDS, Shape
from submission.rng import generator


@dataclass(frozen=True)
class Rates:
    """How fast one worker is."""

    training: float
    """Tokens a second of training steps that keep their activations."""
    recomputing: float
    """The same where they are computed again."""
    reading: float
    """Tokens a second of prompts, or of drafts in a large pass."""
    pass_seconds: float
    """Of a pass over a few tokens, whatever their number."""
    loading: float
    """Seconds until a worker has its model."""
    source: str
    """Where this is known from."""


EIGHT = Shape(4096, 11520, 40, 32, 8, 128, vocabulary=78, tied=False, quantized=True, positions=8192)
"""Mistral-NeMo-Minitron-8B with the Architects' vocabulary: what the stated rates are of, and the presets are for."""

REACH = 0.6
"""Share of the modelled rates that is expected: a roofline is a bound, of which programs reach 50 to 70 %."""

_ROOFLINE = "a roofline model of an 8B in NF4, at 60 % of its rates; measured on no GPU"

STATED = {
    # 64 rows of 1427 tokens, the mean of the ARC-AGI-1 evaluation tasks, in 130 and 58 s without recomputing, which
    # adds a third to a half; prompts at 1550 and 3460 tokens a second; a pass that has to dequantize takes 130 ms.
    "t4": Rates(
        REACH * 64 * 1427 / 130, REACH * 64 * 1427 / 130 / 1.4, REACH * 1550, 0.130 / REACH, 60.0, _ROOFLINE
    ),
    "l4": Rates(
        REACH * 64 * 1427 / 58, REACH * 64 * 1427 / 58 / 1.4, REACH * 3460, 0.130 / REACH, 60.0, _ROOFLINE
    ),
}  # fmt: skip

PASSES_A_TOKEN, PASSES_A_TEST = 1.2, 8.0
"""Passes of a search: for each token of an answer, and for each test input whatever its size. Fitted to the embedded
model on 5 held-out training tasks (12 to 53 passes for 2 to 33 tokens, 16 views): an 8B is surer, and may need fewer.
"""

SMALL = 1e8
"""Weights of the blocks up to which rates are measured here, in seconds."""


@dataclass(frozen=True)
class Demand:
    """What a task asks for, in tokens."""

    task: str
    rows: int
    row_tokens: int
    """Of all rows together."""
    longest_row: int
    prompt_tokens: int
    """Of all views of all test inputs."""
    answer_tokens: int
    """Of one answer to each test input, of the size that the demonstrations suggest."""
    tests: int


@dataclass(frozen=True)
class Cost:
    """What a task takes, in seconds."""

    task: str
    training: float
    reading: float
    searching: float
    recomputes: bool
    seconds: float
    """All of it, within the time that the settings give a task."""
    reached: bool = False
    """Whether it is done within the hours, the cheapest first."""


@dataclass(frozen=True)
class Forecast:
    """What a run takes."""

    tasks: tuple[Cost, ...]
    workers: int
    hours: float
    """Until the last worker is done with all tasks."""
    reached: int
    """Tasks within the hours that there are; all, where no end was named."""
    rates: Rates


def planned_run(
    tasks: Tasks, model: Path, settings: Settings, preset: str, workers: int, hours: float
) -> Forecast:  # fmt: skip
    """The forecast for a model folder, or, where a preset is for GPUs and no model is named, for an 8B on these.

    On GPUs the rates are the stated ones, whatever GPU is here; a small model on the CPU is measured.
    """
    card, large = card_of(preset), model != EMBEDDED
    shape = memory_plan.shape_of(model) if large or card is None else EIGHT
    if card is None and shape.block_weights > SMALL:
        raise BadInput(f"{model}: {shape.block_weights / 1e9:.1f} billion weights need GPUs: name a preset for some")
    if card is None:
        from submission.model.loading import compute_dtype, device_bytes, layout_of, resolve_device

        where = resolve_device(settings.model.device)
        layout, width = layout_of(model, settings.model.layout), compute_dtype(settings.model.dtype, where).itemsize
        lengths = [task_length(layout, each.demonstrations, each.tests[0]) for each in tasks.values()]
        rates = measured(model, settings, max(64, int(np.median(lengths))))
        spare, workers = device_bytes(settings.model, where), workers or os.cpu_count() or 1
    else:
        layout, width, rates, spare = CHAT16, memory_plan.SIXTEEN_BITS, stated(card, shape), CARDS[card]
        if large:
            from submission.model.loading import layout_of

            layout = layout_of(model, settings.model.layout)
        workers = workers or gpus_of(preset)
    return forecast_tasks(tasks, layout, shape, settings, rates, spare, width, workers, hours)


def forecast_tasks(
    tasks: Tasks, layout: Layout, shape: Shape, settings: Settings, rates: Rates, room: float, width: int, workers: int,
    hours: float, seed: int = 0,
) -> Forecast:  # fmt: skip
    """Predict a run over these tasks, the cheapest first, on so many workers with so much memory each."""
    demands = [demand(task, layout, settings, seed) for task in tasks.values()]
    costs = sorted((cost(each, shape, settings, rates, room, width) for each in demands), key=lambda each: each.seconds)
    ends = finished([each.seconds for each in costs], workers, rates.loading)
    told = tuple(replace(each, reached=end <= hours * 3600) for each, end in zip(costs, ends, strict=True))
    whole = max(ends, default=0.0) / 3600
    return Forecast(told, workers, whole, sum(each.reached for each in told), rates)


def demand(task: Task, layout: Layout, settings: Settings, seed: int = 0) -> Demand:
    """Count a task's tokens: its rows as they are really made, its prompts as the first view shows them."""
    context = settings.model.context
    rows: Sequence[Row] = []
    if settings.adapt.rank:
        rows = training_rows(task, layout, settings.training_rows, context, generator(seed, task.id, "lessons"))
    lengths = [len(each.ids) for each in rows]
    limit = context - layout.longest_answer
    prompts = [len(prompt(layout, task.demonstrations, query, limit).ids) for query in task.tests]
    answers = [len(layout.answer(grid(np.zeros(expected_shape(task, query))))) for query in task.tests]
    return Demand(
        task.id, len(rows), sum(lengths), max(lengths, default=0), settings.search.views * sum(prompts), sum(answers),
        len(task.tests),
    )  # fmt: skip


def cost(what: Demand, shape: Shape, settings: Settings, rates: Rates, room: float, width: int) -> Cost:
    """Seconds for a demand: training up to its share of a task's time, then prompts, then passes over answers."""
    made = memory_plan.choose_plan(shape, settings, width, max(1, what.longest_row), room)
    rate = rates.recomputing if made.checkpointing else rates.training
    most = settings.time.seconds
    training = min(what.row_tokens / rate, settings.adapt.share * most)
    reading = what.prompt_tokens / rates.reading
    passes = PASSES_A_TOKEN * what.answer_tokens + PASSES_A_TEST * what.tests
    drafts = what.answer_tokens * settings.search.views / rates.reading
    searching = passes * rates.pass_seconds + drafts
    seconds = min(most, training + reading + searching)
    return Cost(what.task, training, reading, searching, made.checkpointing, seconds)


def finished(seconds: Sequence[float], workers: int, loading: float) -> list[float]:
    """When each task is done: in this order, each by the first worker that is free."""
    free = [loading] * workers
    ends = []
    for each in seconds:
        first = int(np.argmin(free))
        free[first] += each
        ends.append(free[first])
    return ends


# -- rates ------------------------------------------------------------------------------------------------------


def stated(card: str, shape: Shape) -> Rates:
    """The stated rates of one of Kaggle's GPUs, scaled by the weights from an 8B to this shape."""
    of, part = STATED[card], shape.block_weights / EIGHT.block_weights
    return Rates(
        of.training / part, of.recomputing / part, of.reading / part, of.pass_seconds * part, of.loading, of.source
    )


def measured(model: Path, settings: Settings, length: int, seed: int = 0) -> Rates:
    """The rates of a small model here: a few steps on random rows of this length, prompts, and single tokens."""
    from submission.arc.views import identity
    from submission.deadline import NEVER
    from submission.inference.language_model import LanguageModel
    from submission.inference.test_time_training import finetune
    from submission.model.lora import set_checkpointing
    from submission.solver.engine import Question

    began = time.monotonic()
    engine = LanguageModel(model, settings, seed)
    loading, layout = time.monotonic() - began, engine.layout
    rng = generator(seed, "plan")
    rows = [random_row(layout, length, rng) for _ in range(3 * settings.adapt.batch)]
    speed = {}
    for again in (False, True):
        set_checkpointing(engine.base, again)
        fit = finetune(engine.model, layout, rows, settings.adapt, NEVER, rng) if settings.adapt.rank else None
        speed[again] = sum(len(each.ids) for each in rows) / fit.seconds if fit else float("inf")
    set_checkpointing(engine.base, False)
    engine.forget()
    questions = [Question(identity(1), Prompt(each.ids, 0)) for each in rows[:4]]
    with engine.inference(questions) as inference:
        began = time.monotonic()
        inference.forest.evaluate({k: [()] for k in range(len(questions))}, NEVER)
        reading = sum(len(each.prompt.ids) for each in questions) / (time.monotonic() - began)
        began, tokens = time.monotonic(), 20
        for n in range(1, tokens + 1):
            inference.forest.evaluate({0: [(layout.cells[0],) * n]}, NEVER)
        each_pass = (time.monotonic() - began) / tokens
    return Rates(speed[False], speed[True], reading, each_pass, loading, f"measured here on rows of {length} tokens")


def random_row(layout: Layout, length: int, rng: np.random.Generator) -> Row:
    """Random cells, half of them to be learned."""
    ids = rng.choice(np.array(layout.cells, np.int64), length)
    ids[0] = (layout.opening or layout.input_open)[0]
    return Row(ids, np.arange(length) >= length // 2)


# -- as text ----------------------------------------------------------------------------------------------------


def table(made: Forecast, hours: float) -> list[str]:
    """The forecast as lines of text."""
    lines = [f"{'seconds a task':16}" + "".join(f"{head:>9}" for head in ("mean", "p10", "p50", "p90", "max"))]
    for name in ("training", "reading", "searching", "seconds"):
        values = [asdict(each)[name] for each in made.tasks]
        lines.append(f"{name:16}" + "".join(f"{value:9.1f}" for value in spread(values)))
    again = sum(each.recomputes for each in made.tasks)
    lines.append(f"{again} of {len(made.tasks)} tasks recompute activations; {made.workers} workers")
    lines.append(f"{made.hours:.2f} hours for all {len(made.tasks)} tasks")
    if hours < float("inf"):
        lines.append(f"{made.reached} of {len(made.tasks)} tasks in {hours:g} hours, the cheapest first")
    lines.append(f"rates: {made.rates.source}")
    return lines


def spread(values: Iterable[float]) -> list[float]:
    """Mean, 10th, 50th and 90th percentile, and maximum."""
    array = np.array([*values] or [0.0])
    return [float(array.mean()), *(float(np.percentile(array, p)) for p in (10, 50, 90)), float(array.max())]


def as_json(made: Forecast) -> dict[str, Any]:
    """The forecast as JSON writes it."""
    whole: Mapping[str, Any] = asdict(made)
    return {**whole, "tasks": [*whole["tasks"]]}


def card_of(preset: str) -> str | None:
    """The GPU that a preset is for, "t4" for t4x2; None for a laptop."""
    name = preset.partition("x")[0]
    return name if name in CARDS else None


def gpus_of(preset: str) -> int:
    """How many of them it has."""
    return int(preset.partition("x")[2]) if card_of(preset) else 1
