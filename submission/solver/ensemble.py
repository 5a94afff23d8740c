"""Two kinds of solver, one answer: what programs and the network found for a task, as one record.

The two solve different tasks (TTT paper, arXiv 2411.07279, section 5.4; BARC, arXiv 2411.02272), and there are two
attempts: one is the answer of the best program that reproduces every demonstration, the other the best different answer
of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from submission.arc.tasks import Grid, grid_key
from submission.solver.records import ProgramRecord, TaskRecord, TestRecord
from submission.solver.stopping import ATTEMPTS

ProgramsPlace = Literal["first", "last", "off"]
"""The place of programs among the attempts: before the network, after it, or none; see `attempts`."""

SETTLED = 1.0
"""Stability of a program that settles its task."""

CONFIDENT = -0.5
"""Mean log p per view (nats) above which the network's second-best answer is taken for wrong."""


def attempts(
    programs: Sequence[Grid], network: Sequence[Grid], others: Sequence[Grid], confident: bool, order: ProgramsPlace
) -> list[Grid]:
    """The attempts at one test input, from the answers of stable programs, of the network, and of other programs.

    Each list has its best answer first. `order` is "first": the best stable program's answer, then the network's best
    different one; "last": programs only where the network leaves a place; "off": the network alone. If the network
    agrees with the best program and it is `confident`, attempt 2 is the next program's answer, which is more
    often right than the network's second.
    """
    if order == "off":
        ranking = [*network]
    elif order == "last":
        ranking = [*network, *programs, *others]
    elif confident and programs and network and grid_key(programs[0]) == grid_key(network[0]):
        ranking = [*programs, *network, *others]
    else:
        ranking = [*programs[:1], *network, *programs[1:], *others]
    return distinct(ranking)[:ATTEMPTS]


def joined(
    network: TaskRecord | None, programs: TaskRecord | None, order: ProgramsPlace, min_stability: float
) -> TaskRecord | None:
    """What both have found for a task, as one record with the attempts of the two together; None if neither has.

    A program of at least `min_stability` counts as stable.
    """
    if network is None:
        return None if programs is None else programs_alone(programs, order)
    if programs is None:
        return replace(network, programs=network.programs or ())
    found = programs.programs or ()  # None where both tries failed.
    stable = [each for each in found if each.stability >= min_stability]
    others = [each for each in found if each.stability < min_stability]
    both = tuple(
        tuple(attempts(answers_of(stable, k), answers, answers_of(others, k), is_confident(network.tests[k]), order))
        for k, answers in enumerate(network.attempts)
    )
    return replace(
        network,
        attempts=both,
        programs=found,
        seconds=network.seconds + programs.seconds,
        notes=(*programs.notes, *network.notes),
    )


def settled(programs: Sequence[ProgramRecord], demonstrations: int, order: ProgramsPlace) -> bool:
    """Whether the best program is so certain that the network may leave its task to it.

    It gives attempt 1, and the search finds it without any one of the `demonstrations` distinct ones. A single one
    says nothing of that, nor does a language model, whose programs have no stability of their own.
    """
    best = programs[0] if order == "first" and demonstrations > 1 and programs else None
    if best is None or best.origin != "search" or any(answer is None for answer in best.answers):
        return False
    return best.stability >= SETTLED


def programs_alone(programs: TaskRecord, order: ProgramsPlace) -> TaskRecord:
    """The record of a task for which the network has none."""
    tests = programs.tests or tuple(TestRecord() for _ in programs.attempts)
    kept = tuple(() for _ in tests) if order == "off" else programs.attempts
    return replace(programs, programs=programs.programs or (), tests=tests, attempts=kept)


def answers_of(programs: Sequence[ProgramRecord], number: int) -> list[Grid]:
    """The distinct answers of programs to one test input, in their order."""
    return distinct(each.answers[number] for each in programs)


def is_confident(test: TestRecord) -> bool:
    """Whether the best candidate has a mean log p per view above CONFIDENT."""
    best = max((each.total() for each in test.candidates), default=-math.inf)
    return best > CONFIDENT * max(1, len(test.views))


def distinct(answers: Iterable[Grid | None]) -> list[Grid]:
    """The grids among these, each once, in order."""
    return [*{grid_key(each): each for each in answers if each is not None}.values()]
