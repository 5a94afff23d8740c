"""What can be said of a cell by the component, or by the panel between lines, that it is of: numbers 0..63 each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.part_selection import KINDS
from submission.programs.grid_language.segmentation import between_lines
from submission.programs.grid_language.values import Cells, NotApplicable, Part, bordered, coloured

Seen = NDArray[np.uint8]
"""One feature of every cell, [height, width]."""

LARGEST = 63
MOST_COMPONENTS = 200
"""In a grid with more of them, components are noise, and to compare them all takes seconds."""


def of_component(name: str, by_colour: bool, diagonal: bool, background: bool, cells: Cells) -> Seen:
    labels, table = _component_table(cells.tobytes(), cells.shape[1], by_colour, diagonal, background)
    return table[name][labels]


def in_component(name: str, by_colour: bool, diagonal: bool, cells: Cells) -> Seen:
    """Where in its component's bounding box a cell is."""
    labels, boxes = labelled(cells, by_colour, diagonal)
    if not boxes:
        return np.zeros_like(cells)
    edges = np.array([(0, 0, 0, 0), *boxes])[labels]
    rows, columns = np.arange(cells.shape[0])[:, None], np.arange(cells.shape[1])[None, :]
    up, down = rows - edges[..., 0], edges[..., 1] - rows
    left, right = columns - edges[..., 2], edges[..., 3] - columns
    made = {
        "row": up,
        "row from below": down,
        "column": left,
        "column from right": right,
        "depth": np.minimum(np.minimum(up, down), np.minimum(left, right)),
        "chequer": (up + left) % 2,
        "row parity": up % 2,
        "column parity": left % 2,
    }[name]
    return np.where(labels > 0, np.clip(made, 0, LARGEST - 1) + 1, 0).astype(np.uint8)


@lru_cache(maxsize=512)
def _component_table(
    content: bytes, width: int, by_colour: bool, diagonal: bool, background: bool
) -> tuple[NDArray[np.int16], dict[str, Seen]]:
    """Labels, and for every property its value by label (0 for what is in no component)."""
    cells = np.frombuffer(content, np.uint8).reshape(-1, width)
    shown = coloured(cells == 0) if background else cells
    labels, boxes = labelled(shown, by_colour, diagonal)
    if len(boxes) > MOST_COMPONENTS:
        raise NotApplicable
    columns: dict[str, list[int]] = {name: [0] for name in COMPONENT}
    found = []
    for k, (top, bottom, left, right) in enumerate(boxes, 1):
        own = labels[top : bottom + 1, left : right + 1] == k
        found.append(Part(shown[top : bottom + 1, left : right + 1] * own, top, left))
    sizes = [int((part.cells != 0).sum()) for part in found]
    shapes = [KINDS["shape"](part) for part in found]
    turned = [KINDS["shape in any turn"](part) for part in found]
    ranked = sorted(set(sizes), reverse=True)
    topmost, leftmost = min((p.top for p in found), default=0), min((p.left for p in found), default=0)
    colours = [int(np.bincount(part.cells[part.cells != 0]).argmax()) for part in found]
    for k, (part, size) in enumerate(zip(found, sizes, strict=True)):
        h, w = part.cells.shape
        ends, forks = _ends_and_forks(part.cells)
        counts = np.bincount(part.cells.ravel(), minlength=10)[1:]
        counts[counts == 0] = 1000
        border = part.top == 0 or part.left == 0 or part.top + h == cells.shape[0] or part.left + w == cells.shape[1]
        values = {
            "size": size,
            "rank": ranked.index(size) + 1,
            "rank from smallest": len(ranked) - ranked.index(size),
            "largest": 1 + (size == ranked[0]),
            "smallest": 1 + (size == ranked[-1]),
            "height": h,
            "width": w,
            "at border": 1 + border,
            "rectangle": 1 + (size == h * w),
            "square": 1 + (h == w),
            "full square": 1 + (size == h * w and h == w),
            "tall": 1 + (h > w) + 2 * (h < w),
            "same shape": shapes.count(shapes[k]),
            "same size": sizes.count(size),
            "same colour": colours.count(colours[k]),
            "colour": colours[k],
            "rarest colour": int(counts.argmin()) + 1,
            "colours": int((counts < 1000).sum()),
            "mirrored": 1
            + int((part.cells == part.cells[:, ::-1]).all())
            + 2 * int((part.cells == part.cells[::-1]).all()),
            "holes": 1 + _hole_count(part.cells),
            "order": k + 1,
            "parity": 1 + size % 2,
            "ends": ends,
            "forks": forks,
            "fullness": 1 + 60 * size // (h * w),
            "same turned shape": turned.count(turned[k]),
            "topmost": 1 + (part.top == topmost),
            "leftmost": 1 + (part.left == leftmost),
        }
        for name, value in values.items():
            columns[name].append(min(value, LARGEST))
    return labels, {name: np.array(column, np.uint8) for name, column in columns.items()}


