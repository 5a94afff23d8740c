"""The synthesizer: explore states, end them with something learned, verify, and rank the programs that fit.

Programs with the same answers support each other: an answer is ranked by the sum of the weights of its programs, each
exp(-cost + 2 stability), and represented by the program with the largest weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from submission.arc.tasks import Task, grid, grid_key
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.programs.grid_language.sizes import canvases
from submission.programs.grid_language.vocabulary import operations
from submission.programs.program import Program
from submission.programs.synthesis.bases import on_bases
from submission.programs.synthesis.cell_rules import cell_rules
from submission.programs.synthesis.colour_normalization import normalizations
from submission.programs.synthesis.expressions import INPUT, size_of, source_of
from submission.programs.synthesis.learned_selection import learned_selections
from submission.programs.synthesis.lookups import lookups
from submission.programs.synthesis.mosaics import mosaics
from submission.programs.synthesis.object_rules import object_rules
from submission.programs.synthesis.panel_normalization import panel_task
from submission.programs.synthesis.scans import scans
from submission.programs.synthesis.search import State, StatePool, explore
from submission.programs.synthesis.solution import Solution, plain
from submission.programs.synthesis.templates import templates

CONVINCING_COST = 3.0
"""After a program of stability 1 and at most this cost, colours are not renamed to search again."""
FIRST_SHARE = 0.6
"""Share of the time for the task as it is, if it is also searched with renamed colours."""
PANELS_SHARE = 0.4
"""Share of the time for the panels of the grids as small grids, if they have one colour each."""
EXPLORING_SHARE = 0.5
"""Share of the time of one search in which states are explored; the rest is for learned steps."""
Step = tuple[Callable[..., Iterator[Solution]], float]
"""What learns an ending from pairs alone, and the share of the time left that it may take."""
STEPS: Sequence[Step] = ((templates, 1.0), (object_rules, 0.4), (scans, 1.0))
STEPS_RENAMED: Sequence[Step] = ((scans, 1.0),)
"""Those for a task whose colours are renamed; if the background is as well, all are tried."""


@dataclass(frozen=True)
class Synthesizer:
    """A source of programs: a search in the grid language, limited by a number of states."""

    most_states: int = 3000
    """States of the search on the task as it is: where it usually ends."""
    most_renamed_states: int = 1200
    """States of each search with renamed colours."""
    most_cost: float = 4.0
    """Cost of the most expensive state that is explored."""
    most_programs: int = 8
    """Programs that are returned, each with other answers."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise BadInput(f"a synthesizer's {name} must be above 0, not {value}")

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Return verified programs with distinct answers, the most trusted first."""
        return ranked(list(self.solutions(task, until, seed)), self.most_programs)

    def solutions(self, task: Task, until: Deadline, seed: int) -> Iterator[Solution]:
        """Yield all programs that fit, as they are found: for the task as it is, then with its colours renamed."""
        normalized = list(normalizations(task))
        convincing = False
        if (panels := panel_task(task)) is not None:
            for small in self._search(panels.task, until.share(PANELS_SHARE), seed, self.most_states):
                if (whole := panels.restored_solution(small)) is not None:
                    yield whole
        for found in self._search(task, until.share(FIRST_SHARE if normalized else 1), seed, self.most_states):
            convincing = convincing or (found.stability == 1 and found.cost <= CONVINCING_COST)
            yield found
        for left, other in zip(range(len(normalized), 0, -1), normalized, strict=True):
            if not convincing and not until.passed():
                steps = STEPS if 0 in other.free else STEPS_RENAMED
                for found in self._search(other.task, until.share(1 / left), seed, self.most_renamed_states, steps):
                    yield other.restored_solution(found)

    def _search(
        self, task: Task, until: Deadline, seed: int, most_states: int, steps: Sequence[Step] = STEPS
    ) -> Iterator[Solution]:  # fmt: skip
        """Yield all programs that one search finds."""
        pool = StatePool()
        targets = tuple(pool.number(pair.output) for pair in task.demonstrations)
        vocabulary = operations(_colours(task))
        starts = start_states(pool, task)
        exploring = until.share(EXPLORING_SHARE)
        states = list(explore(pool, starts, vocabulary, most_states, self.most_cost, exploring))
        yield from plain(pool, states, targets)
        yield from mosaics(task, pool, states)
        yield from lookups(task, until, seed)
        yield from learned_selections(task, pool, states, targets, seed, until)
        for learned, share in steps:
            yield from on_bases(partial(learned, seed=seed), task, pool, states, until.share(share))
        yield from cell_rules(task, pool, states, seed, until)


def start_states(pool: StatePool, task: Task) -> list[State]:
    """Return the states that the search starts from: the inputs, and canvases of the size of the outputs."""
    inputs = [pair.input for pair in task.demonstrations] + list(task.tests)
    states = [State(tuple(map(pool.number, inputs)), "grid", 0.0, None)]
    for rank, (rule, grids) in enumerate(canvases(task)):
        states.append(State(tuple(map(pool.number, grids)), "canvas", 0.1 * rank, None, canvas=rule))
    return states


def _colours(task: Task) -> tuple[int, ...]:
    """Return the colours of the demonstrations, without the background."""
    grids = [side for pair in task.demonstrations for side in (pair.input, pair.output)]
    return tuple(sorted({int(colour) for cells in grids for colour in np.unique(cells)} - {0}))


def ranked(found: Sequence[Solution], most: int) -> list[Program]:
    """Return one program for each distinct answer, by the summed weight of all programs that give it."""
    groups: dict[tuple[bytes, ...], list[Solution]] = {}
    for each in found:
        groups.setdefault(tuple(grid_key(answer) for answer in each.answers), []).append(each)
    best_first = sorted(groups.values(), key=lambda group: -sum(weight(each) for each in group))
    return [_program(max(group, key=weight), max(each.stability for each in group)) for group in best_first[:most]]


def weight(found: Solution) -> float:
    """Return the weight of a program in the ranking: higher for a low cost and a high stability."""
    return float(np.exp(-found.cost + 2 * found.stability))


def _program(found: Solution, stability: float) -> Program:
    """Print a solution; `stability` is the highest of all solutions with the same answers."""
    expression = found.build(INPUT)
    return Program(
        source_of(expression), tuple(grid(answer) for answer in found.answers), size_of(expression), "search", stability
    )
