"""Grids and masks as the programs of the sandbox have them, drawn as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.drawn import cells, text


def drawn(picture: str) -> npt.NDArray[np.int64]:
    """A grid of int64: rows between spaces, a dot for 0."""
    return cells(picture).astype(np.int64)


def text_of(grid: npt.NDArray[Any]) -> str:
    """The drawing of a grid, or of a mask as zeros and ones."""
    return text(grid.astype(np.int64))