def _ends_and_forks(cells: Cells) -> tuple[int, int]:
    """Cells with at most one neighbour by a side, and cells with three or more."""
    own = bordered(coloured(cells != 0), 1, 0)
    near = own[:-2, 1:-1] + own[2:, 1:-1] + own[1:-1, :-2] + own[1:-1, 2:]
    filled = own[1:-1, 1:-1] != 0
    return int((near[filled] <= 1).sum()), int((near[filled] >= 3).sum())


def _hole_count(cells: Cells) -> int:
    empty = bordered(coloured(cells == 0), 1, 1)
    return len(labelled(empty, True, False)[1]) - 1


COMPONENT = (
    "size", "rank", "rank from smallest", "largest", "smallest", "height", "width", "at border", "rectangle", "square",
    "full square", "tall", "same shape", "same size", "same colour", "colour", "rarest colour", "colours", "mirrored",
    "holes", "order", "parity", "ends", "forks", "fullness", "same turned shape", "topmost", "leftmost",
)  # fmt: skip


def object_has(cells: Cells, colour: int) -> Seen:
    labels, boxes = labelled(cells, False, True)
    has = np.zeros(len(boxes) + 1, np.uint8)
    has[labels[cells == colour]] = 1
    return np.where(labels > 0, has[labels] + 1, 0).astype(np.uint8)


def in_panels(cells: Cells, across: bool) -> Seen:
    """Of grids cut up by lines: the odd colour at a cell's place in the other panels of its row (or column)."""
    found = between_lines(cells).items
    made = cells.copy()
    for part in found:
        h, w = part.cells.shape
        beside = [
            other.cells
            for other in found
            if other is not part
            and other.cells.shape == (h, w)
            and ((other.top == part.top) if across else (other.left == part.left))
        ]
        if not beside:
            raise NotApplicable
        ordered = np.sort(np.stack(beside), 0)
        most_are_low = (ordered[0] == ordered[len(beside) // 2]) & (ordered[0] != ordered[-1])
        made[part.top : part.top + h, part.left : part.left + w] = np.where(most_are_low, ordered[-1], ordered[0])
    return made


def of_panel(name: str, cells: Cells) -> Seen:
    """Of grids cut up by lines: which panel, and where in it; 0 on the lines."""
    return _panels(cells.tobytes(), cells.shape[1])[name]


PANEL = ("row", "column", "own row", "own column", "cells", "fullest", "emptiest", "index")


@lru_cache(maxsize=256)
def _panels(content: bytes, width: int) -> dict[str, Seen]:
    cells = np.frombuffer(content, np.uint8).reshape(-1, width)
    found = between_lines(cells).items
    counts = [min(int((part.cells != 0).sum()), LARGEST - 1) for part in found]
    tops, lefts = sorted({part.top for part in found}), sorted({part.left for part in found})
    made = {name: np.zeros_like(cells) for name in PANEL}
    for k, (part, count) in enumerate(zip(found, counts, strict=True)):
        h, w = part.cells.shape
        at = np.s_[part.top : part.top + h, part.left : part.left + w]
        made["row"][at], made["column"][at] = tops.index(part.top) + 1, lefts.index(part.left) + 1
        made["own row"][at], made["own column"][at] = np.arange(h)[:, None] + 1, np.arange(w)[None, :] + 1
        made["cells"][at], made["index"][at] = count + 1, k + 1
        made["fullest"][at], made["emptiest"][at] = 1 + (count == max(counts)), 1 + (count == min(counts))
    return made
