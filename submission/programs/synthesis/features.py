"""Features of a cell: small integers, one per cell and feature, from which the rules for cells are learned.

FEATURES maps a name to a function from a grid [height, width] to the feature of all its cells [height, width]. A name
stands as it is in the printed programs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.drawing import DIRECTIONS, inside
from submission.programs.grid_language.values import Cells, NotApplicable, bordered, masked
from submission.programs.synthesis.regions import (
    COMPONENT,
    LARGEST,
    PANEL,
    CellFeature,
    in_component,
    in_panels,
    object_has,
    of_component,
    of_panel,
)

WALL = 10
"""The colour of a neighbour outside of the grid."""


def feature(cells: Cells, name: str) -> CellFeature:
    """Return the feature of this name (see FEATURES) for every cell: [height, width]."""
    return FEATURES[name](cells)


def _colour(cells: Cells) -> CellFeature:
    return cells


def _neighbour(cells: Cells, down: int, right: int) -> CellFeature:
    """The colour of the cell that many steps away (at most 2), WALL outside of the grid."""
    padded = bordered(cells, 2, WALL)
    h, w = cells.shape
    return padded[2 + down : 2 + down + h, 2 + right : 2 + right + w]


def _first_colour(cells: Cells, down: int, right: int) -> CellFeature:
    """The first colour in a direction, 0 if there is only background up to the border."""
    result = np.zeros_like(cells)
    moved = cells
    for _ in range(max(cells.shape)):
        moved = _neighbour(moved, down, right) % WALL
        if not moved.any():
            break
        np.copyto(result, moved, where=result == 0)
    return result


def _between(cells: Cells, one: str, other: str) -> CellFeature:
    """The first colour in both of two directions, 0 if these differ."""
    first, second = _first_colour(cells, *DIRECTIONS[one]), _first_colour(cells, *DIRECTIONS[other])
    return masked(first, first == second)


def _around(cells: Cells, diagonal: bool, same: bool) -> CellFeature:
    """How many neighbours are coloured, or (`same`) have the cell's own colour."""
    steps = list(DIRECTIONS.values())[: 8 if diagonal else 4]
    near = [_neighbour(cells, *step) for step in steps]
    return _count([each == cells if same else each % WALL != 0 for each in near])


def _count(masks: list[NDArray[np.bool_]]) -> CellFeature:
    result: CellFeature = np.sum(masks, axis=0, dtype=np.uint8)
    return result


def _highest_near(cells: Cells, diagonal: bool) -> CellFeature:
    """The highest colour among the neighbours."""
    steps = list(DIRECTIONS.values())[: 8 if diagonal else 4]
    result: CellFeature = np.max([_neighbour(cells, *step) % WALL for step in steps], axis=0)
    return result


def _mirror(cells: Cells, rows: bool, columns: bool) -> CellFeature:
    """The colour of the cell's mirror image; `rows`: up-down, `columns`: left-right."""
    return cells[:: -1 if rows else 1, :: -1 if columns else 1]


def _turned(cells: Cells, transposed: bool, quarters: int) -> CellFeature:
    """The colour at the cell's place in the turned grid; NotApplicable unless that has the same shape."""
    view = np.rot90(cells.T if transposed else cells, quarters)
    if view.shape != cells.shape:
        raise NotApplicable
    return view


def _touches(cells: Cells, colour: int, diagonal: bool) -> CellFeature:
    """How many neighbours have a colour."""
    steps = list(DIRECTIONS.values())[: 8 if diagonal else 4]
    return _count([_neighbour(cells, *step) == colour for step in steps])


def _sees(cells: Cells, colour: int) -> CellFeature:
    """In how many of the four main directions a colour is the first one."""
    return _count([_first_colour(cells, *step) == colour for step in list(DIRECTIONS.values())[:4]])


def _line_has(cells: Cells, colour: int, columns: bool) -> CellFeature:
    """Whether the cell's grid row (or column) has a colour."""
    has = (cells == colour).any(0 if columns else 1, keepdims=True)
    return np.broadcast_to(has.view(np.uint8), cells.shape)


