"""Outputs put together from several states as equal tiles side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from submission.arc.tasks import Task
from submission.programs.grid_language.values import key
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.learned_steps import mosaic
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution

MOST_SIDE = 5
"""Tiles per row or column."""


def mosaics(task: Task, pool: StatePool, states: Sequence[State]) -> Iterator[Solution]:
    """Programs for outputs of 2 to 25 tiles, each a state of its own."""
    demos = len(task.demonstrations)
    cheapest: dict[tuple[int, ...], State] = {}
    for state in states:
        if state.kind == "grid":
            cheapest.setdefault(state.values[:demos], state)
    for down in range(1, MOST_SIDE + 1):
        for across in range(1, MOST_SIDE + 1):
            found = _mosaic(task, pool, states, cheapest, down, across) if down * across > 1 else None
            if found is not None:
                yield found


def _mosaic(
    task: Task, pool: StatePool, states: Sequence[State], cheapest: dict[tuple[int, ...], State], down: int, across: int
) -> Solution | None:
    outputs = [pair.output for pair in task.demonstrations]
    if any(cells.shape[0] % down or cells.shape[1] % across for cells in outputs):
        return None
    rows = []
    for r in range(down):
        row = []
        for c in range(across):
            numbers = []
            for cells in outputs:
                h, w = cells.shape[0] // down, cells.shape[1] // across
                tile = np.ascontiguousarray(cells[r * h : r * h + h, c * w : c * w + w])
                numbers.append(pool.numbers.get(key(tile), -1))
            state = cheapest.get(tuple(numbers))
            if state is None:
                return None
            row.append(state)
        rows.append(row)
    return _found(pool, rows, states, len(outputs))


def _found(pool: StatePool, rows: list[list[State]], states: Sequence[State], demos: int) -> Solution | None:
    tests = range(demos, len(rows[0][0].values))
    grids = [[[pool.grids(state)[k] for state in row] for row in rows] for k in tests]
    if any(len({cells.shape for row in each for cells in row}) > 1 for each in grids):
        return None
    distinct = {state.values: state for row in rows for state in row}
    cost = sum(state.cost for state in distinct.values()) + 0.6 + 0.2 * len(distinct)
    stability = sum(_stays(list(distinct.values()), states, demos, k) for k in range(demos)) / demos
    return Solution(partial(_expression, rows), tuple(mosaic(*each) for each in grids), cost, stability, "mosaic")


def _stays(tiles: list[State], states: Sequence[State], demos: int, left_out: int) -> bool:
    """Whether the cheapest states that fit the tiles of the other demonstrations fit those of the one left out."""
    others = [k for k in range(demos) if k != left_out]
    wanted = {tuple(tile.values[k] for k in others): tile.values[left_out] for tile in tiles}
    for state in states:
        if state.kind == "grid":
            given = wanted.pop(tuple(state.values[k] for k in others), None)
            if given is not None and given != state.values[left_out]:
                return False
    return True


def _expression(rows: list[list[State]], root: Expression) -> Expression:
    made: dict[int, Expression] = {}
    return Call(mosaic, tuple([expression_of(state, root, made) for state in row] for row in rows))
