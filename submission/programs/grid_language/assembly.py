"""Operations that assemble a list of parts into one grid.

Some draw the parts (at their places, stacked, side by side), others reduce each part to a cell, or count the parts.
"""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.grid_language.part_selection import PROPERTIES
from submission.programs.grid_language.values import Cells, Parts, legal_grid, masked, require


def compose(parts: Parts) -> Cells:
    """Draw every part at its place, later parts over earlier ones; background cells are transparent."""
    result = np.zeros(parts.shape, np.uint8)
    for cells, top, left in parts.items:
        h, w = (min(cells.shape[0], parts.shape[0] - top), min(cells.shape[1], parts.shape[1] - left))
        np.copyto(result[top : top + h, left : left + w], cells[:h, :w], where=cells[:h, :w] != 0)
    return result


def overlay(parts: Parts) -> Cells:
    """Stack parts of one size, earlier ones on top; background cells are transparent."""
    result = parts.items[0].cells
    require(len(parts.items) > 1 and all(part.cells.shape == result.shape for part in parts.items))
    for part in parts.items[1:]:
        result = np.where(result == 0, part.cells, result)
    return result


def overlay_growing(parts: Parts) -> Cells:
    """Stack parts of one size, those with fewer coloured cells on top."""
    return overlay(Parts(parts.shape, tuple(sorted(parts.items, key=PROPERTIES["cells"]))))


def all_of(parts: Parts) -> Cells:
    """Logical and: the cells that are coloured in all parts (of one size), in the colours of the first."""
    first = parts.items[0].cells
    require(len(parts.items) > 1 and all(part.cells.shape == first.shape for part in parts.items))
    return masked(first, np.logical_and.reduce([part.cells != 0 for part in parts.items]))


def odd_one(parts: Parts) -> Cells:
    """Exclusive or: the cells that are coloured in exactly one of the parts (of one size)."""
    shape = parts.items[0].cells.shape
    require(len(parts.items) > 1 and all(part.cells.shape == shape for part in parts.items))
    highest = np.max([part.cells for part in parts.items], axis=0)
    return masked(highest, np.sum([part.cells != 0 for part in parts.items], axis=0) == 1)


def in_row(parts: Parts) -> Cells:
    """Concatenate parts of one height from left to right."""
    height = parts.items[0].cells.shape[0]
    require(all(part.cells.shape[0] == height for part in parts.items))
    return legal_grid(np.concatenate([part.cells for part in parts.items], 1))


def in_column(parts: Parts) -> Cells:
    """Concatenate parts of one width from top to bottom."""
    width = parts.items[0].cells.shape[1]
    require(all(part.cells.shape[1] == width for part in parts.items))
    return legal_grid(np.concatenate([part.cells for part in parts.items], 0))


def count_in_row(parts: Parts) -> Cells:
    """Return one grid row with a cell for each part, in the part's most common colour."""
    require(len(parts.items) <= LARGEST_SIDE)
    return np.array([[_colour(part.cells) for part in parts.items]], np.uint8)


def count_on_diagonal(parts: Parts) -> Cells:
    """Return a square with a cell for each part on its diagonal, in the part's most common colour."""
    return legal_grid(np.diag(count_in_row(parts)[0]))


def abstract(parts: Parts) -> Cells:
    """Reduce each part to one cell in its most common colour, keeping the arrangement in rows and columns of parts."""
    tops, lefts = sorted({p.top for p in parts.items}), sorted({p.left for p in parts.items})
    require(len(parts.items) > 1 and len(tops) <= LARGEST_SIDE and len(lefts) <= LARGEST_SIDE)
    result = np.zeros((len(tops), len(lefts)), np.uint8)
    for part in parts.items:
        result[tops.index(part.top), lefts.index(part.left)] = _colour(part.cells)
    return result


def abstract_by_count(parts: Parts) -> Cells:
    """Do `abstract`, but keep only the parts with the most coloured cells."""
    counts = [PROPERTIES["cells"](part) for part in parts.items]
    result = abstract(parts)
    tops, lefts = sorted({p.top for p in parts.items}), sorted({p.left for p in parts.items})
    for part, count in zip(parts.items, counts, strict=True):
        result[tops.index(part.top), lefts.index(part.left)] *= count == max(counts)
    return result


def _colour(cells: Cells) -> int:
    """Return the most common colour, 0 for an empty piece."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def count_over(parts: Parts, canvas: Cells) -> Cells:
    """Fill as many cells of the canvas as there are parts, in reading order, with colour 1."""
    require(len(parts.items) <= canvas.size)
    result = np.zeros(canvas.size, np.uint8)
    result[: len(parts.items)] = 1
    return result.reshape(canvas.shape)
