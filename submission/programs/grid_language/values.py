"""What the grid language computes with: grids, and lists of parts cut out of a grid.

Colour 0 is the background of every operation: it is what is not there. (Tasks with another background are searched
a second time with their colours renamed, see `colours`.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import LARGEST_SIDE

Cells = NDArray[np.uint8]
"""Colours 0..9, [height, width], each side 1..30; never written to once made."""

MOST_PARTS = 64


class NotApplicable(ValueError):
    """An operation has no sensible result for this value, so the program that uses it does not fit."""


class Part(NamedTuple):
    """A piece of a grid and where it was: background around a component is 0."""

    cells: Cells
    top: int
    left: int


class Parts(NamedTuple):
    """Pieces of one grid in an order, and the height and width of that grid."""

    shape: tuple[int, int]
    items: tuple[Part, ...]


Value = Cells | Parts


def require(holds: bool) -> None:
    """Raise NotApplicable unless it holds."""
    if not holds:
        raise NotApplicable


def legal(cells: NDArray[np.uint8]) -> Cells:
    """The same cells, C-ordered, if they make a grid of 1x1 to 30x30; NotApplicable otherwise."""
    height, width = cells.shape
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise NotApplicable
    return np.ascontiguousarray(cells)


def parts(shape: tuple[int, int], items: list[Part]) -> Parts:
    """A list of 1 to 64 parts; NotApplicable for any other number."""
    if not 0 < len(items) <= MOST_PARTS:
        raise NotApplicable
    return Parts(shape, tuple(items))


def only(cells: Cells, mask: NDArray[np.bool_]) -> Cells:
    """The cells under a mask, and background elsewhere."""
    made: Cells = cells * mask
    return made


def coloured(mask: NDArray[np.bool_], colour: int = 1) -> Cells:
    """A colour under a mask, and background elsewhere."""
    made: Cells = mask * np.uint8(colour)
    return made


def key(value: Value) -> bytes:
    """A hashable stand-in for a value: equal keys, equal values."""
    if isinstance(value, Parts):
        pieces = [bytes((*p.cells.shape, p.top, p.left)) + p.cells.tobytes() for p in value.items]
        return b"parts" + bytes(value.shape) + b"".join(pieces)
    return bytes(value.shape) + value.tobytes()


def bordered(cells: NDArray[np.uint8], width: int, colour: int) -> Cells:
    """The cells with a border around. (`np.pad` does the same in ten times the time for small grids.)"""
    made = np.full((cells.shape[0] + 2 * width, cells.shape[1] + 2 * width), colour, np.uint8)
    made[width:-width, width:-width] = cells
    return made


def turns_of(cells: Cells) -> list[Cells]:
    """The eight views of a grid under turns and mirrors, the grid first."""
    made = []
    for view in (cells, cells.T):
        made += [view, view[::-1], view[:, ::-1], view[::-1, ::-1]]
    return made
