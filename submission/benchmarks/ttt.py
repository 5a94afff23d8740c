"""How likely the true answers become by test-time training: the benchmark by which its settings are chosen.

    python -m submission bench ttt --tasks 10 --try adapt.rate=0.006 --try training_rows.copies=12,adapt.batch=2

Measured on held-out training tasks, which the embedded model has never seen; no search, no vote.
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
"""Tokens of the shortest prompt that is used: the outputs of shorter tasks are mostly single cells."""

VIEWS = 8
"""Views under which the true answer is scored."""


@dataclass(frozen=True)
class TttResult:
    """The log-probability of the true answers after test-time training with one choice of settings."""

    changes: str
    """Settings that differ from the preset, "" for none."""
    nats: float
    """-log p of the true answer, mean over tasks and views."""
    median_nats: float
    """-log p of the true answer, mean over views, median over tasks."""
    nats_a_token: float
    """-log p of the true answer divided by its tokens, mean over tasks and views."""
    likely: float
    """Share of all (task, view) in which the true answer has p > 1/e."""
    seconds: float
    """Seconds of training, mean over tasks."""
    tasks: int


def ttt(model: Path, settings: Settings, tries: Sequence[str], number: int, seed: int) -> list[TttResult]:
    """Train on each of the `number` shortest held-out tasks and score the true answer to its first test input.

    Returns one result for each of the `tries`, which are changes of the settings, separated by commas.
    """
    tasks, solutions = held_out_tasks()
    lengths = {name: task_length(GRID16, task.demonstrations, task.tests[0]) for name, task in tasks.items()}
    names = [name for name in sorted(tasks, key=lambda name: (lengths[name], name)) if lengths[name] >= SHORTEST]
    results = []
    for changes in tries:
        tried = with_changes(settings, [change for change in changes.split(",") if change])
        engine = LanguageModel(model, tried, seed)
        measured = [_score_truth(engine, tasks[name], solutions[name][0], tried, seed) for name in names[:number]]
        log_p = np.array([scores for scores, _, _ in measured])  # [tasks, views]
        tokens = np.array([size for _, size, _ in measured])
        results.append(
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
    return results


def _score_truth(
    engine: LanguageModel, task: Task, answer: Grid, settings: Settings, seed: int
) -> tuple[list[float], int, float]:
    """Return the log p of the true answer in each view after training, its tokens, and the seconds of training."""
    engine.forget()
    _, fit = learn(task, engine, settings, NEVER, seed)
    scored = replace(settings, search=replace(settings.search, views=VIEWS, view_recipe="symmetries"))
    questions = ask(task, 0, engine, scored, seed)
    with engine.inference(questions) as inference:
        scores = inference.score([answer], 1, NEVER)
    return scores.log_p[:, 0].tolist(), len(engine.layout.answer(answer)), fit.seconds


def table(results: Sequence[TttResult]) -> str:
    """Return the results as a table."""
    lines = [f"{'changes':40} {'-log p':>8} {'median':>8} {'/token':>8} {'p > 1/e':>8} {'s/task':>8}"]
    lines += [
        f"{each.changes or '(preset)':40} {each.nats:8.2f} {each.median_nats:8.2f} {each.nats_a_token:8.3f}"
        f" {each.likely:8.3f} {each.seconds:8.1f}"
        for each in results
    ]
    return "\n".join(lines)
