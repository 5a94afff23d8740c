"""What test-time training, its rows and its vote are worth: the TTT paper's ablations, on any model.

    python -m submission bench ablation --seeds 3 --records ablation.jsonl --chart ablation.svg

After Akyürek et al. (arXiv 2411.07279), section 4 and appendix E: no training, one adapter for each task, one adapter
for all tasks; leave-one-out rows against rows with every demonstration; with and without augmentation; and the votes.
"Joint" is not in the paper: the whole small model, not an adapter, is trained on the demonstrations of all tasks
together, and each task may go on from there. Measured on held-out training tasks (`held_out`); test outputs are used to
score alone, and no pair that a task asks for is among what all tasks are trained on together.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from submission.arc.layouts import Layout
from submission.arc.prompts import Row
from submission.arc.tasks import grid_key
from submission.arc.training_rows import training_rows
from submission.benchmarks import figure_records
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.held_out import HeldOutTask, held_out_set
from submission.benchmarks.network_figures import figures_of
from submission.benchmarks.processes import in_processes
from submission.checkpoint.checkpoint import read_checkpoint
from submission.checkpoint.layout import layout_of
from submission.config import Settings, with_changes
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.inference.test_time_training import finetune
from submission.model.loading import load_base, resolve_device
from submission.results.journal import fingerprint, model_sha256
from submission.rng import generator

Start = Literal["base", "shared", "joint"]
"""What a task begins with: the base model; one adapter trained on all tasks; the whole model trained on all tasks."""

NO_LIMIT = Deadline(math.inf, time.process_time)
"""No task is cut short; seconds are those of the processor."""

JOINT_RATE = 5e-4
"""Peak learning rate of the joint training of all weights."""


@dataclass(frozen=True)
class Condition:
    """One way to train."""

    label: str
    start: Start = "base"
    per_task: bool = True
    """Whether an adapter is trained on each task."""
    changes: tuple[str, ...] = ()
    """Of the settings."""


CONDITIONS = {
    "none": Condition("no training", per_task=False),
    "shared": Condition("one adapter for all tasks", "shared", per_task=False),
    "joint": Condition("all weights on all tasks (joint)", "joint", per_task=False),
    "per task": Condition("an adapter for each task"),
    "joint, per task": Condition("joint, then an adapter for each task", "joint"),
    "leave one out": Condition("for each task, leave-one-out rows", changes=("training_rows.recipe=marc",)),
    "no augmentation": Condition("for each task, rows as they are", changes=("training_rows.augment=False",)),
}
"""All conditions; those of one start are measured with one loaded model."""

BASELINE = "per task"
"""The condition that the others are compared with."""


@dataclass(frozen=True)
class Job:
    """The conditions of one start and one seed, for one process."""

    model: Path
    settings: Settings
    start: Start
    seed: int
    number: int
    """Tasks."""
    records: Path
    made_by: str


def ablation(
    model: Path, settings: Settings, number: int, seeds: Sequence[int], workers: int, records: Path,
    on_job: Callable[[str], None],
) -> list[FigureRecord]:  # fmt: skip
    """Measure every condition on `number` held-out tasks with each seed; returns the records of this comparison.

    What the file `records` has already is not measured again. Leave-one-out rows are as many as the others at most.
    BadInput for a model whose weights are quantized: they cannot be trained all.
    """
    if read_checkpoint(model).quantized:
        raise BadInput(f"{model}: is quantized; the ablation trains all weights, so name the model in 16 or 32 bits")
    how = settings.training_rows
    recipe = "poe" if how.recipe == "marc" else how.recipe  # Every demonstration in each row; the other is a condition.
    how = replace(how, recipe=recipe, max_rows=min(how.max_rows, 8 * how.copies))
    settings = replace(settings, training_rows=how)
    made_by = fingerprint(asdict(settings), model_sha256(model), 0, f"ablation, {number} tasks")
    jobs = [
        Job(model, settings, start, seed, number, records, made_by)
        for seed in seeds
        for start in ("base", "shared", "joint")
    ]
    on_job(f"{number} tasks, {len(CONDITIONS)} conditions, seeds {', '.join(map(str, seeds))}: into {records}")
    for job, measured in in_processes(run_job, jobs, workers):
        on_job(f"seed {job.seed}, {job.start}: {measured} measured")
    return figure_records.of(records, made_by, CONDITIONS, seeds, {each.name for each in held_out_set(number)})


def run_job(job: Job) -> int:
    """Measure what the file does not have; returns how many measurements were made."""
    done = {each.key for each in figure_records.read(job.records)}
    tasks = held_out_set(job.number)
    wanted = [
        (name, condition, each)
        for name, condition in CONDITIONS.items()
        if condition.start == job.start
        for each in tasks
        if (job.made_by, name, job.seed, each.name) not in done
    ]
    if not wanted:
        return 0
    with TemporaryDirectory() as folder:
        model = (
            joint_model(job.model, tasks, job.settings, job.seed, Path(folder)) if job.start == "joint" else job.model
        )
        engine = LanguageModel(model, job.settings, job.seed)
        if job.start == "shared":
            engine.adapt(rows_of(tasks, engine.layout, job.settings, job.seed), NEVER, job.seed)
        code = figure_records.commit()
        for name, condition, each in wanted:
            if job.start != "shared":
                engine.forget()
            settings = with_changes(job.settings, condition.changes)
            figures = figures_of(each, engine, settings, job.seed, condition.per_task, NO_LIMIT)
            record = FigureRecord(name, job.seed, each.name, each.rule, figures, job.made_by, code)
            figure_records.append(job.records, record)
    return len(wanted)


def rows_of(tasks: Iterable[HeldOutTask], layout: Layout, settings: Settings, seed: int) -> list[Row]:
    """The training rows of all tasks together, without any pair that one of the tasks asks for.

    A variant shows what the task that it is made of asks for, and the other way round: one model that learned all
    demonstrations of both would know the answers. A task without two other demonstrations adds no row.
    """
    every = [*tasks]
    asked = {
        (grid_key(query), grid_key(answer))
        for each in every
        for query, answer in zip(each.task.tests, each.answers, strict=True)
    }
    rows: list[Row] = []
    for each in every:
        shown = tuple(p for p in each.task.demonstrations if (grid_key(p.input), grid_key(p.output)) not in asked)
        if len(shown) > 1:
            rows += training_rows(
                replace(each.task, demonstrations=shown), layout, settings.training_rows, settings.model.context,
                generator(seed, each.task.id, "lessons"), settings.model.dropped,
            )  # fmt: skip
    return rows


def joint_model(model: Path, tasks: Iterable[HeldOutTask], settings: Settings, seed: int, folder: Path) -> Path:
    """A copy of the model, all of whose weights were trained on the demonstrations of all tasks, in `folder`."""
    plain = replace(settings.model, four_bit=False, dtype="float32")
    base = load_base(model, plain, resolve_device(plain.device)).requires_grad_(True)
    layout = layout_of(model, plain.layout)
    rows = rows_of(tasks, layout, settings, seed)
    how = replace(settings.adapt, rate=JOINT_RATE, ends_rate=JOINT_RATE)
    finetune(base, layout, rows, how, NEVER, generator(seed, "joint"))
    base.save_pretrained(folder)
    for file in model.iterdir():  # The tokenizer, which tells the layout.
        beside = file.suffix in (".json", ".model", ".txt") and not file.name.endswith(".index.json")
        if beside and file.is_file() and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)
    return folder
