"""Scenes: a grid and its objects, and the cells that an object leaves in the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.values import Cells, Part, Parts, make_parts, require

Ints = NDArray[np.intp]

FARTHEST = 30
"""Steps that an object may move, and the width of the border around `Scene.walled`."""


Grouping = Literal["shapes", "shapes by sides", "groups", "groups by sides", "colours"]
"""What an object is: connected cells of one colour (shapes) or of any colours (groups), joined by sides and corners or
by sides alone; or all cells of a colour."""

CONNECTED = {
    "shapes": (True, True),
    "shapes by sides": (True, False),
    "groups": (False, True),
    "groups by sides": (False, False),
}
"""By colour, and with diagonal neighbours, see `components.labelled`."""


@dataclass(frozen=True, eq=False)
class Painted:
    """Cells of the output: places as row * width + column, each once, and their colours."""

    places: Ints
    colours: Cells


@dataclass(frozen=True, eq=False)
class Scene:
    """A grid and its objects."""

    cells: Cells
    grouping: Grouping

    @cached_property
    def labels(self) -> NDArray[np.int16]:
        """[height, width]: the number of the object that a cell belongs to, from 1; 0 for the background."""
        if self.grouping == "colours":
            present = np.unique(self.cells[self.cells > 0])
            return np.where(self.cells > 0, np.searchsorted(present, self.cells) + 1, 0).astype(np.int16)
        return labelled(self.cells, *CONNECTED[self.grouping])[0]

    @cached_property
    def parts(self) -> Parts:
        """The objects, by their labels; NotApplicable where there are none or too many."""
        items = []
        for k in range(1, int(self.labels.max()) + 1):
            rows, columns = np.nonzero(self.labels == k)
            at = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            items.append(Part(self.cells[at] * (self.labels[at] == k), int(rows.min()), int(columns.min())))
        return make_parts((self.cells.shape[0], self.cells.shape[1]), items)

    @cached_property
    def places(self) -> list[tuple[Ints, Ints]]:
        """Rows and columns of the cells of each object."""
        found = (np.nonzero(self.labels == k + 1) for k in range(len(self.parts.items)))
        return [(rows, columns) for rows, columns in found]

    @cached_property
    def main_colours(self) -> list[int]:
        """The most common colour of each object."""
        return [int(np.bincount(part.cells.ravel(), minlength=10)[1:].argmax()) + 1 for part in self.parts.items]

    @cached_property
    def walled(self) -> NDArray[np.int16]:
        """The labels with a border of -1 around them, FARTHEST cells wide."""
        height, width = self.labels.shape
        result = np.full((height + 2 * FARTHEST, width + 2 * FARTHEST), -1, np.int16)
        result[FARTHEST:-FARTHEST, FARTHEST:-FARTHEST] = self.labels
        return result

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """[objects, 2]: the middle of each object's bounding box."""
        return np.array(
            [(p.top + (p.cells.shape[0] - 1) / 2, p.left + (p.cells.shape[1] - 1) / 2) for p in self.parts.items]
        )

    def painted(self, rows: Ints, columns: Ints, colours: NDArray[np.uint8] | int) -> Painted:
        """These cells with their colours; those outside of the grid are left out."""
        height, width = self.cells.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        all_colours = np.broadcast_to(np.asarray(colours, np.uint8), rows.shape)
        return Painted((rows * width + columns)[inside], all_colours[inside])

    def own(self, k: int) -> tuple[Ints, Ints, Cells]:
        """Rows, columns and colours of an object's cells."""
        rows, columns = self.places[k]
        return rows, columns, self.cells[rows, columns]

    def with_empty(self, k: int, mask: NDArray[np.bool_], colour: int) -> Painted:
        """The object as it is, and the background cells of a mask [height, width] in a colour; 0: the object's own.

        NotApplicable where there are none.
        """
        rows, columns, colours = self.own(k)
        more_rows, more_columns = np.nonzero(mask & (self.cells == 0))
        require(more_rows.size > 0)
        return self.painted(
            np.concatenate([rows, more_rows]),
            np.concatenate([columns, more_columns]),
            np.concatenate([colours, np.full(more_rows.size, colour or self.main_colours[k], np.uint8)]),
        )
