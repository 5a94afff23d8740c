"""States as large as the outputs: what learned steps start from.

A step that is learned of a task alone, from its pairs, learns from a state in place of the inputs by `on_bases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import Deadline
from submission.programs.synthesis.expressions import Expression, expression_of
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution

MOST_BASES = 3
"""States that a step starts from, where the outputs are not as large as the inputs."""


def fitting(task: Task, pool: StatePool, states: Sequence[State]) -> list[list[State]]:
    """Return the states as large as the outputs in all demonstrations, grouped by their sizes in the tests.

    Groups and states are in the order of `states`: the cheapest first.
    """
    shapes = [pair.output.shape for pair in task.demonstrations]
    groups: dict[tuple[tuple[int, ...], ...], list[State]] = {}
    for state in states:
        if state.kind == "grid":
            grids = pool.grids(state)
            if all(cells.shape == shape for cells, shape in zip(grids, shapes, strict=False)):
                groups.setdefault(tuple(cells.shape for cells in grids[len(shapes) :]), []).append(state)
    return list(groups.values())


def on_bases(
    learned: Callable[[Task, Deadline], Iterator[Solution]], task: Task, pool: StatePool, states: Sequence[State],
    until: Deadline,
) -> Iterator[Solution]:  # fmt: skip
    """Yield what is learned of the task; where its outputs have another size, of the cheapest states of that size."""
    bases = _bases(fitting(task, pool, states))
    for left, base in zip(range(len(bases), 0, -1), bases, strict=True):
        for found in learned(_as_inputs(task, pool, base), until.share(1 / left)):
            build = partial(_expression, found.build, base)
            yield replace(found, build=build, cost=found.cost + base.cost)


def _bases(groups: Sequence[Sequence[State]]) -> list[State]:
    """The input alone if it is as large as the outputs; else the cheapest states, and the cheapest without a canvas."""
    if not groups or groups[0][0].operation is None:
        return [each[0] for each in groups[:1]]
    cut = [next((state for state in group if not _is_on_canvas(state)), None) for group in groups[:2]]
    chosen = [*groups[0][:MOST_BASES], *(state for state in cut if state is not None)]
    return list({id(state): state for state in chosen}.values())


def _is_on_canvas(state: State) -> bool:
    return state.kind == "canvas" or any(_is_on_canvas(parent) for parent in state.parents)


def _as_inputs(task: Task, pool: StatePool, base: State) -> Task:
    """The task with the values of a state as its inputs."""
    grids = [grid(cells) for cells in pool.grids(base)]
    pairs = (Pair(made, pair.output) for made, pair in zip(grids, task.demonstrations, strict=False))
    return replace(task, demonstrations=tuple(pairs), tests=tuple(grids[len(task.demonstrations) :]))


def _expression(build: Callable[[Expression], Expression], base: State, root: Expression) -> Expression:
    return build(expression_of(base, root))