def _colour_count(cells: Cells, ranked: bool) -> CellFeature:
    """How many cells of the grid have the cell's colour; or (`ranked`) its rank by that, without background."""
    counts = np.bincount(cells.ravel(), minlength=10)
    if ranked:
        counts[0] = 0
        distinct = sorted({int(count) for count in counts if count}, reverse=True)
        ranks = [distinct.index(count) + 1 if count else 0 for count in counts.tolist()]
        return np.array(ranks, np.uint8)[cells]
    return np.minimum(counts, LARGEST).astype(np.uint8)[cells]


def _of_position(
    rule: Callable[[NDArray[np.intp], NDArray[np.intp], int, int], NDArray[np.intp]], cells: Cells
) -> CellFeature:
    """A number that depends on the cell's place only: rule(grid rows [h, 1], columns [1, w], h, w) -> [h, w]."""
    h, w = cells.shape
    result = rule(np.arange(h)[:, None], np.arange(w)[None, :], h, w)
    return np.broadcast_to(np.clip(result, 0, LARGEST).astype(np.uint8), cells.shape)


def _of_rows(rule: Callable[[Cells], NDArray[np.intp]], columns: bool, cells: Cells) -> CellFeature:
    """A number for each grid row (or column), given to all its cells: rule(grid [h, w]) -> [h]."""
    view = cells.T if columns else cells
    line = np.clip(rule(view), 0, LARGEST).astype(np.uint8)
    return np.broadcast_to(line[None, :] if columns else line[:, None], cells.shape)


def _row_rank(view: Cells, most: bool) -> NDArray[np.bool_]:
    """Whether a grid row has the most (or fewest) coloured cells: [h]."""
    counts = (view != 0).sum(1)
    result: NDArray[np.bool_] = counts == (counts.max() if most else counts.min())
    return result


