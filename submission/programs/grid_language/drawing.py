"""Operations that draw on a grid: fill, outline, extend, connect, gravity, grow, denoise.

The result has the size of the input. Some operations return only what they draw, as colour 1, so that the search can
combine it with other states.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import components, holes, labelled
from submission.programs.grid_language.values import Cells, bordered, colour_mask, masked, require, shifted

DIRECTIONS = {
    "down": (1, 0),
    "up": (-1, 0),
    "right": (0, 1),
    "left": (0, -1),
    "down-right": (1, 1),
    "up-left": (-1, -1),
    "down-left": (1, -1),
    "up-right": (-1, 1),
}
"""Name -> steps down and to the right; the first four are along grid rows and columns."""


def inside(cells: Cells) -> Cells:
    """Keep only the enclosed background (not connected by sides to the border), as colour 1."""
    result = np.zeros_like(cells)
    for part in holes(cells).items:
        h, w = part.cells.shape
        result[part.top : part.top + h, part.left : part.left + w] |= part.cells
    return result


def fill_holes(cells: Cells) -> Cells:
    """Fill each enclosed background region with the colour of the cell to the left of its first cell."""
    result = cells.copy()
    for part in holes(cells).items:
        h, w = part.cells.shape
        row, column = part.top, part.left + int(part.cells[0].argmax())
        region = result[part.top : part.top + h, part.left : part.left + w]
        region[part.cells != 0] = cells[row, column - 1]
    return result


def boxes(cells: Cells, by_colour: bool, diagonal: bool) -> Cells:
    """Fill the bounding box of each component with the colour of its first cell, smaller boxes on top."""
    result = np.zeros_like(cells)
    found = components(cells, by_colour, diagonal).items
    for part in sorted(found, key=lambda p: -p.cells.size):
        h, w = part.cells.shape
        result[part.top : part.top + h, part.left : part.left + w] = part.cells[part.cells != 0][0]
    return result


def box_fill(cells: Cells) -> Cells:
    """Keep only the background within the bounding boxes of components, as colour 1."""
    return colour_mask((boxes(cells, False, True) != 0) & (cells == 0))


def outline(cells: Cells, diagonal: bool) -> Cells:
    """Keep only the background cells that touch a coloured cell, as colour 1; `diagonal`: also by a corner."""
    return colour_mask(_grown(cells != 0, diagonal) & (cells == 0))


def edge(cells: Cells, diagonal: bool) -> Cells:
    """Keep only the coloured cells that touch the background or the border; `diagonal`: also by a corner."""
    return masked(cells, _near_background(cells, diagonal))


def core(cells: Cells) -> Cells:
    """Keep only the coloured cells whose eight neighbours are all coloured."""
    return masked(cells, ~_near_background(cells, True))


def _near_background(cells: Cells, diagonal: bool) -> NDArray[np.bool_]:
    """Which cells are background or have a background neighbour; outside of the grid is background."""
    return _grown(bordered(colour_mask(cells == 0), 1, 1) != 0, diagonal)[1:-1, 1:-1]


def _grown(mask: NDArray[np.bool_], diagonal: bool) -> NDArray[np.bool_]:
    """Dilate a mask by one cell."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    across = rows if diagonal else mask
    result = rows.copy()
    result[:, 1:] |= across[:, :-1]
    result[:, :-1] |= across[:, 1:]
    return result


def frame(cells: Cells) -> Cells:
    """Keep only the outermost grid rows and columns."""
    result = cells.copy()
    result[1:-1, 1:-1] = 0
    return result


def halo(cells: Cells, diagonal: bool) -> Cells:
    """Grow each colour by one cell into the background, lower colours over higher ones."""
    result = cells.copy()
    for colour in np.unique(cells[cells != 0])[::-1].tolist():
        result[_grown(cells == colour, diagonal) & (cells == 0)] = colour
    return result


def extend(cells: Cells, *directions: str) -> Cells:
    """Extend coloured cells through the background in the given directions, up to a coloured cell or the border."""
    result = cells
    for name in directions:
        result = _extended(result if len(directions) == 1 else cells, result, *DIRECTIONS[name])
    return result


def _extended(cells: Cells, below: Cells, down: int, right: int) -> Cells:
    """Extend the cells in one direction, and draw them below what is in `below` already."""
    result = below.copy()
    moved = cells
    for _ in range(max(cells.shape)):
        moved = shifted(moved, down, right) * (cells == 0)
        if not moved.any():
            break
        np.copyto(result, moved, where=(moved != 0) & (result == 0))
    return result


