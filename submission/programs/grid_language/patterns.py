"""Operations that complete a grid from its own regularity: mirror symmetry, and repetition of a tile.

The hidden cells are those of the background (0); `hide` turns another colour into the hidden one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, colour_mask, masked, require


def hide(cells: Cells, colour: int) -> Cells:
    """Swap a colour with the background: its cells become hidden (0), and cells that were 0 get the colour."""
    return masked(cells, cells != colour) + colour_mask(cells == 0, colour)


def complete_symmetry(cells: Cells) -> Cells:
    """Fill hidden cells from their mirror images; NotApplicable if that fills nothing.

    An axis is used if no two visible cells contradict each other. Left-right and up-down axes may lie off the middle
    (the nearest to the middle is used); square grids are mirrored at the main diagonal as well.
    """
    result = cells
    for _ in range(4):
        better = _mirror_filled(result)
        if (better == result).all():
            break
        result = better
    require((result != cells).any())
    return result


def _mirror_filled(cells: Cells) -> Cells:
    """Fill once from the up-down, the left-right and the diagonal mirror image, where these fit."""
    result = cells.copy()
    for transposed in (False, True):
        view = result.T if transposed else result
        rows = _best_axis(view)
        if rows is not None:
            _fill_from(view, view[rows[0]], rows[1])
    if result.shape[0] == result.shape[1] and _agree(result, result.T):
        _fill_from(result, result.T, np.ones(result.shape[0], bool))
    return result


def _best_axis(cells: Cells) -> tuple[NDArray[np.intp], NDArray[np.bool_]] | None:
    """Find the horizontal axis nearest to the middle under which no visible cells differ; None if there is none.

    Returns the mirror image of each grid row [height], and whether it lies inside of the grid [height].
    """
    height = cells.shape[0]
    for total in sorted(range(height // 2, height * 3 // 2), key=lambda t: abs(t - (height - 1))):
        other = total - np.arange(height)
        within = (other >= 0) & (other < height)
        mirrored = cells[np.clip(other, 0, height - 1)]
        if within.sum() * 2 > height and _agree(cells[within], mirrored[within]):
            return np.clip(other, 0, height - 1), within
    return None


def _agree(one: Cells, other: Cells) -> bool:
    """Whether all cells that are visible in both are equal, and there is such a cell."""
    both = (one != 0) & (other != 0)
    return bool((one == other)[both].all() and both.any())


def _fill_from(cells: Cells, source: Cells, within: NDArray[np.bool_]) -> None:
    """Fill the hidden cells in place; `within` [height] selects the grid rows."""
    empty = (cells == 0) & within[:, None]
    cells[empty] = source[empty]


def complete_repetition(cells: Cells) -> Cells:
    """Fill hidden cells from the smallest tile whose repetition agrees with all visible cells.

    Where no tile does, diagonal stripes are tried; NotApplicable if they do not fit either.
    """
    height, width = cells.shape
    sizes = [(a, b) for a in range(1, height + 1) for b in range(1, width + 1) if (a, b) != (height, width)]
    for down, across in sorted(sizes, key=lambda s: (s[0] * s[1], s)):
        at = np.arange(height)[:, None] % down * across + np.arange(width)[None, :] % across
        result = _repeated(cells, at, down * across)
        if result is not None:
            return result
    return _complete_diagonals(cells)


def _complete_diagonals(cells: Cells) -> Cells:
    """Fill hidden cells by diagonal stripes: the colour depends on row plus (or minus) column, modulo a period."""
    height, width = cells.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for period in range(2, max(height, width)):
        for sign in (1, -1):
            result = _repeated(cells, (rows + sign * columns) % period, period)
            if result is not None:
                return result
    require(False)
    return cells


def _repeated(cells: Cells, at: NDArray[np.intp], classes: int) -> Cells | None:
    """Give each cell the visible colour of its class; None if a class shows two colours or none.

    `at` [height, width] is the class of each cell, 0 .. `classes` - 1.
    """
    seen = cells != 0
    highest = np.zeros(classes, np.uint8)
    np.maximum.at(highest, at[seen], cells[seen])
    if not highest.all() or (highest[at] != cells)[seen].any():
        return None
    return highest[at]


def continued(cells: Cells, across: bool) -> Cells:
    """Repeat the first rows, or columns (`across`), up to the border: the period of all lines before the blank ones.

    NotApplicable without blank lines at the end, or where the lines before them do not repeat.
    """
    view = cells.T if across else cells
    used = int(np.flatnonzero(view.any(1)).max(initial=-1)) + 1
    require(1 < used < view.shape[0])
    period = next((p for p in range(1, used) if bool((view[p:used] == view[: used - p]).all())), used)
    require(period < used)
    result = view[np.arange(view.shape[0]) % period]
    return np.ascontiguousarray(result.T if across else result)


AXES = ("rows", "columns", "both", "half turn", "diagonal", "turns", "all")
"""The symmetries that `symmetrised` can make."""


def symmetrised(cells: Cells, axes: str) -> Cells:
    """Draw the grid over its images under one of AXES: the original on top, background transparent."""
    require(axes not in ("diagonal", "turns", "all") or cells.shape[0] == cells.shape[1])
    views = {
        "rows": [cells[::-1]],
        "columns": [cells[:, ::-1]],
        "both": [cells[::-1], cells[:, ::-1], cells[::-1, ::-1]],
        "half turn": [cells[::-1, ::-1]],
        "diagonal": [cells.T],
        "turns": [np.rot90(cells, k) for k in (1, 2, 3)],
        "all": [np.rot90(each, k) for each in (cells, cells.T) for k in range(4)],
    }[axes]
    result = cells
    for view in views:
        result = np.where(result == 0, view, result)
    return np.ascontiguousarray(result)


def symmetrised_about(cells: Cells, rarest: bool, axes: str) -> Cells:
    """Do `symmetrised` about the centre of the bounding box of the rarest (or most common) colour."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    present = np.flatnonzero(counts)
    require(present.size > 1)
    colour = present[counts[present].argmin() if rarest else counts[present].argmax()]
    rows, columns = np.nonzero(cells == colour)
    down, across = int(rows.min() + rows.max()), int(columns.min() + columns.max())
    result = cells
    for flip_rows, flip_columns in {"both": ((1, 0), (0, 1), (1, 1)), "rows": ((1, 0),), "columns": ((0, 1),)}[axes]:
        image = _reflected(cells, down if flip_rows else None, across if flip_columns else None)
        result = np.where(result == 0, image, result)
    return result


