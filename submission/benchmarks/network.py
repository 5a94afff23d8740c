"""The network alone on held-out tasks at equal processor time: the benchmark by which its settings are decided.

    python -m submission bench network --seeds 2 --try adapt.batch=2,training_rows.copies=12 --try search.views=8

Each alternative is compared with the unchanged settings on the same tasks with the same seeds, in pairs. Beside
settings it may name `passes=2`: another adapter and other views, which vote together with the first. Every measurement
is a line in a file of records, with settings, seed, seconds and commit: more alternatives, seeds or tasks can be
measured later, and nothing is measured twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from submission.benchmarks import figure_records
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.held_out import held_out_set
from submission.benchmarks.network_figures import ORACLE, figures_of
from submission.benchmarks.processes import in_processes
from submission.benchmarks.statistics import Value, grouped_mean, paired, shown
from submission.config import Settings, with_changes
from submission.deadline import within
from submission.errors import require
from submission.inference.language_model import LanguageModel
from submission.results.journal import fingerprint, model_sha256
from submission.runner.schedule import MOST_PASSES

UNCHANGED = ""
"""The variant that the others are compared with."""

PASSES = "passes="


@dataclass(frozen=True)
class Job:
    """One alternative with one seed, for one process."""

    model: Path
    settings: Settings
    changes: str
    """Of the settings, separated by commas."""
    seed: int
    number: int
    """Tasks."""
    seconds: float
    """Processor time of a task."""
    records: Path
    made_by: str


def network(
    model: Path, settings: Settings, tries: Sequence[str], number: int, seeds: Sequence[int], seconds: float,
    workers: int, records: Path, on_job: Callable[[str], None],
) -> list[FigureRecord]:  # fmt: skip
    """Measure the unchanged settings and each of the `tries`; returns the records of this comparison."""
    made_by = fingerprint(asdict(settings), model_sha256(model), 0, f"network, {seconds} seconds")
    variants = list(dict.fromkeys((UNCHANGED, *tries)))
    jobs = [
        Job(model, settings, changes, seed, number, seconds, records, made_by) for seed in seeds for changes in variants
    ]
    on_job(f"{number} tasks, {len(variants)} settings, seeds {', '.join(map(str, seeds))}: into {records}")
    for job, measured in in_processes(run_job, jobs, workers):
        on_job(f"seed {job.seed}, {job.changes or '(preset)'}: {measured} measured")
    tasks = {each.name for each in held_out_set(number)}
    return figure_records.of(records, made_by, variants, seeds, tasks)


def run_job(job: Job) -> int:
    """Measure what the file does not have; returns how many measurements were made."""
    done = {each.key for each in figure_records.read(job.records)}
    wanted = [each for each in held_out_set(job.number) if (job.made_by, job.changes, job.seed, each.name) not in done]
    if not wanted:
        return 0
    settings, passes = alternative(job.settings, job.changes)
    engine = LanguageModel(job.model, settings, job.seed)
    code = figure_records.commit()
    for each in wanted:
        until = within(job.seconds, time.process_time)
        figures = figures_of(each, engine, settings, job.seed, until=until, passes=passes)
        record = FigureRecord(job.changes, job.seed, each.name, each.rule, figures, job.made_by, code)
        figure_records.append(job.records, record)
    return len(wanted)


def alternative(settings: Settings, changes: str) -> tuple[Settings, int]:
    """Settings with these changes, which commas separate, and the number of passes; BadInput where one is wrong."""
    listed = [change for change in changes.split(",") if change]
    passes = [change.removeprefix(PASSES) for change in listed if change.startswith(PASSES)] or ["1"]
    require(
        passes[-1].isdecimal() and 1 <= int(passes[-1]) <= MOST_PASSES,
        f"expected passes=1 to passes={MOST_PASSES}",
    )
    return with_changes(settings, [change for change in listed if not change.startswith(PASSES)]), int(passes[-1])


def table(records: Sequence[FigureRecord], rule: str) -> list[str]:
    """The lines of two Markdown tables: the figures of each alternative, and its differences from the unchanged one.

    `rule` is the vote by which tasks are solved.
    """
    values: dict[str, tuple[Value, float]] = {
        "-log p of the truth": (lambda each: each.figures.nats, 1),
        "views that find it": (lambda each: each.figures.likely, 100),
        "in the pool": (lambda each: float(ORACLE in each.figures.solved), 100),
        "solved": (lambda each: float(rule in each.figures.solved), 100),
    }
    variants = list(dict.fromkeys(each.variant for each in records))
    of = {name: [each for each in records if each.variant == name] for name in variants}
    tasks, rules = {each.task for each in records}, {each.rule for each in records}
    seeds = sorted({each.seed for each in records})
    lines = [
        f"{len(tasks)} tasks of {len(rules)} rules, seeds {', '.join(map(str, seeds))}; nats, per cent, ± one standard "
        "error over rules",
        "",
        f"| changes | {' | '.join(values)} | steps | processor seconds |",
        "|---" * (len(values) + 3) + "|",
    ]
    for name, own in of.items():
        figures = [shown(grouped_mean(own, value), times) for value, times in values.values()]
        steps, seconds = (sum(getattr(each.figures, what) for each in own) / len(own) for what in ("steps", "seconds"))
        lines.append(f"| {name or '(preset)'} | {' | '.join(figures)} | {steps:.0f} | {seconds:.1f} |")
    lines += ["", f"| difference in pairs | {' | '.join(values)} |", "|---" * (len(values) + 1) + "|"]
    for name, own in of.items():
        if name != UNCHANGED:
            figures = [shown(paired(own, of[UNCHANGED], value), times, "+") for value, times in values.values()]
            lines.append(f"| {name} | {' | '.join(figures)} |")
    return lines
