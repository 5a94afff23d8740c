"""Functions that draw into a grid: fills, lines, sprites; and sprites made larger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells, steps

__all__ = [
    "blit", "blit_object", "blit_sprite", "draw_line", "flood_fill", "scale_pattern", "scale_sprite",
    "show_colored_grid",
]  # fmt: skip


def flood_fill(grid: Cells, x: int, y: int, color: int, connectivity: int = 4) -> None:
    """Recolour the connected region of one colour that (x, y) belongs to, in place."""
    n, m = grid.shape
    old = grid[x, y]
    around = steps(connectivity)
    todo = [(x, y)] if old != color else []
    while todo:
        i, j = todo.pop()
        if 0 <= i < n and 0 <= j < m and grid[i, j] == old:
            grid[i, j] = color
            todo += [(i + dx, j + dy) for dx, dy in around]


def draw_line(
    grid: Cells,
    x: int,
    y: int,
    end_x: int | None = None,
    end_y: int | None = None,
    length: int | None = None,
    direction: tuple[int, int] | None = None,
    color: int | None = None,
    stop_at_color: Sequence[int] = (),
) -> tuple[int, int]:
    """Draw a line from (x, y), in place; return the last cell that was coloured.

    It goes to (end_x, end_y), or `length` cells in a direction of -1, 0 and 1, or without both to the edge. It ends in
    front of a cell with one of the colours `stop_at_color`. Cells outside of the grid are passed over. AssertionError
    for half an end, or a start that is no cell.
    """
    assert (end_x is None) == (end_y is None), "draw_line: give both of end_x and end_y, or none"
    assert x == int(x) and y == int(y), "draw_line: x and y must be whole numbers"
    x, y = int(x), int(y)
    if end_x is not None and end_y is not None:
        direction = (end_x - x, end_y - y)
        length = int(max(abs(end_x - x), abs(end_y - y))) + 1
    elif direction is None:
        raise TypeError("draw_line: give an end or a direction")
    n, m = grid.shape
    dx, dy = (int(np.sign(each)) for each in direction)
    last = (x, y)
    for k in range(2 * max(n, m) if length is None else int(length)):
        i, j = x + k * dx, y + k * dy
        if not (0 <= i < n and 0 <= j < m):
            continue
        if grid[i, j] in stop_at_color:
            break
        grid[i, j] = color
        last = (i, j)
    return last


def blit(grid: Cells, sprite: Cells, x: int = 0, y: int = 0, background: int | None = None) -> Cells:
    """Copy a sprite into a grid, in place, its first cell at (x, y); return the grid.

    What lies outside of the grid is cut off. Cells of the colour `background` are not copied; None: all are.
    """
    x, y = int(x), int(y)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + sprite.shape[0], grid.shape[0]), min(y + sprite.shape[1], grid.shape[1])
    if left < right and top < bottom:
        part = sprite[left - x : right - x, top - y : bottom - y]
        target = grid[left:right, top:bottom]
        shown = np.ones(part.shape, dtype=bool) if background is None else part != background
        target[shown] = part[shown]
    return grid


def blit_object(grid: Cells, obj: Cells, background: int = Color.BLACK) -> Cells:
    """Draw an object, an array of the grid's size, into a grid where it is, in place; return the grid."""
    return blit(grid, obj, 0, 0, background)


def blit_sprite(grid: Cells, sprite: Cells, x: int, y: int, background: int = Color.BLACK) -> Cells:
    """Draw a sprite into a grid at (x, y), in place, without its background; return the grid."""
    return blit(grid, sprite, x, y, background)


def scale_sprite(sprite: Cells, factor: int) -> Cells:
    """Each cell as a square of `factor` by `factor` cells."""
    return sprite.repeat(factor, axis=0).repeat(factor, axis=1)


def scale_pattern(pattern: Cells, scale_factor: int) -> Cells:
    """The older name of `scale_sprite`."""
    return scale_sprite(pattern, scale_factor)


def show_colored_grid(grid: Cells, text: bool = True) -> None:
    """Do nothing: BARC's library prints the grid, and what a program prints is discarded."""
