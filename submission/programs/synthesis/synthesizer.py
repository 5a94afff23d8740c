"""Programs for a task by search in the grid language: explore, end with something learned, verify, rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from submission.arc.tasks import Task, grid, grid_key
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.programs.grid_language.sizes import canvases
from submission.programs.grid_language.vocabulary import operations
from submission.programs.program import Program
from submission.programs.synthesis.cell_rules import cell_rules
from submission.programs.synthesis.colour_normalization import namings
from submission.programs.synthesis.expressions import INPUT, size_of, source_of
from submission.programs.synthesis.learned_selection import choices
from submission.programs.synthesis.mosaics import mosaics
from submission.programs.synthesis.scans import scans
from submission.programs.synthesis.search import State, StatePool, explore
from submission.programs.synthesis.solution import Solution, plain

SURE = 3.0
"""A steady program of no more than this cost makes the searches with renamed colours needless."""


@dataclass(frozen=True)
class Synthesizer:
    """A source of programs: a search in the grid language, within a budget of states."""

    most_states: int = 3000
    """States of a search: its normal end."""
    most_renamed_states: int = 1200
    """The same for each search with renamed colours."""
    most_cost: float = 4.0
    """Description cost of the longest expressions that are tried."""
    most_programs: int = 8
    """Programs with different answers that are given back."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise BadInput(f"a synthesizer's {name} must be above 0, not {value}")

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Verified programs with distinct answers, the most trusted first."""
        return ranked(list(self.found(task, until, seed)), self.most_programs)

    def found(self, task: Task, until: Deadline, seed: int) -> Iterator[Solution]:
        """All programs that fit, as they are found: for the task as it is, then with its colours renamed."""
        renamed = list(namings(task))
        sure = False
        for found in self._as_it_is(task, until.share(0.6 if renamed else 1), seed, self.most_states):
            sure = sure or (found.stability == 1 and found.cost <= SURE)
            yield found
        for left, naming in zip(range(len(renamed), 0, -1), renamed, strict=True):
            if not sure and not until.passed():
                part = until.share(1 / left)
                for found in self._as_it_is(naming.task, part, seed, self.most_renamed_states):
                    yield naming.undone(found)

    def _as_it_is(self, task: Task, until: Deadline, seed: int, most_states: int) -> Iterator[Solution]:
        pool = StatePool()
        targets = tuple(pool.number(pair.output) for pair in task.demonstrations)
        vocabulary = operations(_colours(task))
        starts = started(pool, task)
        states = list(explore(pool, starts, vocabulary, most_states, self.most_cost, until.share(0.5)))
        yield from plain(pool, states, targets)
        yield from mosaics(task, pool, states)
        yield from choices(task, pool, states, targets, seed, until)
        yield from scans(task, seed, until)
        yield from cell_rules(task, pool, states, seed, until)


def started(pool: StatePool, task: Task) -> list[State]:
    """What the search starts from: the inputs, and canvases of the size that the outputs have."""
    inputs = [pair.input for pair in task.demonstrations] + list(task.tests)
    made = [State(tuple(map(pool.number, inputs)), "grid", 0.0, None)]
    for rank, (rule, grids) in enumerate(canvases(task)):
        made.append(State(tuple(map(pool.number, grids)), "canvas", 0.1 * rank, None, canvas=rule))
    return made


def _colours(task: Task) -> tuple[int, ...]:
    """The colours of the demonstrations, background left out."""
    grids = [side for pair in task.demonstrations for side in (pair.input, pair.output)]
    return tuple(sorted({int(colour) for cells in grids for colour in np.unique(cells)} - {0}))


def ranked(found: Sequence[Solution], most: int) -> list[Program]:
    """One program for each answer, by how much speaks for the answer in all programs that give it."""
    groups: dict[tuple[bytes, ...], list[Solution]] = {}
    for each in found:
        groups.setdefault(tuple(grid_key(answer) for answer in each.answers), []).append(each)
    best_first = sorted(groups.values(), key=lambda group: -sum(weight(each) for each in group))
    return [_program(max(group, key=weight), max(each.stability for each in group)) for group in best_first[:most]]


def weight(found: Solution) -> float:
    """How much a program speaks for its answer: less the longer it is, more the steadier."""
    return float(np.exp(-found.cost + 2 * found.stability))


def _program(found: Solution, stability: float) -> Program:
    expression = found.build(INPUT)
    return Program(
        source_of(expression), tuple(grid(answer) for answer in found.answers), size_of(expression), "search", stability
    )
