"""Operations that turn, crop, scale, repeat and shift whole grids.

Those with a canvas as second argument fill a grid of the predicted output size; NotApplicable for a result larger than
30x30.
"""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.grid_language.values import Cells, legal_grid, require, shifted


def turn(cells: Cells, quarters: int) -> Cells:
    """Turn the grid counter-clockwise by that many quarters."""
    return np.ascontiguousarray(np.rot90(cells, quarters))


def mirror_rows(cells: Cells) -> Cells:
    """Reverse the order of the grid rows (flip up-down)."""
    return np.ascontiguousarray(cells[::-1])


def mirror_columns(cells: Cells) -> Cells:
    """Reverse the order of the grid columns (flip left-right)."""
    return np.ascontiguousarray(cells[:, ::-1])


def transpose(cells: Cells) -> Cells:
    """Mirror the grid at its main diagonal."""
    return np.ascontiguousarray(cells.T)


def anti_transpose(cells: Cells) -> Cells:
    """Mirror the grid at its other diagonal."""
    return np.ascontiguousarray(cells[::-1, ::-1].T)


def crop(cells: Cells) -> Cells:
    """Crop to the bounding box of the coloured cells."""
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    require(rows.size > 0)
    return np.ascontiguousarray(cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def peel(cells: Cells) -> Cells:
    """Remove the outermost grid rows and columns."""
    return legal_grid(cells[1:-1, 1:-1])


def half(cells: Cells, side: str) -> Cells:
    """Return the "upper", "lower", "left" or "right" half; the middle line of an odd side belongs to neither half."""
    height, width = cells.shape
    cut = {
        "upper": cells[: height // 2],
        "lower": cells[height - height // 2 :],
        "left": cells[:, : width // 2],
        "right": cells[:, width - width // 2 :],
    }
    return legal_grid(cut[side])


def third(cells: Cells, across: bool, index: int) -> Cells:
    """Return one of three equal pieces; `across` cuts from left to right, otherwise from top to bottom.

    There may be a separating line of one cell between the pieces.
    """
    side = cells.shape[1] if across else cells.shape[0]
    gap = {0: 0, 2: 1}.get(side % 3)
    require(gap is not None and side >= 3)
    size = (side - 2 * (gap or 0)) // 3
    start = index * (size + (gap or 0))
    return legal_grid(cells[:, start : start + size] if across else cells[start : start + size])


def upscale(cells: Cells, factor: int) -> Cells:
    """Replace each cell by a square with sides of `factor` cells."""
    require(max(cells.shape) * factor <= LARGEST_SIDE)
    return np.repeat(np.repeat(cells, factor, 0), factor, 1)


def downscale(cells: Cells) -> Cells:
    """Shrink by the largest factor for which all blocks have one colour: the inverse of `upscale`."""
    steps = np.r_[
        np.flatnonzero((cells[1:] != cells[:-1]).any(1)) + 1,
        np.flatnonzero((cells[:, 1:] != cells[:, :-1]).any(0)) + 1,
        cells.shape[0],
        cells.shape[1],
    ]
    factor = int(np.gcd.reduce(steps))
    require(factor > 1)
    return np.ascontiguousarray(cells[::factor, ::factor])


def tile(cells: Cells, down: int, across: int) -> Cells:
    """Repeat the grid `down` times vertically and `across` times horizontally."""
    require(cells.shape[0] * down <= LARGEST_SIDE and cells.shape[1] * across <= LARGEST_SIDE)
    return np.tile(cells, (down, across))


def tile_over(cells: Cells, canvas: Cells) -> Cells:
    """Repeat the grid from the upper left corner until the canvas is full."""
    rows, columns = np.arange(canvas.shape[0]) % cells.shape[0], np.arange(canvas.shape[1]) % cells.shape[1]
    return cells[np.ix_(rows, columns)]


def mirror_over(cells: Cells, canvas: Cells) -> Cells:
    """Repeat the grid from the upper left corner until the canvas is full, every second copy mirrored."""
    return cells[_bounce(canvas.shape[0], cells.shape[0])[:, None], _bounce(canvas.shape[1], cells.shape[1])]


def _bounce(length: int, period: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices 0..period-1, period-1..0, 0.. and so on: [length]."""
    at = np.arange(length) % (2 * period)
    return np.minimum(at, 2 * period - 1 - at)


def stretch_over(cells: Cells, canvas: Cells) -> Cells:
    """Replace each cell by a block, so that the canvas is full; NotApplicable if the sizes do not divide."""
    (height, width), (h, w) = canvas.shape, cells.shape
    require(height % h == 0 and width % w == 0 and (height, width) != (h, w))
    return np.repeat(np.repeat(cells, height // h, 0), width // w, 1)


def place_over(cells: Cells, canvas: Cells) -> Cells:
    """Place the grid in the upper left corner of the canvas, cropped where it is larger."""
    result = np.zeros_like(canvas)
    h, w = min(cells.shape[0], canvas.shape[0]), min(cells.shape[1], canvas.shape[1])
    result[:h, :w] = cells[:h, :w]
    return result


def place_in(cells: Cells, canvas: Cells, where: str) -> Cells:
    """Place the grid in the "centre" of a larger canvas, or at its "top right", "bottom left" or "bottom right"."""
    down, right = canvas.shape[0] - cells.shape[0], canvas.shape[1] - cells.shape[1]
    require(min(down, right) >= 0 and max(down, right) > 0)
    if where == "centre":
        require(down % 2 == 0 and right % 2 == 0)
        down, right = down // 2, right // 2
    top, left = down if where != "top right" else 0, right if where != "bottom left" else 0
    result = np.zeros_like(canvas)
    result[top : top + cells.shape[0], left : left + cells.shape[1]] = cells
    return result


def self_tile(cells: Cells, inverted: bool) -> Cells:
    """Replace each coloured cell (inverted: each background cell) by a copy of the grid, the others by background."""
    require(max(cells.shape) ** 2 <= LARGEST_SIDE)
    mask = (cells == 0 if inverted else cells != 0).astype(np.uint8)
    return np.kron(mask, cells)


def self_tile_at(cells: Cells, most_common: bool) -> Cells:
    """Replace each cell of the most (or least) common colour by a copy of the grid, the others by background."""
    require(max(cells.shape) ** 2 <= LARGEST_SIDE)
    counts = np.bincount(cells.ravel(), minlength=10)
    colour = counts.argmax() if most_common else np.where(counts > 0, counts, 1000).argmin()
    return np.kron((cells == colour).astype(np.uint8), cells)


def without_repeats(cells: Cells) -> Cells:
    """Remove grid rows and columns that equal the one before."""
    rows = np.r_[True, (cells[1:] != cells[:-1]).any(1)]
    columns = np.r_[True, (cells[:, 1:] != cells[:, :-1]).any(0)]
    return np.ascontiguousarray(cells[rows][:, columns])


def without_blanks(cells: Cells) -> Cells:
    """Remove grid rows and columns without a coloured cell."""
    return legal_grid(cells[cells.any(1)][:, cells.any(0)])


def smallest_tile(cells: Cells) -> Cells:
    """Return the smallest tile whose repetition gives the grid; NotApplicable if that is the grid itself."""
    down, across = _period(cells), _period(cells.T)
    require((down, across) != cells.shape)
    return np.ascontiguousarray(cells[:down, :across])


def _period(cells: Cells) -> int:
    """Return the smallest distance at which the grid rows repeat."""
    length = cells.shape[0]
    return next((p for p in range(1, length) if (cells[p:] == cells[:-p]).all()), length)


def sort_rows(cells: Cells) -> Cells:
    """Sort the grid rows by their number of coloured cells, the emptiest first."""
    return cells[np.argsort((cells != 0).sum(1), kind="stable")]


def roll(cells: Cells, down: int, right: int) -> Cells:
    """Shift the grid; cells that leave it on one side come back on the other."""
    return np.roll(cells, (down, right), (0, 1))


def shift(cells: Cells, down: int, right: int) -> Cells:
    """Shift the grid; cells that leave it are lost."""
    h, w = cells.shape
    require(abs(down) < h and abs(right) < w)
    return shifted(cells, down, right)