# A lambda over rows r and columns c adds 0 times the other so that its result has the shape of the grid.
FEATURES: dict[str, Callable[[Cells], CellFeature]] = {
    "colour": _colour,
    **{f"neighbour {name}": partial(_neighbour, down=d, right=r) for name, (d, r) in DIRECTIONS.items()},
    **{f"second {name}": partial(_neighbour, down=2 * d, right=2 * r) for name, (d, r) in list(DIRECTIONS.items())[:4]},
    **{f"seen {name}": partial(_first_colour, down=d, right=r) for name, (d, r) in DIRECTIONS.items()},
    "between left and right": partial(_between, one="left", other="right"),
    "between up and down": partial(_between, one="up", other="down"),
    "between diagonals": partial(_between, one="up-left", other="down-right"),
    "between other diagonals": partial(_between, one="up-right", other="down-left"),
    "coloured sides": partial(_around, diagonal=False, same=False),
    "coloured around": partial(_around, diagonal=True, same=False),
    "equal sides": partial(_around, diagonal=False, same=True),
    "equal around": partial(_around, diagonal=True, same=True),
    "highest side": partial(_highest_near, diagonal=False),
    "highest around": partial(_highest_near, diagonal=True),
    "enclosed": inside,
    "colour's count": partial(_colour_count, ranked=False),
    "colour's rank": partial(_colour_count, ranked=True),
    **{f"{c} at sides": partial(_touches, colour=c, diagonal=False) for c in range(10)},
    **{f"{c} around": partial(_touches, colour=c, diagonal=True) for c in range(10)},
    **{f"{c} seen": partial(_sees, colour=c) for c in range(1, 10)},
    **{f"{c} in row": partial(_line_has, colour=c, columns=False) for c in range(1, 10)},
    **{f"{c} in column": partial(_line_has, colour=c, columns=True) for c in range(1, 10)},
    **{f"{c} in object": partial(object_has, colour=c) for c in range(1, 10)},
    "mirrored left-right": partial(_mirror, rows=False, columns=True),
    "mirrored up-down": partial(_mirror, rows=True, columns=False),
    "half turned": partial(_mirror, rows=True, columns=True),
    "transposed": partial(_turned, transposed=True, quarters=0),
    "quarter turned": partial(_turned, transposed=False, quarters=1),
    "three quarters turned": partial(_turned, transposed=False, quarters=3),
    "other diagonal": partial(_turned, transposed=True, quarters=2),
    "row": partial(_of_position, lambda r, c, h, w: r + 0 * c),
    "column": partial(_of_position, lambda r, c, h, w: c + 0 * r),
    "row from below": partial(_of_position, lambda r, c, h, w: h - 1 - r + 0 * c),
    "column from right": partial(_of_position, lambda r, c, h, w: w - 1 - c + 0 * r),
    "row parity": partial(_of_position, lambda r, c, h, w: r % 2 + 0 * c),
    "column parity": partial(_of_position, lambda r, c, h, w: c % 2 + 0 * r),
    "column parity from right": partial(_of_position, lambda r, c, h, w: (w - 1 - c) % 2 + 0 * r),
    "row parity from below": partial(_of_position, lambda r, c, h, w: (h - 1 - r) % 2 + 0 * c),
    "row mod 3": partial(_of_position, lambda r, c, h, w: r % 3 + 0 * c),
    "column mod 3": partial(_of_position, lambda r, c, h, w: c % 3 + 0 * r),
    "chequer": partial(_of_position, lambda r, c, h, w: (r + c) % 2),
    "diagonal": partial(_of_position, lambda r, c, h, w: (r == c) * 1),
    "anti-diagonal": partial(_of_position, lambda r, c, h, w: (r + c == w - 1) * 1),
    "depth": partial(
        _of_position, lambda r, c, h, w: np.minimum(np.minimum(r, h - 1 - r), np.minimum(c, w - 1 - c))
    ),
    "at border": partial(
        _of_position, lambda r, c, h, w: ((r == 0) | (c == 0) | (r == h - 1) | (c == w - 1)) * 1
    ),
    **{
        f"{side} {what}": partial(_of_rows, rule, side == "column's")
        for side in ("row's", "column's")
        for what, rule in {
            "count": lambda view: (view != 0).sum(1),
            "first": lambda view: view[:, 0],
            "last": lambda view: view[:, -1],
            "one colour": lambda view: np.where((view == view[:, :1]).all(1), view[:, 0] + 1, 0),
            "highest": lambda view: view.max(1),
            "most coloured": lambda view: _row_rank(view, True),
            "least coloured": lambda view: _row_rank(view, False),
            "colours": lambda view: (np.diff(np.sort(view, 1), axis=1) != 0).sum(1),
            "equal ends": lambda view: np.where(view[:, 0] == view[:, -1], view[:, 0], 0),
        }.items()
    },
    **{
        f"{which} {name}": partial(of_component, name, by_colour, diagonal, False)
        for which, by_colour, diagonal in (("object's", False, True), ("blob's", True, False), ("patch's", True, True))
        for name in COMPONENT
    },
    **{
        f"gap's {name}": partial(of_component, name, True, False, True)
        for name in ("size", "largest", "smallest", "rank", "rectangle", "square", "full square", "at border", "height",
                     "width", "same shape", "parity", "tall")
    },
    **{
        f"{name} in {which}": partial(in_component, name, by_colour, True)
        for which, by_colour in (("object", False), ("patch", True))
        for name in ("row", "row from below", "column", "column from right", "depth", "chequer", "row parity",
                     "column parity")
    },
    "odd in panels of row": partial(in_panels, across=True),
    "odd in panels of column": partial(in_panels, across=False),
    **{f"panel's {name}": partial(of_panel, name) for name in PANEL},
}  # fmt: skip

COLOURED = tuple(
    name
    for name in FEATURES
    if name.startswith(
        ("seen", "between", "highest", "mirrored", "half turned", "transposed", "quarter", "three", "odd")
    )
    or name.endswith((" colour", "rarest colour", " first", " last", " highest", "equal ends", "other diagonal"))
    and not name.endswith(("same colour", "one colour"))
)
"""The features that are colours 0..9; a rule may copy the colour of a cell from one of them."""


def cost(name: str) -> float:
    """Return what a feature adds to the cost of a program; the cell's own colour is the cheapest."""
    if name == "colour":
        return 0.3
    if name.startswith(("neighbour", "seen", "between", "enclosed")):
        return 0.8
    if name in ("row", "column", "row from below", "column from right") or " order" in name:
        return 1.8
    if "parity" in name or "mod" in name or name.endswith((" index", "topmost", "leftmost")):
        return 1.3
    return 1.0
