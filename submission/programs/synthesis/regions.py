"""Features of a cell that come from its region: its connected component, or its panel between full lines.

All features are numbers 0..63; 0 stands for cells that are in no component, or on a line between panels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import Labels, cut_out, labelled
from submission.programs.grid_language.part_selection import KINDS, hole_count
from submission.programs.grid_language.segmentation import between_lines
from submission.programs.grid_language.values import Cells, NotApplicable, Part, bordered, colour_mask

CellFeature = NDArray[np.uint8]
"""One feature of every cell: [height, width], numbers 0..63."""

LARGEST = 63
"""Larger numbers are cut to this one."""
MOST_COMPONENTS = 200
"""A grid with more components is taken for noise, and comparing them all would take seconds: NotApplicable."""
ABSENT = 1000
"""A count larger than any component has cells: given to absent colours, so that they are never the rarest."""

COMPONENT = (
    "size", "rank", "rank from smallest", "largest", "smallest", "height", "width", "at border", "rectangle", "square",
    "full square", "tall", "same shape", "same size", "same colour", "colour", "rarest colour", "colours", "mirrored",
    "holes", "order", "parity", "ends", "forks", "fullness", "same turned shape", "topmost", "leftmost",
)  # fmt: skip
"""The features that a cell has from its component."""

PANEL = ("row", "column", "own row", "own column", "cells", "fullest", "emptiest", "index")
"""The features that a cell has from its panel: place of the panel, place in the panel, coloured cells, ..."""


# -- components -------------------------------------------------------------------------------------------------


def of_component(name: str, by_colour: bool, diagonal: bool, background: bool, cells: Cells) -> CellFeature:
    """Return a feature (see COMPONENT) of the component that each cell belongs to: [height, width].

    `by_colour`, `diagonal`: which cells are connected, see `components`. `background`: take the components of the
    background instead of those of the coloured cells.
    """
    labels, table = _component_table(cells.tobytes(), cells.shape[1], by_colour, diagonal, background)
    return table[name][labels]


def in_component(name: str, by_colour: bool, diagonal: bool, cells: Cells) -> CellFeature:
    """Return the place of each cell in the bounding box of its component, plus 1: [height, width]."""
    labels, boxes = labelled(cells, by_colour, diagonal)
    if not boxes:
        return np.zeros_like(cells)
    edges = np.array([(0, 0, 0, 0), *boxes])[labels]
    rows, columns = np.arange(cells.shape[0])[:, None], np.arange(cells.shape[1])[None, :]
    up, down = rows - edges[..., 0], edges[..., 1] - rows
    left, right = columns - edges[..., 2], edges[..., 3] - columns
    place = {
        "row": up,
        "row from below": down,
        "column": left,
        "column from right": right,
        "depth": np.minimum(np.minimum(up, down), np.minimum(left, right)),
        "chequer": (up + left) % 2,
        "row parity": up % 2,
        "column parity": left % 2,
    }[name]
    return np.where(labels > 0, np.clip(place, 0, LARGEST - 1) + 1, 0).astype(np.uint8)


def object_has(cells: Cells, colour: int) -> CellFeature:
    """Return for each coloured cell whether its component (of any colours) has a colour: 1 no, 2 yes; background 0."""
    labels, boxes = labelled(cells, False, True)
    has = np.zeros(len(boxes) + 1, np.uint8)
    has[labels[cells == colour]] = 1
    return np.where(labels > 0, has[labels] + 1, 0).astype(np.uint8)


@lru_cache(maxsize=512)
def _component_table(
    content: bytes, width: int, by_colour: bool, diagonal: bool, background: bool
) -> tuple[Labels, dict[str, NDArray[np.uint8]]]:
    """Return the labels [height, width], and each feature by label [components + 1]: 0 for label 0.

    The grid comes as bytes and width so that the result can be cached.
    """
    cells = np.frombuffer(content, np.uint8).reshape(-1, width)
    shown = colour_mask(cells == 0) if background else cells
    labels, boxes = labelled(shown, by_colour, diagonal)
    if len(boxes) > MOST_COMPONENTS:
        raise NotApplicable
    parts = cut_out(shown, labels, boxes)
    rows = [
        _own_features(part, cells.shape) | compared
        for part, compared in zip(parts, _compared_features(parts), strict=True)
    ]
    return labels, {name: np.array([0, *(min(row[name], LARGEST) for row in rows)], np.uint8) for name in COMPONENT}


def _own_features(part: Part, grid_shape: tuple[int, ...]) -> dict[str, int]:
    """Return the features of a component that do not depend on the others; yes-or-no features are 2 or 1."""
    cells = part.cells
    height, width = cells.shape
    size = _size(part)
    bottom, right = part.top + height, part.left + width
    ends, forks, _ = line_features(cells)
    counts = np.bincount(cells.ravel(), minlength=10)[1:]
    counts[counts == 0] = ABSENT
    return {
        "size": size,
        "height": height,
        "width": width,
        "at border": 1 + (part.top == 0 or part.left == 0 or bottom == grid_shape[0] or right == grid_shape[1]),
        "rectangle": 1 + (size == height * width),
        "square": 1 + (height == width),
        "full square": 1 + (size == height * width and height == width),
        "tall": 1 + (height > width) + 2 * (height < width),
        "colour": _main_colour(part),
        "rarest colour": int(counts.argmin()) + 1,
        "colours": int((counts < ABSENT).sum()),
        "mirrored": 1 + int((cells == cells[:, ::-1]).all()) + 2 * int((cells == cells[::-1]).all()),
        "holes": 1 + hole_count(cells),
        "parity": 1 + size % 2,
        "ends": ends,
        "forks": forks,
        "fullness": 1 + 60 * size // (height * width),
    }


def _compared_features(parts: list[Part]) -> list[dict[str, int]]:
    """Return for each component the features that compare it with the others; yes-or-no features are 2 or 1."""
    sizes = [_size(part) for part in parts]
    shapes = [KINDS["shape"](part) for part in parts]
    turned = [KINDS["shape in any turn"](part) for part in parts]
    colours = [_main_colour(part) for part in parts]
    distinct_sizes = sorted(set(sizes), reverse=True)
    topmost = min((part.top for part in parts), default=0)
    leftmost = min((part.left for part in parts), default=0)
    return [
        {
            "rank": distinct_sizes.index(size) + 1,
            "rank from smallest": len(distinct_sizes) - distinct_sizes.index(size),
            "largest": 1 + (size == distinct_sizes[0]),
            "smallest": 1 + (size == distinct_sizes[-1]),
            "same shape": shapes.count(shapes[k]),
            "same size": sizes.count(size),
            "same colour": colours.count(colours[k]),
            "same turned shape": turned.count(turned[k]),
            "order": k + 1,
            "topmost": 1 + (part.top == topmost),
            "leftmost": 1 + (part.left == leftmost),
        }
        for k, (part, size) in enumerate(zip(parts, sizes, strict=True))
    ]


def _size(part: Part) -> int:
    return int((part.cells != 0).sum())


def _main_colour(part: Part) -> int:
    """Return the most common colour of a component."""
    return int(np.bincount(part.cells[part.cells != 0]).argmax())


def line_features(cells: Cells) -> tuple[int, int, int]:
    """Return what a component [height, width] has if it is seen as a line: ends, forks and bends.

    Coloured cells with at most one neighbour by a side; with three or more; with two that are not opposite.
    """
    own = bordered(colour_mask(cells != 0), 1, 0)
    up, down, left, right = own[:-2, 1:-1], own[2:, 1:-1], own[1:-1, :-2], own[1:-1, 2:]
    near, filled = up + down + left + right, cells != 0
    bent = filled & (near == 2) & (up + down == 1)
    return int((near[filled] <= 1).sum()), int((near[filled] >= 3).sum()), int(bent.sum())


# -- panels -----------------------------------------------------------------------------------------------------


def in_panels(cells: Cells, across: bool) -> CellFeature:
    """Return the odd colour among the cells at the same place of the other panels, [height, width].

    Compared are the panels of the same row of panels (`across`) or of the same column. Cells on the lines keep their
    colour. NotApplicable where the grid has no panels, or a panel has no other of its size beside it.
    """
    panels = between_lines(cells).items
    result = cells.copy()
    for panel in panels:
        h, w = panel.cells.shape
        beside = [
            other.cells
            for other in panels
            if other is not panel
            and other.cells.shape == (h, w)
            and ((other.top == panel.top) if across else (other.left == panel.left))
        ]
        if not beside:
            raise NotApplicable
        ordered = np.sort(np.stack(beside), 0)
        most_are_low = (ordered[0] == ordered[len(beside) // 2]) & (ordered[0] != ordered[-1])
        odd_colour = np.where(most_are_low, ordered[-1], ordered[0])
        result[panel.top : panel.top + h, panel.left : panel.left + w] = odd_colour
    return result


def of_panel(name: str, cells: Cells) -> CellFeature:
    """Return a feature (see PANEL) of the panel that each cell belongs to, [height, width]; 0 on the lines.

    NotApplicable where no full lines cut the grid into panels.
    """
    return _panel_features(cells.tobytes(), cells.shape[1])[name]


@lru_cache(maxsize=256)
def _panel_features(content: bytes, width: int) -> dict[str, CellFeature]:
    """Return all features of PANEL; the grid comes as bytes and width so that the result can be cached."""
    cells = np.frombuffer(content, np.uint8).reshape(-1, width)
    panels = between_lines(cells).items
    counts = [min(_size(panel), LARGEST - 1) for panel in panels]
    tops, lefts = sorted({panel.top for panel in panels}), sorted({panel.left for panel in panels})
    result = {name: np.zeros_like(cells) for name in PANEL}
    for k, (panel, count) in enumerate(zip(panels, counts, strict=True)):
        h, w = panel.cells.shape
        at = np.s_[panel.top : panel.top + h, panel.left : panel.left + w]
        result["row"][at], result["column"][at] = tops.index(panel.top) + 1, lefts.index(panel.left) + 1
        result["own row"][at], result["own column"][at] = np.arange(h)[:, None] + 1, np.arange(w)[None, :] + 1
        result["cells"][at], result["index"][at] = count + 1, k + 1
        result["fullest"][at], result["emptiest"][at] = 1 + (count == max(counts)), 1 + (count == min(counts))
    return result
