"""Connected components of a grid, found by flood fill.

Written in plain Python with a cache: on grids of at most 30x30 this needs no library, and the search asks for the
components of the same grid many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.values import MOST_PARTS, Cells, Part, Parts, make_parts, require

Labels = NDArray[np.int16]
"""[height, width]: 0 for the background, 1, 2, ... for the components in reading order."""
Box = tuple[int, int, int, int]
"""First and last grid row, first and last grid column of a component; all inclusive."""

OUTSIDE = 255
"""Marks the padding around a grid, where the flood stops."""


def components(cells: Cells, by_colour: bool, diagonal: bool) -> Parts:
    """Return the connected components of the coloured cells, each cropped to its bounding box.

    `by_colour`: only cells of one colour are connected. `diagonal`: cells that touch by a corner are connected too.
    """
    labels, boxes = labelled(cells, by_colour, diagonal)
    require(len(boxes) <= MOST_PARTS)
    return make_parts((cells.shape[0], cells.shape[1]), cut_out(cells, labels, boxes))


def cut_out(cells: Cells, labels: Labels, boxes: Sequence[Box]) -> list[Part]:
    """Return each component as a part, in order of its label; background around it."""
    parts = []
    for k, (top, bottom, left, right) in enumerate(boxes, 1):
        own = labels[top : bottom + 1, left : right + 1] == k
        parts.append(Part(cells[top : bottom + 1, left : right + 1] * own, top, left))
    return parts


def holes(cells: Cells) -> Parts:
    """Return the background regions that do not touch the border, each as a part of colour 1."""
    labels, boxes = labelled((cells == 0).astype(np.uint8), False, False)
    items = []
    for k, (top, bottom, left, right) in enumerate(boxes, 1):
        if top and left and bottom < cells.shape[0] - 1 and right < cells.shape[1] - 1:
            own = labels[top : bottom + 1, left : right + 1] == k
            items.append(Part(own.astype(np.uint8), top, left))
    return make_parts((cells.shape[0], cells.shape[1]), items)


def labelled(cells: Cells, by_colour: bool, diagonal: bool) -> tuple[Labels, tuple[Box, ...]]:
    """Return the component labels [height, width] and the bounding box of each component; cached."""
    return _labelled(cells.tobytes(), cells.shape[1], by_colour, diagonal)


@lru_cache(maxsize=2048)
def _labelled(content: bytes, width: int, by_colour: bool, diagonal: bool) -> tuple[Labels, tuple[Box, ...]]:
    height = len(content) // width
    stride = width + 1
    # One padding column and two padding rows keep the flood inside without a test for the border.
    flat = np.full((height + 2, stride), OUTSIDE, np.uint8)
    flat[1:-1, :-1] = np.frombuffer(content, np.uint8).reshape(height, width)
    near = (1, -1, stride, -stride) + ((stride + 1, stride - 1, -stride + 1, -stride - 1) if diagonal else ())
    colours = flat.ravel() if by_colour else np.where(flat == OUTSIDE, OUTSIDE, flat != 0).ravel()
    found, boxes = _flooded(colours.tolist(), stride, near)
    labels = np.array(found, np.int16).reshape(height + 2, stride)[1:-1, :-1]
    labels.setflags(write=False)
    return labels, boxes


def _flooded(colours: list[int], stride: int, near: tuple[int, ...]) -> tuple[list[int], tuple[Box, ...]]:
    """Flood fill over the padded grid as a flat list [(height + 2) * stride]; `near` are the offsets of neighbours."""
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
