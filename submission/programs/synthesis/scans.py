"""Rules that run over a grid line by line: a cell becomes what its surroundings in the input say, and the line before.

What is drawn step by step (rays that go on, bend or bounce, trails, growing patterns) is a table of what is seen of the
input around a cell and of the output in the line before it; the table is learned as for single cells (see `tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task
from submission.deadline import Deadline
from submission.programs.grid_language.shapes import turn
from submission.programs.grid_language.values import Cells, NotApplicable, require
from submission.programs.synthesis import tables
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.features import WALL
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import Cases
from submission.rng import generator

BEFORE = tuple(f"before {k}" for k in (0, -1, 1, -2, 2))
"""The output one line earlier, in the same column or some to the left (-) or right."""
EARLIER = ("two before 0",)
AROUND = tuple(f"input {r} {c}" for r, c in ((0, 0), (0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (1, 1), (2, 0)))
"""The input at that many rows and columns from the cell."""
PARITY = ("row parity", "column parity")
SIGHTS = (*AROUND[:1], *BEFORE, *AROUND[1:], *EARLIER, *PARITY)
COSTS = tuple(0.3 if name == "input 0 0" else 0.6 if name.startswith("before") else 0.8 for name in SIGHTS)
MARGIN = 2


def scan(cells: Cells, quarters: int, names: Sequence[str], table: Mapping[tuple[int, ...], int]) -> Cells:
    """The grid turned by that many quarters, run through line by line from above, and turned back.

    Each cell becomes the colour that the table has for what is seen under the names; NotApplicable if it has none.
    """
    turned = turn(cells, quarters)
    made = np.full_like(turned, WALL)
    for row in range(turned.shape[0]):
        seen = _line(turned, made, row, names).T.tolist()
        colours = [table.get(tuple(each), -1) for each in seen]
        require(min(colours) >= 0)
        made[row] = colours
    return turn(made, -quarters)


def _line(cells: Cells, made: Cells, row: int, names: Sequence[str]) -> NDArray[np.uint8]:
    """What is seen of the cells of a row: [names, width]."""
    return np.stack([_sight(cells, made, row, name) for name in names])


def _sight(cells: Cells, made: Cells, row: int, name: str) -> NDArray[np.uint8]:
    width = cells.shape[1]
    *kind, last = name.split()
    if name == "row parity":
        return np.full(width, row % 2, np.uint8)
    if name == "column parity":
        return (np.arange(width) % 2).astype(np.uint8)
    if kind[0] == "input":
        return _shifted(cells, row + int(kind[1]), int(last))
    return _shifted(made, row - len(kind), int(last))


def _shifted(cells: Cells, row: int, right: int) -> NDArray[np.uint8]:
    """A row moved to the left by that many cells; walls outside."""
    width = cells.shape[1]
    line = np.full(width + 2 * MARGIN, WALL, np.uint8)
    if 0 <= row < cells.shape[0]:
        line[MARGIN:-MARGIN] = cells[row]
    return line[MARGIN + right : MARGIN + right + width]


def scans(task: Task, seed: int, until: Deadline) -> Iterator[Solution]:
    """Programs that run over the grid in one of four directions; for outputs as large as the inputs."""
    if any(pair.input.shape != pair.output.shape for pair in task.demonstrations):
        return
    for quarters in range(4):
        if until.passed():
            return
        yield from _scans(task, quarters, seed, until)


def _scans(task: Task, quarters: int, seed: int, until: Deadline) -> Iterator[Solution]:
    cases = _cases(task, quarters)
    for decision in tables.decisions(cases, 4, 6, generator(seed, task.id, "scans"), until):
        names = [SIGHTS[k] for k in decision.features]
        table = tables.table_of(cases, decision.features)
        try:
            answers = tuple(scan(cells, quarters, names, table) for cells in task.tests)
        except NotApplicable:
            continue
        yield Solution(
            partial(_expression, quarters, names, table), answers, decision.cost + 1.5, decision.stability, "scan"
        )


def _cases(task: Task, quarters: int) -> Cases:
    seen, outcome, marks = [], [], []
    for k, pair in enumerate(task.demonstrations):
        cells, made = turn(pair.input, quarters), turn(pair.output, quarters)
        seen += [_line(cells, made, row, SIGHTS) for row in range(cells.shape[0])]
        outcome.append(made.ravel())
        marks.append(np.full(made.size, k, np.uint8))
    return tables.distinct(
        Cases(
            np.concatenate(seen, 1),
            np.zeros((len(SIGHTS), 0), np.uint8),
            np.concatenate(outcome),
            np.concatenate(marks),
            np.array(COSTS),
        )
    )


def _expression(quarters: int, names: list[str], table: dict[tuple[int, ...], int], root: Expression) -> Expression:
    return Call(scan, (root, quarters, names, table))
