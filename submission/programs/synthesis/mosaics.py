"""Outputs that are several states arranged as tiles of one size, such as a grid beside its mirror image.

Every tile of the outputs is looked up among the values of the states; the cheapest state is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from submission.arc.tasks import Grid, Task
from submission.programs.grid_language.values import Cells, value_key
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.learned_steps import mosaic
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution

MOST_SIDE = 5
"""Most tiles from top to bottom, and from left to right."""
MOSAIC_COST, TILE_COST = 0.6, 0.2
"""What a mosaic, and each distinct tile, add to the costs of the tiles' states."""

Tiles = list[list[State]]
"""The states of a mosaic: tile rows from top to bottom, in each the tiles from left to right."""


def mosaics(task: Task, pool: StatePool, states: Sequence[State]) -> Iterator[Solution]:
    """Yield programs for outputs of 2 to 25 tiles, each tile a state of the pool."""
    demos = len(task.demonstrations)
    cheapest: dict[tuple[int, ...], State] = {}
    for state in states:
        if state.kind == "grid":
            cheapest.setdefault(state.values[:demos], state)
    for down in range(1, MOST_SIDE + 1):
        for across in range(1, MOST_SIDE + 1):
            tiles = _tiles(task, pool, cheapest, down, across) if down * across > 1 else None
            found = _solution(pool, tiles, states, demos) if tiles is not None else None
            if found is not None:
                yield found


def _tiles(task: Task, pool: StatePool, cheapest: dict[tuple[int, ...], State], down: int, across: int) -> Tiles | None:
    """Return the cheapest state for each tile of a `down` by `across` mosaic; None where a tile has none.

    `cheapest` maps the numbers of the values for the demonstrations to a state.
    """
    outputs = [pair.output for pair in task.demonstrations]
    if any(cells.shape[0] % down or cells.shape[1] % across for cells in outputs):
        return None
    tiles: Tiles = []
    for r in range(down):
        tile_row = []
        for c in range(across):
            numbers = (pool.numbers.get(value_key(_tile(cells, down, across, r, c)), -1) for cells in outputs)
            state = cheapest.get(tuple(numbers))
            if state is None:
                return None
            tile_row.append(state)
        tiles.append(tile_row)
    return tiles


def _tile(cells: Grid, down: int, across: int, r: int, c: int) -> Cells:
    """Cut out the tile in tile row r and tile column c."""
    h, w = cells.shape[0] // down, cells.shape[1] // across
    return np.ascontiguousarray(cells[r * h : r * h + h, c * w : c * w + w])


def _solution(pool: StatePool, tiles: Tiles, states: Sequence[State], demos: int) -> Solution | None:
    """Return the mosaic as a solution; None where the tiles differ in size for some test."""
    tests = range(demos, len(tiles[0][0].values))
    grids = [[[pool.grids(state)[k] for state in tile_row] for tile_row in tiles] for k in tests]
    if any(len({cells.shape for tile_row in each for cells in tile_row}) > 1 for each in grids):
        return None
    distinct = {state.values: state for tile_row in tiles for state in tile_row}
    cost = sum(state.cost for state in distinct.values()) + MOSAIC_COST + TILE_COST * len(distinct)
    stability = sum(_stays(list(distinct.values()), states, demos, k) for k in range(demos)) / demos
    return Solution(partial(_expression, tiles), tuple(mosaic(*each) for each in grids), cost, stability, "mosaic")


def _stays(tiles: list[State], states: Sequence[State], demos: int, left_out: int) -> bool:
    """Whether the cheapest states that fit the tiles of the other demonstrations also fit the one that is left out."""
    others = [k for k in range(demos) if k != left_out]
    wanted = {tuple(tile.values[k] for k in others): tile.values[left_out] for tile in tiles}
    for state in states:
        if state.kind == "grid":
            given = wanted.pop(tuple(state.values[k] for k in others), None)
            if given is not None and given != state.values[left_out]:
                return False
    return True


def _expression(tiles: Tiles, root: Expression) -> Expression:
    known: dict[int, Expression] = {}
    return Call(mosaic, tuple([expression_of(state, root, known) for state in tile_row] for tile_row in tiles))
