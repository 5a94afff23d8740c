"""What the network makes of one task whose answers are known: the figures by which settings are compared.

All voting rules and the oracle are counted from one search, so a comparison of rules costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from submission.arc.tasks import Grid, grid_key
from submission.benchmarks.held_out import HeldOutTask
from submission.config import Settings
from submission.deadline import NEVER, Deadline
from submission.solver import voting
from submission.solver.candidates import ViewSearch, search_views
from submission.solver.engine import Engine, Question
from submission.solver.solve import ask, learn
from submission.solver.stopping import ATTEMPTS

ORACLE = "oracle"
"""Counts a task whose answers are among the candidates, chosen or not."""

VANILLA = "vanilla"
"""The two likeliest answers of the first view, the task as it is given (TTT paper, arXiv 2411.07279, section 4).

With `search.view_recipe=leave_one_out` that view lacks a demonstration, like all of that recipe.
"""

RULES = (VANILLA, *voting.NAMES, ORACLE)
"""The ways to choose attempts that are counted."""


@dataclass(frozen=True)
class Figures:
    """Of one task, its test inputs together."""

    solved: tuple[str, ...]
    """The rules whose two attempts hold the answer of every test input."""
    nats: float
    """-log p of the true answer, mean over views and test inputs."""
    likely: float
    """Share of views in which the true answer reaches the threshold of the search."""
    steps: int
    """Training steps."""
    seconds: float
    """Of training and search, on the clock of the deadline; the scoring of the truth is not counted."""


def figures_of(
    each: HeldOutTask, engine: Engine, settings: Settings, seed: int, train: bool = True, until: Deadline = NEVER
) -> Figures:
    """Train on the demonstrations, unless the engine is to be used as it is; search every view; score the truth.

    With a deadline, training gets `adapt.share` of the time and each test input its part of the rest, as in a run.
    The engine is left as the training leaves it.
    """
    # The first view is the task as it is, for `VANILLA`; all others are what the settings say.
    settings = replace(
        settings, search=replace(settings.search, exhaustive=True, scoring_views=0, first_view="identity")
    )
    engine.use(settings)
    began, steps = until.clock(), 0
    if train:
        engine.forget()
        steps = learn(each.task, engine, settings, until.share(settings.adapt.share), seed)[1].steps
    seconds = until.clock() - began
    solved, log_p = set(RULES), []
    for number, answer in enumerate(each.answers):
        began = until.clock()
        asked = ask(each.task, number, engine, settings, seed)
        deadline = until.share(1 / (len(each.answers) - number))
        with engine.inference(asked) as inference:
            found = search_views(inference, each.task, each.task.tests[number], asked, settings, deadline, seed)
            seconds += until.clock() - began
            log_p.append(inference.score([answer], 1, NEVER).log_p[:, 0])
        for rule in RULES:
            if grid_key(answer) not in {grid_key(grid) for grid in chosen(found, asked, rule)}:
                solved.discard(rule)
    truth = np.concatenate(log_p)
    likely = float((truth >= math.log(settings.search.threshold)).mean())
    by_rule = tuple(rule for rule in RULES if rule in solved)
    return Figures(by_rule, round(float(-truth.mean()), 4), round(likely, 4), steps, round(seconds, 2))


def chosen(found: ViewSearch, asked: Sequence[Question], rule: str) -> list[Grid]:
    """What a rule takes of the answers that were found: two attempts; the oracle takes all."""
    if rule == VANILLA:
        own = sorted(found.found[0].proposals, key=lambda each: -each.log_probability) if found.found else []
        return [asked[0].view.unsee(each.answer) for each in own[:ATTEMPTS]]
    if rule == ORACLE:
        return [each.answer for each in found.candidates]
    return voting.rank(found.candidates, [each.view.symmetry for each in asked], rule)[:ATTEMPTS]
