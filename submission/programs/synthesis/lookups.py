"""Outputs that were all seen before: a decision table over numbers of the input says which of them it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task, grid_key
from submission.deadline import Deadline
from submission.programs.grid_language.colours import ranked_colour
from submission.programs.grid_language.part_selection import hole_count
from submission.programs.grid_language.sizes import SEEDS
from submission.programs.grid_language.values import Cells, NotApplicable, require
from submission.programs.synthesis import tables
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.regions import LARGEST
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import CellExamples
from submission.rng import generator

COST = 2.0
"""What a lookup adds to the cost of its table."""
STEADY = 0.5
"""The least stability: with few demonstrations some number nearly always tells their outputs apart."""
MISSING = LARGEST
"""A number that the grid does not have."""


def _has(cells: Cells, colour: int) -> int:
    return int((cells == colour).any())


NUMBERS: dict[str, Callable[[Cells], int]] = {
    **SEEDS,
    "commonest colour": lambda cells: ranked_colour(cells, False),
    "rarest colour": lambda cells: ranked_colour(cells, True),
    "holes": hole_count,
    **{f"has colour {colour}": partial(_has, colour=colour) for colour in range(1, 10)},
}
"""Name -> a number of a grid."""


def numbers(cells: Cells) -> NDArray[np.uint8]:
    """All numbers of a grid, 0..63."""
    found = []
    for rule in NUMBERS.values():
        try:
            found.append(min(rule(cells), LARGEST))
        except NotApplicable:
            found.append(MISSING)
    return np.array(found, np.uint8)


def seen_before(
    cells: Cells, outputs: Sequence[Sequence[Sequence[int]]], names: Sequence[str], table: Mapping[tuple[int, ...], int]
) -> Cells:  # fmt: skip
    """Return one of the outputs, the one that the table has for these numbers; NotApplicable where it has none."""
    known = [*NUMBERS]
    key = tuple(numbers(cells)[[known.index(name) for name in names]].tolist())
    require(key in table)
    return np.array(outputs[table[key]], np.uint8)


def lookups(task: Task, until: Deadline, seed: int) -> Iterator[Solution]:
    """Yield programs that look the output up, where at least one was seen twice."""
    demos = task.demonstrations
    distinct = {grid_key(pair.output): pair.output for pair in demos}
    if not 1 < len(distinct) < len(demos):
        return
    order = [*distinct]
    examples = CellExamples(
        np.stack([numbers(pair.input) for pair in demos], 1),
        np.stack([numbers(cells) for cells in task.tests], 1),
        np.array([order.index(grid_key(pair.output)) for pair in demos], np.uint8),
        np.arange(len(demos), dtype=np.uint8),
        np.array([1.5 if name.startswith("has") else 1.0 for name in NUMBERS]),
    )
    outputs = [cells.tolist() for cells in distinct.values()]
    for decision in tables.decision_tables(examples, 2, 6, generator(seed, task.id, "lookups"), until):
        if decision.stability < STEADY:
            continue
        names = [[*NUMBERS][k] for k in decision.features]
        table = tables.entries_of(examples, decision.features)
        answers = tuple(seen_before(cells, outputs, names, table) for cells in task.tests)
        build = partial(_expression, outputs, names, table)
        yield Solution(build, answers, COST + decision.cost, decision.stability, "lookup")


def _expression(
    outputs: list[list[list[int]]], names: list[str], table: dict[tuple[int, ...], int], root: Expression
) -> Expression:
    return Call(seen_before, (root, outputs, names, table))