def connect(cells: Cells, across: bool, down: bool, diagonal: bool = False) -> Cells:
    """Join cells of one colour with only background between them by a line; vertical lines over horizontal ones."""
    result = cells.copy()
    pairs = [("right", "left")] * across + [("down", "up")] * down
    pairs += [("down-right", "up-left"), ("down-left", "up-right")] * diagonal
    for one, other in pairs:
        first, second = extend(cells, one), extend(cells, other)
        between = (first == second) & (first != 0) & (cells == 0)
        result[between] = first[between]
    return result


def gravity(cells: Cells, direction: str) -> Cells:
    """Let every coloured cell fall in a direction, to the border or onto other cells."""
    turns = {"down": 0, "left": 1, "up": 2, "right": 3}[direction]
    turned = np.rot90(cells, turns)
    order = np.argsort(turned != 0, axis=0, kind="stable")
    return np.ascontiguousarray(np.rot90(np.take_along_axis(turned, order, 0), -turns))


def gravity_parts(cells: Cells, direction: str) -> Cells:
    """Let every component fall as a whole in a direction, to the border or onto others."""
    turns = {"down": 0, "left": 1, "up": 2, "right": 3}[direction]
    turned = np.ascontiguousarray(np.rot90(cells, turns))
    found = components(turned, False, True).items
    result = np.zeros_like(turned)
    for part in sorted(found, key=lambda p: -(p.top + p.cells.shape[0])):
        h, w = part.cells.shape
        top = part.top
        while top + h < turned.shape[0] and not _collides(result, part.cells, top + 1, part.left):
            top += 1
        result[top : top + h, part.left : part.left + w] |= part.cells
    return np.ascontiguousarray(np.rot90(result, -turns))


def _collides(below: Cells, piece: Cells, top: int, left: int) -> bool:
    h, w = piece.shape
    return bool((below[top : top + h, left : left + w] * piece).any())


def nearest_colour(cells: Cells) -> Cells:
    """Give each background cell the colour of the nearest coloured cell (Manhattan distance)."""
    require(bool(cells.any()))
    result = cells
    while not result.all():
        result = halo(result, False)
    return result


def full_lines(cells: Cells, across: bool, down: bool) -> Cells:
    """Draw full lines through each coloured cell in its colour; vertical lines over horizontal ones."""
    result = np.zeros_like(cells)
    if across:
        rows = cells.max(1)
        result[:] = rows[:, None]
    if down:
        columns = cells.max(0)
        result[:, columns != 0] = columns[columns != 0]
    return result


def crossings(cells: Cells) -> Cells:
    """Mark the cells whose grid row and column both hold a coloured cell, as colour 1."""
    filled = cells != 0
    return colour_mask(filled.any(1)[:, None] & filled.any(0)[None, :])


def uniform_lines(cells: Cells) -> Cells:
    """Keep only the grid rows and columns that have one colour from border to border."""
    result = np.zeros_like(cells)
    rows, columns = (cells == cells[:, :1]).all(1), (cells == cells[:1]).all(0)
    result[rows] = cells[rows]
    result[:, columns] = cells[:, columns]
    return result


def without_specks(cells: Cells) -> Cells:
    """Remove components of a single cell."""
    labels, _ = labelled(cells, True, False)
    return masked(cells, np.bincount(labels.ravel())[labels] > 1)


def denoised(cells: Cells) -> Cells:
    """Give each cell the colour that at least five cells of its 3x3 neighbourhood have, if there is one."""
    padded = np.pad(cells, 1, mode="edge")
    h, w = cells.shape
    around = np.stack([padded[r : r + h, c : c + w] for r in range(3) for c in range(3)])
    result = cells.copy()
    for colour in np.unique(cells).tolist():
        result[(around == colour).sum(0) >= 5] = colour
    return result


def rings(cells: Cells) -> Cells:
    """Reverse the order of colours of concentric rings; NotApplicable unless each ring has one colour."""
    h, w = cells.shape
    depth = np.minimum(
        np.minimum(np.arange(h), np.arange(h)[::-1])[:, None], np.minimum(np.arange(w), np.arange(w)[::-1])
    )
    values = [cells[k, k] for k in range(int(depth.max()) + 1)]
    require(all((cells[depth == k] == value).all() for k, value in enumerate(values)))
    unique = list(dict.fromkeys(int(value) for value in values))
    swap = dict(zip(unique, reversed(unique), strict=True))
    return np.array([swap[int(value)] for value in values], np.uint8)[depth]
