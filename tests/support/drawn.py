"""Grids drawn as text: rows between spaces, a dot for black."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import Grid, grid
from submission.programs.grid_language.values import Cells


def cells(text: str) -> Cells:
    """A grid that may be written to."""
    return np.array([[0 if each == "." else int(each) for each in row] for row in text.split()], np.uint8)


def drawn(text: str) -> Grid:
    """A grid as tasks hold them."""
    return grid(cells(text))


def text(grid: Cells) -> str:
    """The drawing of a grid."""
    return " ".join("".join("." if cell == 0 else str(cell) for cell in row) for row in grid.tolist())
