"""The values of the grid language: grids, and lists of parts cut out of a grid.

Colour 0 is the background in every operation; all other cells are called coloured. (Tasks with another background are
searched again with their colours renamed, see `synthesis.colour_normalization`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import LARGEST_SIDE

Cells = NDArray[np.uint8]
"""A grid: colours 0..9, [height, width], each side 1..30. Never changed after it was returned."""

T = TypeVar("T")

MOST_PARTS = 64
"""Length of the longest list of parts."""


class NotApplicable(ValueError):
    """An operation has no sensible result for this value; a program that needs it does not fit."""


class Part(NamedTuple):
    """A piece of a grid and its place there; the cells around a component are 0."""

    cells: Cells
    top: int
    """Grid row of its upper left cell."""
    left: int
    """Grid column of its upper left cell."""


@dataclass(frozen=True, eq=False)
class Parts:
    """An ordered list of pieces of one grid."""

    shape: tuple[int, int]
    """Height and width of that grid."""
    items: tuple[Part, ...]
    _known: dict[object, list[Any]] = field(default_factory=dict, repr=False)
    """Rule -> what `of_each` gave: a dozen operations ask for the same."""

    def of_each(self, rule: Callable[[Part], T]) -> list[T]:
        """The rule's result for each part."""
        known: list[T] | None = self._known.get(rule)
        if known is None:
            known = self._known[rule] = [rule(part) for part in self.items]
        return known


Value = Cells | Parts


def require(holds: bool) -> None:
    """Raise NotApplicable unless the condition holds."""
    if not holds:
        raise NotApplicable


def legal_grid(cells: NDArray[np.uint8]) -> Cells:
    """Return the cells C-ordered; NotApplicable unless they form a grid of 1x1 to 30x30."""
    height, width = cells.shape
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise NotApplicable
    return np.ascontiguousarray(cells)


def make_parts(shape: tuple[int, int], items: list[Part]) -> Parts:
    """Return a list of 1 to MOST_PARTS parts; NotApplicable for any other number."""
    if not 0 < len(items) <= MOST_PARTS:
        raise NotApplicable
    return Parts(shape, tuple(items))


def masked(cells: Cells, mask: NDArray[np.bool_]) -> Cells:
    """Return the cells where the mask is true, and background elsewhere."""
    result: Cells = cells * mask
    return result


def colour_mask(mask: NDArray[np.bool_], colour: int = 1) -> Cells:
    """Return one colour where the mask is true, and background elsewhere."""
    result: Cells = mask * np.uint8(colour)
    return result


def value_key(value: Value) -> bytes:
    """Return a hashable key: two values are equal if and only if their keys are."""
    if isinstance(value, Parts):
        pieces = [bytes((*p.cells.shape, p.top, p.left)) + p.cells.tobytes() for p in value.items]
        return b"parts" + bytes(value.shape) + b"".join(pieces)
    return bytes(value.shape) + value.tobytes()


def bordered(cells: NDArray[np.uint8], width: int, colour: int) -> Cells:
    """Return the cells with a border of this width around them. (`np.pad` takes ten times as long on small grids.)"""
    result = np.full((cells.shape[0] + 2 * width, cells.shape[1] + 2 * width), colour, np.uint8)
    result[width:-width, width:-width] = cells
    return result


def shifted(cells: Cells, down: int, right: int) -> Cells:
    """Return the grid shifted down and to the right (negative: up, left); cells that leave it are lost."""
    result = np.zeros_like(cells)
    h, w = cells.shape
    result[max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)] = cells[
        max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)
    ]
    return result


def symmetric_views(cells: Cells) -> list[Cells]:
    """Return the grid under the eight symmetries of the square, the grid itself first."""
    result = []
    for view in (cells, cells.T):
        result += [view, view[::-1], view[:, ::-1], view[::-1, ::-1]]
    return result
