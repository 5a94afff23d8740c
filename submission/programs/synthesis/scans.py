"""Rules that run over a grid line by line: a cell depends on the input around it and on the output of the line before.

Patterns that are drawn step by step (rays that continue, bend or bounce, trails, growing shapes) follow such a rule. It
is a decision table over the input around a cell and the output one or two lines earlier, learned as in `tables`. The
scan may run in any of four directions: the grid is turned, scanned from top to bottom, and turned back.
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
from submission.programs.synthesis.tables import CellExamples
from submission.rng import generator

BEFORE = tuple(f"before {k}" for k in (0, -1, 1, -2, 2))
"""The output one line earlier, in the same column or that many columns to the right (negative: to the left)."""
EARLIER = ("two before 0",)
"""The output two lines earlier, in the same column."""
AROUND = tuple(f"input {r} {c}" for r, c in ((0, 0), (0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (1, 1), (2, 0)))
"""The input that many lines below and columns to the right of the cell."""
PARITY = ("row parity", "column parity")
FEATURES = (*AROUND[:1], *BEFORE, *AROUND[1:], *EARLIER, *PARITY)
COSTS = tuple(0.3 if name == "input 0 0" else 0.6 if name.startswith("before") else 0.8 for name in FEATURES)
MARGIN = 2
"""Most columns that a feature is away from its cell."""
SCAN_COST = 1.5
"""What a scan adds to the cost of its table."""


def scan(cells: Cells, quarters: int, names: Sequence[str], table: Mapping[tuple[int, ...], int]) -> Cells:
    """Scan the grid, turned counter-clockwise by that many quarters, line by line from the top.

    Each cell becomes the colour that the table has for its features (names of FEATURES). NotApplicable if a combination
    is not in the table.
    """
    turned = turn(cells, quarters)
    output = np.full_like(turned, WALL)
    for row in range(turned.shape[0]):
        keys = _line_features(turned, output, row, names).T.tolist()
        colours = [table.get(tuple(key), -1) for key in keys]
        require(min(colours) >= 0)
        output[row] = colours
    return turn(output, -quarters)


def scans(task: Task, until: Deadline, seed: int) -> Iterator[Solution]:
    """Yield programs that are a scan in one of four directions; only for outputs as large as the inputs."""
    if any(pair.input.shape != pair.output.shape for pair in task.demonstrations):
        return
    for quarters in range(4):
        if until.passed():
            return
        yield from _scans(task, quarters, seed, until)


def _line_features(cells: Cells, output: Cells, row: int, names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the named features of the cells of one grid row: [names, width]."""
    return np.stack([_line_feature(cells, output, row, name) for name in names])


def _line_feature(cells: Cells, output: Cells, row: int, name: str) -> NDArray[np.uint8]:
    """Return one feature of the cells of one grid row: [width]."""
    width = cells.shape[1]
    *kind, last = name.split()
    if name == "row parity":
        return np.full(width, row % 2, np.uint8)
    if name == "column parity":
        return (np.arange(width) % 2).astype(np.uint8)
    if kind[0] == "input":
        return _shifted(cells, row + int(kind[1]), int(last))
    # "before" is one word, "two before" two: as many lines earlier.
    return _shifted(output, row - len(kind), int(last))


def _shifted(cells: Cells, row: int, right: int) -> NDArray[np.uint8]:
    """Return a grid row moved to the left by that many cells, WALL outside of the grid: [width]."""
    width = cells.shape[1]
    line = np.full(width + 2 * MARGIN, WALL, np.uint8)
    if 0 <= row < cells.shape[0]:
        line[MARGIN:-MARGIN] = cells[row]
    return line[MARGIN + right : MARGIN + right + width]


def _scans(task: Task, quarters: int, seed: int, until: Deadline) -> Iterator[Solution]:
    """Yield programs that are a scan in one direction."""
    examples = _examples(task, quarters)
    for decision in tables.decision_tables(examples, 4, 6, generator(seed, task.id, "scans"), until):
        names = [FEATURES[k] for k in decision.features]
        table = tables.entries_of(examples, decision.features)
        try:
            answers = tuple(scan(cells, quarters, names, table) for cells in task.tests)
        except NotApplicable:
            continue
        build = partial(_expression, quarters, names, table)
        yield Solution(build, answers, decision.cost + SCAN_COST, decision.stability, "scan")


def _examples(task: Task, quarters: int) -> CellExamples:
    """Return all cells of the turned demonstrations; none of the tests, as their features depend on the scan itself."""
    features, outcome, demonstration = [], [], []
    for k, pair in enumerate(task.demonstrations):
        cells, output = turn(pair.input, quarters), turn(pair.output, quarters)
        features += [_line_features(cells, output, row, FEATURES) for row in range(cells.shape[0])]
        outcome.append(output.ravel())
        demonstration.append(np.full(output.size, k, np.uint8))
    return tables.distinct(
        CellExamples(
            np.concatenate(features, 1),
            np.zeros((len(FEATURES), 0), np.uint8),
            np.concatenate(outcome),
            np.concatenate(demonstration),
            np.array(COSTS),
        )
    )


def _expression(quarters: int, names: list[str], table: dict[tuple[int, ...], int], root: Expression) -> Expression:
    return Call(scan, (root, quarters, names, table))
