"""Operations that draw on a grid: fill, outline, extend, connect, let fall, grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import components, holes, labelled
from submission.programs.grid_language.values import Cells, bordered, coloured, only, require

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


def inside(cells: Cells) -> Cells:
    """Only the background that is enclosed (not joined by sides to the border), as colour 1."""
    made = np.zeros_like(cells)
    for part in holes(cells).items:
        h, w = part.cells.shape
        made[part.top : part.top + h, part.left : part.left + w] |= part.cells
    return made


def fill_holes(cells: Cells) -> Cells:
    """Enclosed background gets the colour that is found on its upper left corner's left."""
    made = cells.copy()
    for part in holes(cells).items:
        h, w = part.cells.shape
        row, column = part.top, part.left + int(part.cells[0].argmax())
        region = made[part.top : part.top + h, part.left : part.left + w]
        region[part.cells != 0] = cells[row, column - 1]
    return made


def boxes(cells: Cells, by_colour: bool, diagonal: bool) -> Cells:
    """The bounding box of each component filled with its (upper left) colour, larger ones below."""
    made = np.zeros_like(cells)
    found = components(cells, by_colour, diagonal).items
    for part in sorted(found, key=lambda p: -p.cells.size):
        h, w = part.cells.shape
        made[part.top : part.top + h, part.left : part.left + w] = part.cells[part.cells != 0][0]
    return made


def box_fill(cells: Cells) -> Cells:
    """The background within the bounding boxes of touching components as colour 1, everything else away."""
    return coloured((boxes(cells, False, True) != 0) & (cells == 0))


def outline(cells: Cells, diagonal: bool) -> Cells:
    """Only the background that touches something coloured, as colour 1."""
    return coloured(_grown(cells != 0, diagonal) & (cells == 0))


def edge(cells: Cells, diagonal: bool) -> Cells:
    """Only the coloured cells that touch background or the border."""
    return only(cells, _near_background(cells, diagonal))


def core(cells: Cells) -> Cells:
    """Only the coloured cells with nothing but colour around."""
    return only(cells, ~_near_background(cells, True))


def _near_background(cells: Cells, diagonal: bool) -> NDArray[np.bool_]:
    return _grown(bordered(coloured(cells == 0), 1, 1) != 0, diagonal)[1:-1, 1:-1]


def _grown(mask: NDArray[np.bool_], diagonal: bool) -> NDArray[np.bool_]:
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    across = rows if diagonal else mask
    made = rows.copy()
    made[:, 1:] |= across[:, :-1]
    made[:, :-1] |= across[:, 1:]
    return made


def frame(cells: Cells) -> Cells:
    """Only the outermost rows and columns."""
    made = cells.copy()
    made[1:-1, 1:-1] = 0
    return made


def halo(cells: Cells, diagonal: bool) -> Cells:
    """Each colour spreads by one cell into the background, lower colours over higher ones."""
    made = cells.copy()
    for colour in np.unique(cells[cells != 0])[::-1].tolist():
        made[_grown(cells == colour, diagonal) & (cells == 0)] = colour
    return made


def extend(cells: Cells, *directions: str) -> Cells:
    """Coloured cells run into the background in some directions, until something coloured is met or the border."""
    made = cells
    for name in directions:
        made = _extended(made if len(directions) == 1 else cells, made, *DIRECTIONS[name])
    return made


def _extended(cells: Cells, below: Cells, down: int, right: int) -> Cells:
    made = below.copy()
    moved = cells
    for _ in range(max(cells.shape)):
        moved = _moved(moved, down, right) * (cells == 0)
        if not moved.any():
            break
        np.copyto(made, moved, where=(moved != 0) & (made == 0))
    return made


def _moved(cells: Cells, down: int, right: int) -> Cells:
    made = np.zeros_like(cells)
    h, w = cells.shape
    made[max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)] = cells[
        max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)
    ]
    return made


