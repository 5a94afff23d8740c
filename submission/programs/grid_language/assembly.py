"""Operations that make one grid of a list of parts."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.grid_language.part_selection import PROPERTIES
from submission.programs.grid_language.values import Cells, Parts, legal, only, require


def compose(found: Parts) -> Cells:
    """Every part where it was, later ones over earlier ones, what is background in them transparent."""
    made = np.zeros(found.shape, np.uint8)
    for cells, top, left in found.items:
        h, w = (min(cells.shape[0], found.shape[0] - top), min(cells.shape[1], found.shape[1] - left))
        np.copyto(made[top : top + h, left : left + w], cells[:h, :w], where=cells[:h, :w] != 0)
    return made


def overlay(found: Parts) -> Cells:
    """Parts of one size laid upon each other, earlier ones on top."""
    made = found.items[0].cells
    require(len(found.items) > 1 and all(part.cells.shape == made.shape for part in found.items))
    for part in found.items[1:]:
        made = np.where(made == 0, part.cells, made)
    return made


def overlay_growing(found: Parts) -> Cells:
    """Parts of one size laid upon each other, those with fewer coloured cells on top."""
    return overlay(Parts(found.shape, tuple(sorted(found.items, key=PROPERTIES["cells"]))))


def all_of(found: Parts) -> Cells:
    """Parts of one size: cells that are coloured in all of them, as in the first."""
    first = found.items[0].cells
    require(len(found.items) > 1 and all(part.cells.shape == first.shape for part in found.items))
    return only(first, np.logical_and.reduce([part.cells != 0 for part in found.items]))


def odd_one(found: Parts) -> Cells:
    """Parts of one size: cells that are coloured in exactly one of them."""
    shape = found.items[0].cells.shape
    require(len(found.items) > 1 and all(part.cells.shape == shape for part in found.items))
    highest = np.max([part.cells for part in found.items], axis=0)
    return only(highest, np.sum([part.cells != 0 for part in found.items], axis=0) == 1)


def in_row(found: Parts) -> Cells:
    """Parts of one height side by side."""
    height = found.items[0].cells.shape[0]
    require(all(part.cells.shape[0] == height for part in found.items))
    return legal(np.concatenate([part.cells for part in found.items], 1))


def in_column(found: Parts) -> Cells:
    """Parts of one width below each other."""
    width = found.items[0].cells.shape[1]
    require(all(part.cells.shape[1] == width for part in found.items))
    return legal(np.concatenate([part.cells for part in found.items], 0))


def count_in_row(found: Parts) -> Cells:
    """A row of one cell for each part, in the part's most common colour."""
    require(len(found.items) <= LARGEST_SIDE)
    return np.array([[_colour(part.cells) for part in found.items]], np.uint8)


def count_on_diagonal(found: Parts) -> Cells:
    """A square with one cell for each part on its diagonal, in the part's most common colour."""
    return legal(np.diag(count_in_row(found)[0]))


def abstract(found: Parts) -> Cells:
    """One cell for each part, at its place in the rows and columns of parts."""
    tops, lefts = sorted({p.top for p in found.items}), sorted({p.left for p in found.items})
    require(len(found.items) > 1 and len(tops) <= LARGEST_SIDE and len(lefts) <= LARGEST_SIDE)
    made = np.zeros((len(tops), len(lefts)), np.uint8)
    for part in found.items:
        made[tops.index(part.top), lefts.index(part.left)] = _colour(part.cells)
    return made


def abstract_by_count(found: Parts) -> Cells:
    """As `abstract`, but only of the parts with the most coloured cells."""
    counts = [PROPERTIES["cells"](part) for part in found.items]
    made = abstract(found)
    tops, lefts = sorted({p.top for p in found.items}), sorted({p.left for p in found.items})
    for part, count in zip(found.items, counts, strict=True):
        made[tops.index(part.top), lefts.index(part.left)] *= count == max(counts)
    return made


def _colour(cells: Cells) -> int:
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def count_over(found: Parts, canvas: Cells) -> Cells:
    """As many cells of the canvas as there are parts, in reading order, as colour 1."""
    require(len(found.items) <= canvas.size)
    made = np.zeros(canvas.size, np.uint8)
    made[: len(found.items)] = 1
    return made.reshape(canvas.shape)
