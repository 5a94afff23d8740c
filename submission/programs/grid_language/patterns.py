"""Operations that complete a picture from its own regularity: mirror symmetry, and repetition.

What is hidden is background (0); `hide` makes a colour the hidden one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import Cells, coloured, only, require


def hide(cells: Cells, colour: int) -> Cells:
    """The colour becomes hidden (0), and what was 0 becomes that colour."""
    return only(cells, cells != colour) + coloured(cells == 0, colour)


def complete_symmetry(cells: Cells) -> Cells:
    """Hidden cells filled from their mirror images, at the axes under which most cells agree and none differ.

    Tries left-right, up-down and diagonal mirrors with every axis near the middle; all exact ones are used.
    """
    made = cells
    for _ in range(4):
        better = _mirror_filled(made)
        if (better == made).all():
            break
        made = better
    require((made != cells).any())
    return made


def _mirror_filled(cells: Cells) -> Cells:
    made = cells.copy()
    for transposed in (False, True):
        view = made.T if transposed else made
        rows = _best_axis(view)
        if rows is not None:
            _fill_from(view, view[rows[0]], rows[1])
    if made.shape[0] == made.shape[1] and _agree(made, made.T):
        _fill_from(made, made.T, np.ones(made.shape[0], bool))
    return made


def _best_axis(cells: Cells) -> tuple[NDArray[np.intp], NDArray[np.bool_]] | None:
    """For each row the row that mirrors it, and whether that is inside; for the axis nearest to the middle."""
    height = cells.shape[0]
    for total in sorted(range(height // 2, height * 3 // 2), key=lambda t: abs(t - (height - 1))):
        other = total - np.arange(height)
        within = (other >= 0) & (other < height)
        mirrored = cells[np.clip(other, 0, height - 1)]
        if within.sum() * 2 > height and _agree(cells[within], mirrored[within]):
            return np.clip(other, 0, height - 1), within
    return None


def _agree(one: Cells, other: Cells) -> bool:
    both = (one != 0) & (other != 0)
    return bool((one == other)[both].all() and both.any())


def _fill_from(cells: Cells, source: Cells, within: NDArray[np.bool_]) -> None:
    empty = (cells == 0) & within[:, None]
    cells[empty] = source[empty]


def complete_repetition(cells: Cells) -> Cells:
    """Hidden cells filled from the smallest tile (with its shift per row) that agrees with all that is seen."""
    height, width = cells.shape
    sizes = [(a, b) for a in range(1, height + 1) for b in range(1, width + 1) if (a, b) != (height, width)]
    for down, across in sorted(sizes, key=lambda s: (s[0] * s[1], s)):
        at = np.arange(height)[:, None] % down * across + np.arange(width)[None, :] % across
        made = _repeated(cells, at, down * across)
        if made is not None:
            return made
    return _complete_diagonals(cells)


def _complete_diagonals(cells: Cells) -> Cells:
    """The same for lines of one slope: colours that depend on row plus (or minus) column, modulo a period."""
    height, width = cells.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for period in range(2, max(height, width)):
        for sign in (1, -1):
            made = _repeated(cells, (rows + sign * columns) % period, period)
            if made is not None:
                return made
    require(False)
    return cells


def _repeated(cells: Cells, at: NDArray[np.intp], classes: int) -> Cells | None:
    """Each cell in the colour seen in its class; None where two colours are seen, or none, in a class."""
    seen = cells != 0
    highest = np.zeros(classes, np.uint8)
    np.maximum.at(highest, at[seen], cells[seen])
    if not highest.all() or (highest[at] != cells)[seen].any():
        return None
    return highest[at]


AXES = ("rows", "columns", "both", "half turn", "diagonal", "turns", "all")


def symmetrised(cells: Cells, axes: str) -> Cells:
    """The grid laid over its mirror images (rows, columns, both, turns, all), the original on top."""
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
    made = cells
    for view in views:
        made = np.where(made == 0, view, made)
    return np.ascontiguousarray(made)


def symmetrised_about(cells: Cells, rarest: bool, axes: str) -> Cells:
    """As `symmetrised`, but about the middle of the bounding box of the rarest (or most common) colour."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    present = np.flatnonzero(counts)
    require(present.size > 1)
    colour = present[counts[present].argmin() if rarest else counts[present].argmax()]
    rows, columns = np.nonzero(cells == colour)
    down, across = int(rows.min() + rows.max()), int(columns.min() + columns.max())
    made = cells
    for flip_rows, flip_columns in {"both": ((1, 0), (0, 1), (1, 1)), "rows": ((1, 0),), "columns": ((0, 1),)}[axes]:
        image = _reflected(cells, down if flip_rows else None, across if flip_columns else None)
        made = np.where(made == 0, image, made)
    return made


def _reflected(cells: Cells, down: int | None, across: int | None) -> Cells:
    """Each cell (r, c) gets what is at (down - r, across - c), nothing where that is outside."""
    rows, columns = np.arange(cells.shape[0]), np.arange(cells.shape[1])
    rows = rows if down is None else down - rows
    columns = columns if across is None else across - columns
    within = ((rows >= 0) & (rows < cells.shape[0]))[:, None] & ((columns >= 0) & (columns < cells.shape[1]))
    picked = cells[np.clip(rows, 0, cells.shape[0] - 1)[:, None], np.clip(columns, 0, cells.shape[1] - 1)]
    return only(picked, within)


def uncovered(cells: Cells, colour: int, how: str) -> Cells:
    """The grid with what a colour hides filled in, by "symmetry" or by "repetition"; all of it, or NotApplicable."""
    require(bool((cells == colour).any()))
    complete = complete_symmetry if how == "symmetry" else complete_repetition
    made = complete(hide(cells, colour) if colour else cells)
    require(bool(made.all()))
    return np.where(made == colour, np.uint8(0), made) if colour else made


def revealed(cells: Cells, colour: int, how: str) -> Cells:
    """Of the grid as `uncovered`, what was hidden, cropped to the box around it."""
    made = uncovered(cells, colour, how)
    rows, columns = np.nonzero(cells == colour)
    return np.ascontiguousarray(made[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
