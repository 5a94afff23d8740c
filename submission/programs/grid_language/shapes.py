"""Operations that move, cut, scale and repeat whole grids."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.grid_language.values import Cells, legal, require


def turn(cells: Cells, quarters: int) -> Cells:
    """Turned counter-clockwise by that many quarters."""
    return np.ascontiguousarray(np.rot90(cells, quarters))


def mirror_rows(cells: Cells) -> Cells:
    """Upside down."""
    return np.ascontiguousarray(cells[::-1])


def mirror_columns(cells: Cells) -> Cells:
    """Left to right."""
    return np.ascontiguousarray(cells[:, ::-1])


def transpose(cells: Cells) -> Cells:
    """Mirrored at the main diagonal."""
    return np.ascontiguousarray(cells.T)


def anti_transpose(cells: Cells) -> Cells:
    """Mirrored at the other diagonal."""
    return np.ascontiguousarray(cells[::-1, ::-1].T)


def crop(cells: Cells) -> Cells:
    """Without the empty rows and columns around."""
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    require(rows.size > 0)
    return np.ascontiguousarray(cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def peel(cells: Cells) -> Cells:
    """Without its outermost rows and columns."""
    return legal(cells[1:-1, 1:-1])


def half(cells: Cells, side: str) -> Cells:
    """The upper, lower, left or right half; the line in the middle of an odd side belongs to neither."""
    height, width = cells.shape
    cut = {
        "upper": cells[: height // 2],
        "lower": cells[height - height // 2 :],
        "left": cells[:, : width // 2],
        "right": cells[:, width - width // 2 :],
    }
    return legal(cut[side])


def third(cells: Cells, across: bool, index: int) -> Cells:
    """One of three equal pieces, which may have lines of one cell between them; across cuts columns."""
    side = cells.shape[1] if across else cells.shape[0]
    gap = {0: 0, 2: 1}.get(side % 3)
    require(gap is not None and side >= 3)
    size = (side - 2 * (gap or 0)) // 3
    start = index * (size + (gap or 0))
    return legal(cells[:, start : start + size] if across else cells[start : start + size])


def upscale(cells: Cells, factor: int) -> Cells:
    """Each cell as a square of that side."""
    require(max(cells.shape) * factor <= LARGEST_SIDE)
    return np.repeat(np.repeat(cells, factor, 0), factor, 1)


def downscale(cells: Cells) -> Cells:
    """Each largest square block of one colour as a cell: undoes `upscale`."""
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
    """Repeated that many times."""
    require(cells.shape[0] * down <= LARGEST_SIDE and cells.shape[1] * across <= LARGEST_SIDE)
    return np.tile(cells, (down, across))


def tile_over(cells: Cells, canvas: Cells) -> Cells:
    """Repeated from the upper left until the canvas is full."""
    rows, columns = np.arange(canvas.shape[0]) % cells.shape[0], np.arange(canvas.shape[1]) % cells.shape[1]
    return cells[np.ix_(rows, columns)]


def mirror_over(cells: Cells, canvas: Cells) -> Cells:
    """Repeated from the upper left, every other copy mirrored, until the canvas is full."""
    return cells[_bounce(canvas.shape[0], cells.shape[0])[:, None], _bounce(canvas.shape[1], cells.shape[1])]


def _bounce(length: int, period: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    at = np.arange(length) % (2 * period)
    return np.minimum(at, 2 * period - 1 - at)


def stretch_over(cells: Cells, canvas: Cells) -> Cells:
    """Each cell as a block, so that the canvas is full."""
    (height, width), (h, w) = canvas.shape, cells.shape
    require(height % h == 0 and width % w == 0 and (height, width) != (h, w))
    return np.repeat(np.repeat(cells, height // h, 0), width // w, 1)


def place_over(cells: Cells, canvas: Cells) -> Cells:
    """In the upper left corner of an empty canvas, cut where it is too large."""
    made = np.zeros_like(canvas)
    h, w = min(cells.shape[0], canvas.shape[0]), min(cells.shape[1], canvas.shape[1])
    made[:h, :w] = cells[:h, :w]
    return made


def self_tile(cells: Cells, inverted: bool) -> Cells:
    """A copy of the grid for each of its cells that is coloured (inverted: empty), and nothing for the others."""
    require(max(cells.shape) ** 2 <= LARGEST_SIDE)
    mask = (cells == 0 if inverted else cells != 0).astype(np.uint8)
    return np.kron(mask, cells)


def self_tile_at(cells: Cells, most_common: bool) -> Cells:
    """A copy of the grid for each of its cells of the most (least) common colour, and nothing for the others."""
    require(max(cells.shape) ** 2 <= LARGEST_SIDE)
    counts = np.bincount(cells.ravel(), minlength=10)
    colour = counts.argmax() if most_common else np.where(counts > 0, counts, 1000).argmin()
    return np.kron((cells == colour).astype(np.uint8), cells)


def without_repeats(cells: Cells) -> Cells:
    """Without rows and columns that equal the one before."""
    rows = np.r_[True, (cells[1:] != cells[:-1]).any(1)]
    columns = np.r_[True, (cells[:, 1:] != cells[:, :-1]).any(0)]
    return np.ascontiguousarray(cells[rows][:, columns])


def without_blanks(cells: Cells) -> Cells:
    """Without empty rows and columns."""
    return legal(cells[cells.any(1)][:, cells.any(0)])


def smallest_tile(cells: Cells) -> Cells:
    """The smallest rectangle that, repeated, gives the grid."""
    down, across = _period(cells), _period(cells.T)
    require((down, across) != cells.shape)
    return np.ascontiguousarray(cells[:down, :across])


def _period(cells: Cells) -> int:
    """The least distance at which rows repeat."""
    length = cells.shape[0]
    return next((p for p in range(1, length) if (cells[p:] == cells[:-p]).all()), length)


def sort_rows(cells: Cells) -> Cells:
    """Rows in order of how many of their cells are coloured, the emptiest first."""
    return cells[np.argsort((cells != 0).sum(1), kind="stable")]


def roll(cells: Cells, down: int, right: int) -> Cells:
    """Shifted, what falls off comes in on the other side."""
    return np.roll(cells, (down, right), (0, 1))


def shift(cells: Cells, down: int, right: int) -> Cells:
    """Shifted, what falls off is lost."""
    h, w = cells.shape
    require(abs(down) < h and abs(right) < w)
    made = np.zeros_like(cells)
    made[max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)] = cells[
        max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)
    ]
    return made
