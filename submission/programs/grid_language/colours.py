"""Operations on colours: select, replace, rank and rename them.

Colours are ranked by how many cells of the grid have them; the background (0) does not take part. `renaming`, `renamed`
and `restored` are for programs on a task with renamed colours (`synthesis.colour_normalization`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, colour_mask, legal_grid, masked, require

ABSENT = 1000
"""A count larger than any grid has cells: given to absent colours, so that they are never the rarest."""


def keep_colour(cells: Cells, colour: int) -> Cells:
    """Keep only the cells of one colour; NotApplicable if there is none."""
    result = masked(cells, cells == colour)
    require(bool(result.any()))
    return result


def drop_colour(cells: Cells, colour: int) -> Cells:
    """Remove the cells of one colour."""
    return masked(cells, cells != colour)


def paint_all(cells: Cells, colour: int) -> Cells:
    """Paint all coloured cells in one colour."""
    return colour_mask(cells != 0, colour)


def fill_background(cells: Cells, colour: int) -> Cells:
    """Paint the background in a colour."""
    return cells + colour_mask(cells == 0, colour)


def where_empty(cells: Cells, colour: int) -> Cells:
    """Paint the background in a colour and remove all coloured cells."""
    return colour_mask(cells == 0, colour)


def swap_with_background(cells: Cells) -> Cells:
    """Swap the most common colour with the background."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    colour = int(counts.argmax())
    return masked(cells, cells != colour) + colour_mask(cells == 0, colour)


def keep_ranked(cells: Cells, rarest: bool) -> Cells:
    """Keep only the cells of the most common (or rarest) colour; the background does not count as a colour."""
    return masked(cells, cells == ranked_colour(cells, rarest))


def drop_ranked(cells: Cells, rarest: bool) -> Cells:
    """Remove the cells of the most common (or rarest) colour; the background does not count as a colour."""
    return masked(cells, cells != ranked_colour(cells, rarest))


def paint_ranked(cells: Cells, rarest: bool) -> Cells:
    """Paint all coloured cells in the most common (or rarest) colour."""
    return colour_mask(cells != 0, ranked_colour(cells, rarest))


def flood_ranked(cells: Cells, rarest: bool) -> Cells:
    """Paint the whole grid, background included, in the most common (or rarest) colour."""
    return np.full_like(cells, ranked_colour(cells, rarest))


def ranked_cell(cells: Cells, rarest: bool) -> Cells:
    """Return a 1x1 grid of the most common (or rarest) colour."""
    return np.full((1, 1), ranked_colour(cells, rarest), np.uint8)


def ranked_colour(cells: Cells, rarest: bool) -> int:
    """Return the most common (or rarest) colour, the background left out; NotApplicable for an empty grid."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    require(bool(counts.any()))
    if rarest:
        counts[counts == 0] = ABSENT
    return int(counts.argmin() if rarest else counts.argmax())


def crop_to(cells: Cells, colour: int, inside: bool) -> Cells:
    """Crop to the bounding box of a colour, with all that is in it; `inside`: without its outermost lines."""
    rows, columns = np.nonzero(cells == colour)
    require(rows.size > 0)
    margin = 1 if inside else 0
    top, bottom, left, right = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
    return legal_grid(cells[top + margin : bottom + 1 - margin, left + margin : right + 1 - margin])


def crop_to_ranked(cells: Cells, rarest: bool, inside: bool) -> Cells:
    """Do `crop_to` with the most common (or rarest) colour; the background does not count as a colour."""
    return crop_to(cells, ranked_colour(cells, rarest), inside)


def histogram(cells: Cells) -> Cells:
    """Draw a bar chart: one grid column per colour, the most common first, as high as the colour has cells."""
    colours, counts = _by_count(cells)
    require(counts.size > 0 and counts.max() <= 30)
    rows = np.arange(counts.max())[::-1, None]
    return np.where(rows < counts, colours, 0).astype(np.uint8)


def colours_by_count(cells: Cells) -> Cells:
    """Return one grid column of the colours, the most common first; the background does not count as a colour."""
    return np.ascontiguousarray(_by_count(cells)[0].astype(np.uint8)[:, None])


def count_row(cells: Cells) -> Cells:
    """Return one grid row, as long as the grid has coloured cells, in the most common colour."""
    count = int((cells != 0).sum())
    require(0 < count <= 30)
    return np.full((1, count), ranked_colour(cells, False), np.uint8)


def _by_count(cells: Cells) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the colours, the most common first, and their counts: [colours] each."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    require(order.size > 0)
    return order, counts[order]


def renaming(cells: Cells, free: tuple[int, ...], rarest_first: bool) -> Cells:
    """Return the new name of each of the ten colours: [10].

    The `free` colours exchange names: sorted by how often the grid has them, they get the free names in ascending
    order. The other colours keep their names. If 0 is free, the most common free colour becomes the background.
    """
    counts = np.bincount(cells.ravel(), minlength=10)
    ordered = sorted(free, key=lambda c: ((counts[c] or ABSENT) if rarest_first else -counts[c], c))
    names = np.arange(10, dtype=np.uint8)
    for name, colour in zip(sorted(free), ordered, strict=True):
        names[colour] = name
    return names


def renamed(cells: Cells, names: Cells) -> Cells:
    """Rename the colours of a grid by a table from `renaming`."""
    return names[cells]


def restored(cells: Cells, names: Cells) -> Cells:
    """Undo `renamed`."""
    return np.argsort(names).astype(np.uint8)[cells]