def connect(cells: Cells, across: bool, down: bool, diagonal: bool = False) -> Cells:
    """Equal colours that see each other over background are joined by a line; horizontal lines lie below."""
    made = cells.copy()
    pairs = [("right", "left")] * across + [("down", "up")] * down
    pairs += [("down-right", "up-left"), ("down-left", "up-right")] * diagonal
    for one, other in pairs:
        first, second = extend(cells, one), extend(cells, other)
        between = (first == second) & (first != 0) & (cells == 0)
        made[between] = first[between]
    return made


def gravity(cells: Cells, direction: str) -> Cells:
    """Every coloured cell falls to the border or onto others."""
    turns = {"down": 0, "left": 1, "up": 2, "right": 3}[direction]
    turned = np.rot90(cells, turns)
    order = np.argsort(turned != 0, axis=0, kind="stable")
    return np.ascontiguousarray(np.rot90(np.take_along_axis(turned, order, 0), -turns))


def gravity_parts(cells: Cells, direction: str) -> Cells:
    """Every touching component falls as a whole to the border or onto others."""
    turns = {"down": 0, "left": 1, "up": 2, "right": 3}[direction]
    turned = np.ascontiguousarray(np.rot90(cells, turns))
    found = components(turned, False, True).items
    made = np.zeros_like(turned)
    for part in sorted(found, key=lambda p: -(p.top + p.cells.shape[0])):
        h, w = part.cells.shape
        top = part.top
        while top + h < turned.shape[0] and not _collides(made, part.cells, top + 1, part.left):
            top += 1
        made[top : top + h, part.left : part.left + w] |= part.cells
    return np.ascontiguousarray(np.rot90(made, -turns))


def _collides(below: Cells, piece: Cells, top: int, left: int) -> bool:
    h, w = piece.shape
    return bool((below[top : top + h, left : left + w] * piece).any())


def nearest_colour(cells: Cells) -> Cells:
    """Each background cell in the colour of the nearest coloured cell (by steps along rows and columns)."""
    require(bool(cells.any()))
    made = cells
    while not made.all():
        made = halo(made, False)
    return made


def full_lines(cells: Cells, across: bool, down: bool) -> Cells:
    """A line through the whole grid in the colour of each coloured cell; vertical lines lie above."""
    made = np.zeros_like(cells)
    if across:
        rows = cells.max(1)
        made[:] = rows[:, None]
    if down:
        columns = cells.max(0)
        made[:, columns != 0] = columns[columns != 0]
    return made


def crossings(cells: Cells) -> Cells:
    """Cells whose row and column both hold something coloured, as colour 1."""
    filled = cells != 0
    return coloured(filled.any(1)[:, None] & filled.any(0)[None, :])


def uniform_lines(cells: Cells) -> Cells:
    """Only the rows and columns of one colour from border to border."""
    made = np.zeros_like(cells)
    rows, columns = (cells == cells[:, :1]).all(1), (cells == cells[:1]).all(0)
    made[rows] = cells[rows]
    made[:, columns] = cells[:, columns]
    return made


def without_specks(cells: Cells) -> Cells:
    """Without single cells: components of one cell, corners not counted as touching."""
    labels, _ = labelled(cells, True, False)
    return only(cells, np.bincount(labels.ravel())[labels] > 1)


def denoised(cells: Cells) -> Cells:
    """Each cell takes the colour that five or more of the nine cells around it have, if there is one."""
    padded = np.pad(cells, 1, mode="edge")
    h, w = cells.shape
    around = np.stack([padded[r : r + h, c : c + w] for r in range(3) for c in range(3)])
    made = cells.copy()
    for colour in np.unique(cells).tolist():
        made[(around == colour).sum(0) >= 5] = colour
    return made


def rings(cells: Cells) -> Cells:
    """Each concentric ring in one colour, in the opposite order of colours."""
    h, w = cells.shape
    depth = np.minimum(
        np.minimum(np.arange(h), np.arange(h)[::-1])[:, None], np.minimum(np.arange(w), np.arange(w)[::-1])
    )
    values = [cells[k, k] for k in range(int(depth.max()) + 1)]
    require(all((cells[depth == k] == value).all() for k, value in enumerate(values)))
    unique = list(dict.fromkeys(int(value) for value in values))
    swap = dict(zip(unique, reversed(unique), strict=True))
    return np.array([swap[int(value)] for value in values], np.uint8)[depth]
