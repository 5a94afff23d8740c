"""The inside, the edge and the surroundings of an object."""

from __future__ import annotations

import numpy as np

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells, Mask, dilated, labelled

__all__ = ["object_boundary", "object_interior", "object_neighbors"]


def object_interior(grid: Cells, background: int = Color.BLACK) -> Mask:
    """True for the cells of an object and for the background that it encloses."""
    empty = grid == background
    labels, _ = labelled(empty, 4)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outside: Mask = empty & np.isin(labels, rim)
    return ~outside


def object_boundary(grid: Cells, background: int = Color.BLACK) -> Mask:
    """True for the cells of an object that border on the outside, or lie at the grid's edge."""
    edge = np.ones(grid.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    outside = ~object_interior(grid, background)
    boundary: Mask = (grid != background) & (edge | dilated(outside, 4))
    return boundary


def object_neighbors(grid: Cells, background: int = Color.BLACK, connectivity: int = 4) -> Mask:
    """True for the background next to the boundary of an object."""
    around = dilated(object_boundary(grid, background), connectivity)
    neighbours: Mask = around & (grid == background)
    return neighbours
