"""Benchmarks that settings are chosen by, on training-side tasks that the embedded model has never seen.

python -m submission bench ttt --tasks 10 --try adapt.rate=0.006 --try training_rows.copies=12,adapt.batch=2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from submission.arc.layouts import GRID16
from submission.arc.prompts import task_length
from submission.arc.tasks import Grid, Task
from submission.config import Settings, with_changes
from submission.deadline import NEVER
from submission.inference.language_model import LanguageModel
from submission.solver.solve import ask, learn
from submission.training.corpus import held_out_tasks

SHORTEST = 130
"""Tokens of the shortest prompt taken: shorter tasks are mostly single cells."""

VIEWS = 8
"""Views under which the true answer is scored."""


@dataclass(frozen=True)
class TttResult:
    """How likely the true answers are after test-time training with one choice of settings."""

    changes: str
    """What was changed against the preset, "" for nothing."""
    nats: float
    """Mean over tasks of -log p of the true answer, itself the mean over views."""
    median_nats: float
    nats_a_token: float
    likely: float
    """Share of (task, view) in which the true answer has p > 1/e."""
    seconds: float
    """Of training, per task."""
    tasks: int


def ttt(model: Path, settings: Settings, tries: Sequence[str], number: int, seed: int) -> list[TttResult]:
    """Adapt to each of the `number` shortest held-out tasks and score its first true answer; no search, no vote."""
    tasks, solutions = held_out_tasks()
    lengths = {name: task_length(GRID16, task.demonstrations, task.tests[0]) for name, task in tasks.items()}
    names = [name for name in sorted(tasks, key=lambda name: (lengths[name], name)) if lengths[name] >= SHORTEST]
    outcomes = []
    for changes in tries:
        tried = with_changes(settings, [change for change in changes.split(",") if change])
        engine = LanguageModel(model, tried, seed)
        measured = [_truth(engine, tasks[name], solutions[name][0], tried, seed) for name in names[:number]]
        log_p = np.array([scores for scores, _, _ in measured])
        tokens = np.array([size for _, size, _ in measured])
        outcomes.append(
            TttResult(
                changes,
                nats=float(-log_p.mean()),
                median_nats=float(np.median(-log_p.mean(axis=1))),
                nats_a_token=float((-log_p.mean(axis=1) / tokens).mean()),
                likely=float((log_p > -1).mean()),
                seconds=float(np.mean([seconds for _, _, seconds in measured])),
                tasks=len(measured),
            )
        )
    return outcomes


def _truth(
    engine: LanguageModel, task: Task, answer: Grid, settings: Settings, seed: int
) -> tuple[list[float], int, float]:
    """log p of the true answer in each view after training, its tokens, and the seconds of training."""
    engine.forget()
    _, fit = learn(task, engine, settings, NEVER, seed)
    eight = replace(settings, search=replace(settings.search, views=VIEWS))
    questions = ask(task, 0, engine, eight, seed)
    with engine.inference(questions) as inference:
        scores = inference.score([answer], 1, NEVER)
    return scores.log_p[:, 0].tolist(), len(engine.layout.answer(answer)), fit.seconds


def table(outcomes: Sequence[TttResult]) -> str:
    """The outcomes as lines of text, the first of them the heads."""
    lines = [f"{'changes':40} {'nats':>7} {'median':>7} {'a token':>7} {'likely':>7} {'s/task':>7}"]
    lines += [
        f"{each.changes or '(preset)':40} {each.nats:7.2f} {each.median_nats:7.2f} {each.nats_a_token:7.3f}"
        f" {each.likely:7.3f} {each.seconds:7.1f}"
        for each in outcomes
    ]
    return "\n".join(lines)
