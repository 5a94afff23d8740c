"""Operations that cut a grid into a list of parts: components, layers, panels, windows, lines.

Every part keeps its place in the grid; NotApplicable if there is none, or more than MOST_PARTS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import (
    components as components,  # the main way to cut a grid: part of this module's interface
)
from submission.programs.grid_language.components import holes as holes
from submission.programs.grid_language.values import (
    MOST_PARTS,
    Cells,
    NotApplicable,
    Part,
    Parts,
    bordered,
    legal_grid,
    make_parts,
    require,
)

Span = tuple[int, int]
"""Start and end (exclusive)."""


def layers(cells: Cells) -> Parts:
    """Return one part per colour, each as large as the grid; the most common colour first."""
    counts = np.bincount(cells.ravel(), minlength=10)
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    return make_parts(cells.shape, [Part(cells * (cells == colour), 0, 0) for colour in order.astype(np.uint8)])


def cropped_layers(cells: Cells) -> Parts:
    """Return the bounding box of each colour with everything in it; the lowest colour first."""
    items = []
    for colour in np.unique(cells[cells != 0]).tolist():
        rows, columns = np.flatnonzero((cells == colour).any(1)), np.flatnonzero((cells == colour).any(0))
        piece = cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        items.append(Part(legal_grid(piece), int(rows[0]), int(columns[0])))
    return make_parts(cells.shape, items)


def between_lines(cells: Cells) -> Parts:
    """Return the rectangles between full lines of one colour, in reading order; see `panel_spans`."""
    rows, columns = panel_spans(cells)
    return make_parts(cells.shape, [_piece(cells, *a, *b) for a in rows for b in columns])


def panel_spans(cells: Cells) -> tuple[list[Span], list[Span]]:
    """Return the rows and the columns of the panels between full lines of one colour.

    A full line runs from border to border. Of several line colours the most common one that cuts the grid is used.
    NotApplicable where there is none.
    """
    lines = [
        {int(cells[k, 0]) for k in np.flatnonzero((cells == cells[:, :1]).all(1))},
        {int(cells[0, k]) for k in np.flatnonzero((cells == cells[:1]).all(0))},
    ]
    colours = (lines[0] | lines[1]) - {0} or lines[0] | lines[1]
    for colour in sorted(colours, key=lambda c: -int((cells == c).sum())):
        rows, columns = _spans((cells == colour).all(1)), _spans((cells == colour).all(0))
        if len(rows) * len(columns) > 1:
            return rows, columns
    raise NotApplicable


def _spans(line: NDArray[np.bool_]) -> list[Span]:
    """Return start and end (exclusive) of each run of False: line [side]."""
    edges = np.flatnonzero(np.diff(np.r_[True, line, True].astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _piece(cells: Cells, top: int, bottom: int, left: int, right: int) -> Part:
    """Cut out a rectangle; `bottom` and `right` are exclusive."""
    return Part(np.ascontiguousarray(cells[top:bottom, left:right]), top, left)


def equal_pieces(cells: Cells, down: int, across: int) -> Parts:
    """Cut the grid into `down` times `across` equal rectangles, in reading order."""
    height, width = cells.shape
    require(height % down == 0 and width % across == 0)
    h, w = height // down, width // across
    return make_parts(
        cells.shape,
        [_piece(cells, r * h, r * h + h, c * w, c * w + w) for r in range(down) for c in range(across)],
    )


def squares(cells: Cells) -> Parts:
    """Cut a grid whose long side is a multiple of its short side into squares."""
    height, width = cells.shape
    side = min(height, width)
    require(max(height, width) % side == 0 and height != width)
    return equal_pieces(cells, height // side, width // side)


def windows_like(cells: Cells, canvas: Cells) -> Parts:
    """Cut the grid into rectangles as large as the canvas, without overlap."""
    (height, width), (h, w) = cells.shape, canvas.shape
    require(height >= h and width >= w and (height, width) != (h, w) and height % h == 0 and width % w == 0)
    return equal_pieces(cells, height // h, width // w)


def corners_like(cells: Cells, canvas: Cells) -> Parts:
    """Return the four corners of the grid, each as large as the canvas; they may overlap."""
    (height, width), (h, w) = cells.shape, canvas.shape
    require(height > h and width > w)
    tops, lefts = (0, height - h), (0, width - w)
    return make_parts(cells.shape, [_piece(cells, top, top + h, left, left + w) for top in tops for left in lefts])


def around(cells: Cells, colour: int, radius: int) -> Parts:
    """Return the square around each cell of a colour; what lies outside of the grid is background."""
    padded = bordered(cells, radius, 0)
    side = 2 * radius + 1
    at = np.argwhere(cells == colour)[: MOST_PARTS + 1].tolist()
    items = [Part(padded[r : r + side, c : c + side].copy(), max(r - radius, 0), max(c - radius, 0)) for r, c in at]
    return make_parts(cells.shape, items)


def rows(cells: Cells) -> Parts:
    """Return each grid row that is not empty."""
    return make_parts(
        cells.shape, [_piece(cells, k, k + 1, 0, cells.shape[1]) for k in np.flatnonzero(cells.any(1)).tolist()]
    )


def columns(cells: Cells) -> Parts:
    """Return each grid column that is not empty."""
    return make_parts(
        cells.shape, [_piece(cells, 0, cells.shape[0], k, k + 1) for k in np.flatnonzero(cells.any(0)).tolist()]
    )


def framed(cells: Cells) -> Parts:
    """Return the inside of each rectangular frame of one colour, without the frame."""
    items = []
    for part in components(cells, True, False).items:
        h, w = part.cells.shape
        own = part.cells != 0
        if h > 2 and w > 2 and own[0].all() and own[-1].all() and own[:, 0].all() and own[:, -1].all():
            items.append(_piece(cells, part.top + 1, part.top + h - 1, part.left + 1, part.left + w - 1))
    return make_parts(cells.shape, items)


def boxed(cells: Cells, diagonal: bool) -> Parts:
    """Return the bounding box of each component of one colour, with everything in it; single cells are left out."""
    items = [
        _piece(cells, p.top, p.top + p.cells.shape[0], p.left, p.left + p.cells.shape[1])
        for p in components(cells, True, diagonal).items
        if p.cells.size > 1
    ]
    return make_parts(cells.shape, items)