def _reflected(cells: Cells, down: int | None, across: int | None) -> Cells:
    """Give each cell (r, c) that at (down - r, across - c), background where that is outside; None: not mirrored."""
    rows, columns = np.arange(cells.shape[0]), np.arange(cells.shape[1])
    rows = rows if down is None else down - rows
    columns = columns if across is None else across - columns
    within = ((rows >= 0) & (rows < cells.shape[0]))[:, None] & ((columns >= 0) & (columns < cells.shape[1]))
    picked = cells[np.clip(rows, 0, cells.shape[0] - 1)[:, None], np.clip(columns, 0, cells.shape[1] - 1)]
    return masked(picked, within)


def uncovered(cells: Cells, colour: int, how: str) -> Cells:
    """Fill in the cells of one colour, by "symmetry" or by "repetition"; NotApplicable unless all can be filled."""
    require(bool((cells == colour).any()))
    complete = complete_symmetry if how == "symmetry" else complete_repetition
    result = complete(hide(cells, colour) if colour else cells)
    require(bool(result.all()))
    return np.where(result == colour, np.uint8(0), result) if colour else result


def revealed(cells: Cells, colour: int, how: str) -> Cells:
    """Do `uncovered`, and crop to the bounding box of the cells that were hidden."""
    result = uncovered(cells, colour, how)
    rows, columns = np.nonzero(cells == colour)
    return np.ascontiguousarray(result[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
