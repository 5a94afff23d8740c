"""The steps that end a program with something learned: a table for cells, layers laid upon each other, a mosaic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, legal, require
from submission.programs.synthesis.regions import Seen
from submission.programs.synthesis.trees import Tree, voted

KEEP = 10
"""Outcome of a cell that stays as it is in the base."""
PAINT = 11
"""Outcome of a cell that takes its colour from the paint."""


def by_table(
    base: Cells, columns: Sequence[Seen], table: Mapping[tuple[int, ...], int], paint: Cells | None = None
) -> Cells:
    """Each cell becomes what the table says for its features: a colour 0..9, KEEP, or PAINT.

    NotApplicable for a cell whose features the table does not know, or grids of different sizes.
    """
    require(all(column.shape == base.shape for column in columns) and (paint is None or paint.shape == base.shape))
    outcome = looked_up([np.ravel(column) for column in columns], table)
    return resolved(base, outcome.reshape(base.shape), paint)


def looked_up(columns: Sequence[NDArray[np.uint8]], table: Mapping[tuple[int, ...], int]) -> NDArray[np.uint8]:
    """The table's outcomes for cells in a line; NotApplicable for a cell that it does not know."""
    codes = _codes(columns)
    known = _codes([np.array(column) for column in zip(*table, strict=True)])
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    require(bool((known[order][at] == codes).all()))
    return np.array(list(table.values()), np.uint8)[order][at]


def by_trees(base: Cells, columns: Sequence[Seen], grown: Sequence[Tree], paint: Cells | None = None) -> Cells:
    """Each cell becomes what most of the decision trees say for its features: a colour 0..9, KEEP, or PAINT."""
    require(all(column.shape == base.shape for column in columns) and (paint is None or paint.shape == base.shape))
    seen = np.stack([np.ravel(column) for column in columns])
    return resolved(base, voted(grown, seen).reshape(base.shape), paint)


def resolved(base: Cells, outcome: NDArray[np.uint8], paint: Cells | None) -> Cells:
    """Outcomes as colours."""
    made = np.where(outcome == KEEP, base, outcome).astype(np.uint8)
    return made if paint is None else np.where(outcome == PAINT, paint, made)


def _codes(columns: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    codes = np.zeros(columns[0].shape, np.int64)
    for column in columns:
        codes = codes * 64 + column
    return codes


def layered(*layers: Cells) -> Cells:
    """Grids of one size upon each other, the first uppermost; background is transparent, but in the last."""
    require(len({cells.shape for cells in layers}) == 1)
    made = layers[-1]
    for cells in reversed(layers[:-1]):
        made = np.where(cells != 0, cells, made)
    return made


def mosaic(*rows: Sequence[Cells]) -> Cells:
    """Grids of one size side by side and below each other."""
    require(len({cells.shape for row in rows for cells in row}) == 1)
    return legal(np.concatenate([np.concatenate(row, 1) for row in rows]))
