"""Functions on objects: an object is an array of the grid's size, all background but for its own cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells, Mask, labelled, steps

__all__ = [
    "bounding_box", "bounding_box_mask", "check_between_objects", "collision", "contact", "crop",
    "find_connected_components", "is_contiguous", "object_colors", "object_position", "translate",
]  # fmt: skip


def find_connected_components(
    grid: Cells, background: int = Color.BLACK, connectivity: int = 4, monochromatic: bool = True
) -> list[Cells]:
    """The connected components of a grid, each as an object.

    `monochromatic`: cells of different colours are not connected. The components of one colour follow each other, in
    the reading order of their first cells.
    """
    if monochromatic:
        # In the order in which a set gives small ints: programs that take the first component were written with it.
        colours = {int(cell) for cell in grid.flat} - {background}
        masks = [grid == colour for colour in colours]
    else:
        masks = [grid != background]
    found = []
    for mask in masks:
        labels, count = labelled(mask, connectivity)
        found += [np.where(labels == k, grid, background) for k in range(1, count + 1)]
    return found


def is_contiguous(bitmask: Cells, background: int = Color.BLACK, connectivity: int = 4) -> bool:
    """Whether the cells that are not background are one connected component."""
    return labelled(bitmask != background, connectivity)[1] == 1


def bounding_box(grid: Cells, background: int = Color.BLACK) -> tuple[int, int, int, int]:
    """The box around all that is not background: (x, y, width, height); a size is negative where there is nothing."""
    n, m = grid.shape
    xs, ys = np.nonzero(grid != background)
    if not len(xs):
        return n, m, -n, -m
    x, y = int(xs.min()), int(ys.min())
    return x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1


def bounding_box_mask(grid: Cells, background: int = Color.BLACK) -> Mask:
    """True for the cells in the box around all that is not background."""
    mask = np.zeros(grid.shape, dtype=bool)
    x, y, width, height = bounding_box(grid, background)
    mask[x : x + width, y : y + height] = True
    return mask


ANCHORS = {
    "upperleft": (0, 0), "uppercenter": (1, 0), "upperright": (2, 0),
    "leftcenter": (0, 1), "center": (1, 1), "rightcenter": (2, 1),
    "lowerleft": (0, 2), "lowercenter": (1, 2), "lowerright": (2, 2),
}  # fmt: skip
"""Name of an anchor -> its place in the box, in halves of the distance between the outer cells, along x and y."""


def object_position(
    obj: Cells, background: int = Color.BLACK, anchor: str = "upper left"
) -> tuple[int | float, int | float]:
    """The place of an object: the (x, y) of its box's corner, edge or center that `anchor` names.

    "upper left", "upper center", ..., "center", ..., "lower right"; "left" is the least x, "upper" the least y, "top"
    and "bottom" are understood too. Centers may lie between two cells. AssertionError for another anchor.
    """
    name = anchor.lower().replace(" ", "").replace("top", "upper").replace("bottom", "lower")
    assert name in ANCHORS, f"object_position: there is no anchor {anchor!r}"
    x, y, width, height = bounding_box(obj, background)
    right, down = ANCHORS[name]
    return _whole(2 * x + right * (width - 1)), _whole(2 * y + down * (height - 1))


def _whole(halves: int) -> int | float:
    """So many halves, as an int where they are whole."""
    return halves / 2 if halves % 2 else halves // 2


def object_colors(obj: Cells, background: int = Color.BLACK) -> list[int]:
    """The colours of an object, without the background."""
    return list({int(cell) for cell in obj.flat} - {background})


def crop(grid: Cells, background: int = Color.BLACK) -> Cells:
    """The part of a grid in the box around all that is not background: a view of it, the sprite of an object."""
    x, y, width, height = bounding_box(grid, background)
    return grid[x : x + width, y : y + height]


def translate(obj: Cells, x: int, y: int, background: int = Color.BLACK) -> Cells:
    """The object moved by (x, y); what leaves the grid is lost."""
    n, m = obj.shape
    x, y = int(x), int(y)
    moved = np.full_like(obj, background)
    if abs(x) < n and abs(y) < m:
        moved[max(x, 0) : n + min(x, 0), max(y, 0) : m + min(y, 0)] = obj[
            max(-x, 0) : n + min(-x, 0), max(-y, 0) : m + min(-y, 0)
        ]
    return moved


def collision(
    _: Any = None,
    object1: Any = None,
    object2: Any = None,
    x1: int = 0,
    y1: int = 0,
    x2: int = 0,
    y2: int = 0,
    background: int = Color.BLACK,
) -> bool:
    """Whether two objects or sprites overlap, the first at (x1, y1), the second at (x2, y2)."""
    return _meet(object1 != background, object2 != background, int(x2 - x1), int(y2 - y1))


def contact(
    _: Any = None,
    object1: Any = None,
    object2: Any = None,
    x1: int = 0,
    y1: int = 0,
    x2: int = 0,
    y2: int = 0,
    background: int = Color.BLACK,
    connectivity: int = 4,
) -> bool:
    """Whether two objects or sprites touch or overlap, the first at (x1, y1), the second at (x2, y2)."""
    one, other = object1 != background, object2 != background
    moves = ((0, 0), *steps(connectivity))
    return any(_meet(one, other, int(x2 - x1) + dx, int(y2 - y1) + dy) for dx, dy in moves)


def _meet(one: Mask, other: Mask, dx: int, dy: int) -> bool:
    """Whether two masks have a common cell when the second is moved by (dx, dy)."""
    left, top = max(dx, 0), max(dy, 0)
    right, bottom = min(one.shape[0], other.shape[0] + dx), min(one.shape[1], other.shape[1] + dy)
    if left >= right or top >= bottom:
        return False
    part = other[left - dx : right - dx, top - dy : bottom - dy]
    return bool((one[left:right, top:bottom] & part).any())


def check_between_objects(
    obj1: Cells, obj2: Cells, x: int, y: int, padding: int = 0, background: int = Color.BLACK
) -> bool:
    """Whether the cell (x, y) lies between the boxes of two objects, along x or along y.

    Across, it must lie within both boxes, and at least `padding` cells away from their edges.
    """
    boxes = [bounding_box(each, background) for each in (obj1, obj2)]
    along_x = _between(x, y, padding, [(bx, bx + w, by, by + h) for bx, by, w, h in boxes])
    return along_x or _between(y, x, padding, [(by, by + h, bx, bx + w) for bx, by, w, h in boxes])


def _between(along: int, across: int, padding: int, spans: list[tuple[int, int, int, int]]) -> bool:
    """`check_between_objects` along one axis; spans are (start, end, start across, end across) of both boxes."""
    if not all(low + padding <= across < high - padding for _, _, low, high in spans):
        return False
    (start1, end1, _, _), (start2, end2, _, _) = spans
    return end1 <= along < start2 or end2 <= along < start1
