"""Small grids drawn as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def drawn(text: str) -> npt.NDArray[np.int64]:
    """The grid of a text: a digit for a cell, a dot for 0, lines separated by spaces."""
    return np.array([[int(cell.replace(".", "0")) for cell in line] for line in text.split()], dtype=np.int64)


def text_of(cells: npt.NDArray[Any]) -> str:
    """The text of a grid or mask, as `drawn` reads it."""
    return " ".join("".join("." if cell == 0 else str(int(cell)) for cell in line) for line in cells)
