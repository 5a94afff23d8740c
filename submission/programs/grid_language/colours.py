"""Operations on colours: choose, replace, rank, and rename them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, coloured, only, require

ABSENT = 1000
"""More cells than a grid has: stands for colours that are not there when the rarest is asked for."""


def keep_colour(cells: Cells, colour: int) -> Cells:
    """Only the cells of a colour."""
    made = only(cells, cells == colour)
    require(bool(made.any()))
    return made


def drop_colour(cells: Cells, colour: int) -> Cells:
    """Without the cells of a colour."""
    return only(cells, cells != colour)


def paint_all(cells: Cells, colour: int) -> Cells:
    """Everything that is coloured in one colour."""
    return coloured(cells != 0, colour)


def fill_background(cells: Cells, colour: int) -> Cells:
    """The background in a colour."""
    return cells + coloured(cells == 0, colour)


def where_empty(cells: Cells, colour: int) -> Cells:
    """The background in a colour, and everything coloured taken away."""
    return coloured(cells == 0, colour)


def swap_with_background(cells: Cells) -> Cells:
    """The most common colour and the background change places."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    colour = int(counts.argmax())
    return only(cells, cells != colour) + coloured(cells == 0, colour)


def keep_ranked(cells: Cells, rarest: bool) -> Cells:
    """Only the cells of the most common colour, or of the rarest; the background is no colour."""
    return only(cells, cells == _ranked(cells, rarest))


def drop_ranked(cells: Cells, rarest: bool) -> Cells:
    """Without the cells of the most common colour, or of the rarest; the background is no colour."""
    return only(cells, cells != _ranked(cells, rarest))


def paint_ranked(cells: Cells, rarest: bool) -> Cells:
    """Everything that is coloured in the most common colour, or in the rarest."""
    return coloured(cells != 0, _ranked(cells, rarest))


def flood_ranked(cells: Cells, rarest: bool) -> Cells:
    """The whole grid, background included, in the most common colour, or in the rarest."""
    return np.full_like(cells, _ranked(cells, rarest))


def ranked_cell(cells: Cells, rarest: bool) -> Cells:
    """A single cell of the most common colour, or of the rarest."""
    return np.full((1, 1), _ranked(cells, rarest), np.uint8)


def _ranked(cells: Cells, rarest: bool) -> int:
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    require(bool(counts.any()))
    if rarest:
        counts[counts == 0] = ABSENT
    return int(counts.argmin() if rarest else counts.argmax())


def histogram(cells: Cells) -> Cells:
    """A column per colour, the most common first, as high as it has cells; standing on the lower edge."""
    colours, counts = _by_count(cells)
    require(counts.size > 0 and counts.max() <= 30)
    rows = np.arange(counts.max())[::-1, None]
    return np.where(rows < counts, colours, 0).astype(np.uint8)


def colours_by_count(cells: Cells) -> Cells:
    """A column of the colours, the most common first; the background is no colour."""
    return np.ascontiguousarray(_by_count(cells)[0].astype(np.uint8)[:, None])


def count_row(cells: Cells) -> Cells:
    """A row of as many cells as are coloured, in the most common colour."""
    count = int((cells != 0).sum())
    require(0 < count <= 30)
    return np.full((1, count), _ranked(cells, False), np.uint8)


def _by_count(cells: Cells) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    require(order.size > 0)
    return order, counts[order]


def renaming(cells: Cells, free: tuple[int, ...], rarest_first: bool) -> Cells:
    """New names of the ten colours, [10]: the free ones among themselves, in order of how often the grid has them.

    The other colours keep their names. With (0, and the most common colour) free this moves any background to 0.
    """
    counts = np.bincount(cells.ravel(), minlength=10)
    ordered = sorted(free, key=lambda c: ((counts[c] or ABSENT) if rarest_first else -counts[c], c))
    names = np.arange(10, dtype=np.uint8)
    for name, colour in zip(sorted(free), ordered, strict=True):
        names[colour] = name
    return names


def renamed(cells: Cells, names: Cells) -> Cells:
    """The grid in new names."""
    return names[cells]


def restored(cells: Cells, names: Cells) -> Cells:
    """The grid in the old names again: undoes `renamed`."""
    return np.argsort(names).astype(np.uint8)[cells]


def recolour(cells: Cells, table: tuple[int, ...]) -> Cells:
    """Each colour replaced by that of a table of ten; -1 stands for a colour that the table does not know."""
    made = np.array(table, np.int8)[cells]
    require(int(made.min()) >= 0)
    return made.astype(np.uint8)
