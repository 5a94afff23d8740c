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
from submission.runner.schedule import SEED_STEP
from submission.solver import voting
from submission.solver.candidates import ViewSearch, search_views
from submission.solver.engine import Engine, Question
from submission.solver.records import TestRecord
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
    each: HeldOutTask, engine: Engine, settings: Settings, seed: int, train: bool = True, until: Deadline = NEVER,
    passes: int = 1,
) -> Figures:  # fmt: skip
    """Train on the demonstrations, unless the engine is to be used as it is; search every view; score the truth.

    Each of the `passes` has another adapter and other views; the next one scores what was found before as well, and the
    views of all vote together, as in a run's further passes. With a deadline a pass gets its part of the time,
    training `adapt.share` of that, and each test input its part of the rest. The engine is left as the last training
    leaves it.
    """
    # The first view is the task as it is, for `VANILLA`; all others are what the settings say.
    settings = replace(
        settings, search=replace(settings.search, exhaustive=True, scoring_views=0, first_view="identity")
    )
    engine.use(settings)
    began, steps, not_counted = until.clock(), 0, 0.0
    tests, alone, log_p = [TestRecord() for _ in each.answers], list[list[Grid]](), []
    for number_of_pass in range(passes):
        own_seed, own_time = seed + number_of_pass * SEED_STEP, until.share(1 / (passes - number_of_pass))
        if train:
            engine.forget()
            steps += learn(each.task, engine, settings, own_time.share(settings.adapt.share), own_seed)[1].steps
        for number, answer in enumerate(each.answers):
            asked = ask(each.task, number, engine, settings, own_seed)
            deadline = own_time.share(1 / (len(each.answers) - number))
            known = [candidate.answer for candidate in tests[number].best_first()]
            query = each.task.tests[number]
            with engine.inference(asked) as inference:
                found = search_views(inference, each.task, query, asked, settings, deadline, own_seed, known)
                searched = until.clock()
                log_p.append(inference.score([answer], 1, NEVER).log_p[:, 0])
                not_counted += until.clock() - searched
            if number_of_pass == 0:
                alone.append(of_first_view(found, asked))
            tests[number] = tests[number].joined_with(found.record(asked), settings.search.threshold)
    seconds = until.clock() - began - not_counted
    truth = np.concatenate(log_p)
    solved = tuple(
        rule for rule in RULES
        if all(
            grid_key(answer) in {grid_key(grid) for grid in (own if rule == VANILLA else attempts(test, rule))}
            for answer, test, own in zip(each.answers, tests, alone, strict=True)
        )
    )  # fmt: skip
    likely = float((truth >= math.log(settings.search.threshold)).mean())
    return Figures(solved, round(float(-truth.mean()), 4), round(likely, 4), steps, round(seconds, 2))


def of_first_view(found: ViewSearch, asked: Sequence[Question]) -> list[Grid]:
    """The two likeliest answers of the first view."""
    own = sorted(found.found[0].proposals, key=lambda each: -each.log_probability) if found.found else []
    return [asked[0].view.unsee(each.answer) for each in own[:ATTEMPTS]]


def attempts(test: TestRecord, rule: str) -> list[Grid]:
    """What a rule takes of the answers that were found: two attempts; the oracle takes all."""
    if rule == ORACLE:
        return [each.answer for each in test.candidates]
    return voting.rank(test.candidates, test.symmetries, rule)[:ATTEMPTS]
