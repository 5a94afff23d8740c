"""The learned steps that may end a program: a decision table, decision trees, a stack of layers, a mosaic.

These functions stand in printed programs beside those of the grid language. The table or tree maps what is known of a
cell to an outcome: a colour 0..9, KEEP, or PAINT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, legal_grid, require
from submission.programs.synthesis.regions import CellFeature
from submission.programs.synthesis.tables import feature_codes
from submission.programs.synthesis.trees import Tree, voted

KEEP = 10
"""Outcome of a cell that keeps the colour it has in the base grid."""
PAINT = 11
"""Outcome of a cell that takes its colour from the paint, a second grid."""


def by_table(
    base: Cells, columns: Sequence[CellFeature], table: Mapping[tuple[int, ...], int], paint: Cells | None = None
) -> Cells:
    """Return the base with each cell replaced by the table's outcome for the cell's features.

    base, each of the columns (one feature each) and paint: [height, width]. The table has one entry for each
    combination of features. NotApplicable for a combination that is not in the table, or for grids of other sizes.
    """
    require(all(column.shape == base.shape for column in columns) and (paint is None or paint.shape == base.shape))
    outcome = looked_up([np.ravel(column) for column in columns], table)
    return resolved(base, outcome.reshape(base.shape), paint)


def looked_up(columns: Sequence[NDArray[np.uint8]], table: Mapping[tuple[int, ...], int]) -> NDArray[np.uint8]:
    """Return the table's outcome for each cell: columns of [cells] each -> [cells].

    NotApplicable for a cell whose features are not in the table.
    """
    codes = feature_codes(columns)
    known = feature_codes([np.array(column) for column in zip(*table, strict=True)])
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    require(bool((known[order][at] == codes).all()))
    return np.array(list(table.values()), np.uint8)[order][at]


def by_trees(base: Cells, columns: Sequence[CellFeature], grown: Sequence[Tree], paint: Cells | None = None) -> Cells:
    """Return the base with each cell replaced by the outcome that most trees give for the cell's features.

    base, each of the columns (one feature each) and paint: [height, width]. NotApplicable for grids of other sizes.
    """
    require(all(column.shape == base.shape for column in columns) and (paint is None or paint.shape == base.shape))
    features = np.stack([np.ravel(column) for column in columns])
    return resolved(base, voted(grown, features).reshape(base.shape), paint)


def resolved(base: Cells, outcome: NDArray[np.uint8], paint: Cells | None) -> Cells:
    """Return outcomes as colours; the three arrays have one shape, [height, width] or [cells]."""
    result = np.where(outcome == KEEP, base, outcome).astype(np.uint8)
    return result if paint is None else np.where(outcome == PAINT, paint, result)


def layered(*layers: Cells) -> Cells:
    """Return grids of one size stacked, the first on top; background is transparent except in the last."""
    require(len({cells.shape for cells in layers}) == 1)
    result = layers[-1]
    for cells in reversed(layers[:-1]):
        result = np.where(cells != 0, cells, result)
    return result


def mosaic(*rows: Sequence[Cells]) -> Cells:
    """Return grids of one size arranged in rows of tiles; NotApplicable where the whole is larger than 30x30."""
    require(len({cells.shape for row in rows for cells in row}) == 1)
    return legal_grid(np.concatenate([np.concatenate(row, 1) for row in rows]))
