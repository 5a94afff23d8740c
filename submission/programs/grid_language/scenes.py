"""Scenes: a grid and its objects, and the cells that an object leaves in the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.grid_language.components import Labels, cut_out, labelled
from submission.programs.grid_language.values import Cells, Parts, make_parts, require

Ints = NDArray[np.intp]

FARTHEST = LARGEST_SIDE
"""Steps that an object may move: as many as a side of the largest grid has cells. Also the border of `Scene.walled`."""


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
    """Cells of the output, each once."""

    places: Ints
    """[cells]: row * width + column."""
    colours: Cells
    """[cells]"""


@dataclass(frozen=True, eq=False)
class Scene:
    """A grid and its objects."""

    cells: Cells
    grouping: Grouping

    @cached_property
    def labels(self) -> Labels:
        """[height, width]: the number of the object that a cell belongs to, from 1; 0 for the background."""
        if self.grouping == "colours":
            present = np.unique(self.cells[self.cells > 0])
            return np.where(self.cells > 0, np.searchsorted(present, self.cells) + 1, 0).astype(np.int16)
        return labelled(self.cells, *CONNECTED[self.grouping])[0]

    @cached_property
    def parts(self) -> Parts:
        """The objects, by their labels; NotApplicable where there are none or too many."""
        cells = [np.nonzero(self.labels == k) for k in range(1, int(self.labels.max()) + 1)]
        boxes = [(int(r.min()), int(r.max()), int(c.min()), int(c.max())) for r, c in cells]
        return make_parts((self.cells.shape[0], self.cells.shape[1]), cut_out(self.cells, self.labels, boxes))

    @cached_property
    def places(self) -> list[tuple[Ints, Ints]]:
        """Rows and columns of the cells of each object, [cells] each."""
        found = (np.nonzero(self.labels == k + 1) for k in range(len(self.parts.items)))
        return [(rows, columns) for rows, columns in found]

    @cached_property
    def main_colours(self) -> list[int]:
        """The most common colour of each object."""
        return [int(np.bincount(part.cells.ravel(), minlength=10)[1:].argmax()) + 1 for part in self.parts.items]

    @cached_property
    def walled(self) -> Labels:
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
        """These cells, all [cells], with their colours or one colour; those outside of the grid are left out."""
        height, width = self.cells.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        all_colours = np.broadcast_to(np.asarray(colours, np.uint8), rows.shape)
        return Painted((rows * width + columns)[inside], all_colours[inside])

    def own(self, k: int) -> tuple[Ints, Ints, Cells]:
        """Rows, columns and colours of an object's cells, [cells] each."""
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
