"""Connected components of a grid, by a flood over its cells."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import MOST_PARTS, Cells, Part, Parts, parts, require

Labels = NDArray[np.int16]
"""[height, width]: 0 for the background, 1.. for components in reading order."""
Box = tuple[int, int, int, int]
"""First and last row, first and last column of a component; all inclusive."""

OUTSIDE = 255


def components(cells: Cells, by_colour: bool, diagonal: bool) -> Parts:
    """The connected components of what is not background, each cropped; touching corners may count as connected."""
    labels, boxes = labelled(cells, by_colour, diagonal)
    require(len(boxes) <= MOST_PARTS)
    items = []
    for k, (top, bottom, left, right) in enumerate(boxes, 1):
        own = labels[top : bottom + 1, left : right + 1] == k
        items.append(Part(cells[top : bottom + 1, left : right + 1] * own, top, left))
    return parts((cells.shape[0], cells.shape[1]), items)


def holes(cells: Cells) -> Parts:
    """The regions of background that do not reach the border, each as a part of colour 1."""
    labels, boxes = labelled((cells == 0).astype(np.uint8), False, False)
    items = []
    for k, (top, bottom, left, right) in enumerate(boxes, 1):
        if top and left and bottom < cells.shape[0] - 1 and right < cells.shape[1] - 1:
            own = labels[top : bottom + 1, left : right + 1] == k
            items.append(Part(own.astype(np.uint8), top, left))
    return parts((cells.shape[0], cells.shape[1]), items)


def labelled(cells: Cells, by_colour: bool, diagonal: bool) -> tuple[Labels, tuple[Box, ...]]:
    """Which component each cell is of, and the components' boxes."""
    return _labelled(cells.tobytes(), cells.shape[1], by_colour, diagonal)


@lru_cache(maxsize=2048)
def _labelled(content: bytes, width: int, by_colour: bool, diagonal: bool) -> tuple[Labels, tuple[Box, ...]]:
    height = len(content) // width
    stride = width + 1
    # One column and two rows of walls keep the flood inside without a test for the border.
    flat = np.full((height + 2, stride), OUTSIDE, np.uint8)
    flat[1:-1, :-1] = np.frombuffer(content, np.uint8).reshape(height, width)
    near = (1, -1, stride, -stride) + ((stride + 1, stride - 1, -stride + 1, -stride - 1) if diagonal else ())
    colours = flat.ravel() if by_colour else np.where(flat == OUTSIDE, OUTSIDE, flat != 0).ravel()
    found, boxes = _flooded(colours.tolist(), stride, near)
    labels = np.array(found, np.int16).reshape(height + 2, stride)[1:-1, :-1]
    labels.setflags(write=False)
    return labels, boxes


def _flooded(colours: list[int], stride: int, near: tuple[int, ...]) -> tuple[list[int], tuple[Box, ...]]:
    labels = [0] * len(colours)
    boxes: list[Box] = []
    for start, colour in enumerate(colours):
        if colour == 0 or colour == OUTSIDE or labels[start]:
            continue
        mark = len(boxes) + 1
        labels[start] = mark
        reached = [start]
        for at in reached:
            for step in near:
                if colours[at + step] == colour and not labels[at + step]:
                    labels[at + step] = mark
                    reached.append(at + step)
        columns = [at % stride for at in reached]
        boxes.append((start // stride - 1, max(reached) // stride - 1, min(columns), max(columns)))
    return labels, tuple(boxes)
