"""Operations on lists of parts: select one or several by a property, sort them, change each of them.

PROPERTIES are numbers by which parts are ranked; KINDS are keys by which parts are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.values import (
    Cells,
    Part,
    Parts,
    bordered,
    colour_mask,
    make_parts,
    require,
    symmetric_views,
)


def hole_count(cells: Cells) -> int:
    """Return the number of background regions that do not touch the border."""
    empty = bordered(colour_mask(cells == 0), 1, 1)
    return len(labelled(empty, True, False)[1]) - 1


def _cells(part: Part) -> int:
    return int((part.cells != 0).sum())


def _mirrored(part: Part) -> int:
    """0 to 2: how many of the two mirrorings, left-right and up-down, leave the part unchanged."""
    return int((part.cells == part.cells[:, ::-1]).all()) + int((part.cells == part.cells[::-1]).all())


def _symmetric(part: Part) -> int:
    cells = part.cells
    return int(_mirrored(part) > 0 or (cells.shape[0] == cells.shape[1] and bool((cells == cells.T).all())))


def _squareness(part: Part) -> int:
    """0 for a square, the lower the more the sides differ."""
    return -abs(int(part.cells.shape[0]) - int(part.cells.shape[1]))


def _colours(part: Part) -> int:
    return int((np.bincount(part.cells.ravel(), minlength=10)[1:] > 0).sum())


def _rare_cells(part: Part) -> int:
    """Cells that are not of the most common colour, where the background counts as a colour."""
    counts = np.bincount(part.cells.ravel(), minlength=10)
    counts[counts.argmax()] = 0
    return int(counts.sum())


def _components(part: Part) -> int:
    return len(labelled(part.cells, True, False)[1])


PROPERTIES: dict[str, Callable[[Part], int]] = {
    "cells": _cells,
    "area": lambda p: p.cells.size,
    "height": lambda p: p.cells.shape[0],
    "width": lambda p: p.cells.shape[1],
    "holes": lambda p: hole_count(p.cells),
    "colours": _colours,
    "symmetry": _mirrored,
    "symmetric": _symmetric,
    "squareness": _squareness,
    "fullness": lambda p: int(1000 * (p.cells != 0).mean()),
    "top": lambda p: p.top,
    "left": lambda p: p.left,
    "bottom": lambda p: p.top + p.cells.shape[0],
    "right": lambda p: p.left + p.cells.shape[1],
    "components": _components,
    "rare cells": _rare_cells,
}
"""Name -> a number by which parts are ranked."""


def _shape(part: Part) -> bytes:
    return bytes(part.cells.shape) + colour_mask(part.cells != 0).tobytes()


def _free_shape(part: Part) -> bytes:
    """One key for all eight symmetric views of a shape."""
    return min(bytes(view.shape) + view.tobytes() for view in symmetric_views(colour_mask(part.cells != 0)))


KINDS: dict[str, Callable[[Part], bytes]] = {
    "picture": lambda p: bytes(p.cells.shape) + p.cells.tobytes(),
    "shape": _shape,
    "shape in any turn": _free_shape,
    "main colour": lambda p: bytes([int(np.bincount(p.cells[p.cells != 0] if p.cells.any() else [0]).argmax())]),
    "size": lambda p: bytes(p.cells.shape),
}
"""Name -> a key; two parts are of one kind if their keys are equal."""


def most(parts: Parts, name: str) -> Cells:
    """Return the part with the largest value of a property; of equals the first."""
    numbers = parts.of_each(PROPERTIES[name])
    return parts.items[numbers.index(max(numbers))].cells


def least(parts: Parts, name: str) -> Cells:
    """Return the part with the smallest value of a property; of equals the first."""
    numbers = parts.of_each(PROPERTIES[name])
    return parts.items[numbers.index(min(numbers))].cells


def unique(parts: Parts, name: str) -> Cells:
    """Return the part that is the only one of its kind; NotApplicable unless there is exactly one such part."""
    single = _by_frequency(parts, name, lambda count, _: count == 1)
    require(len(single) == 1 and len(parts.items) > 1)
    return single[0].cells


def typical(parts: Parts, name: str) -> Cells:
    """Return the first part of the most common kind."""
    return _by_frequency(parts, name, lambda count, top: count == top)[0].cells


def keep_most(parts: Parts, name: str) -> Parts:
    """Keep the parts with the largest value of a property."""
    return _at_extreme(parts, name, max, True)


def drop_most(parts: Parts, name: str) -> Parts:
    """Remove the parts with the largest value of a property."""
    return _at_extreme(parts, name, max, False)


def keep_least(parts: Parts, name: str) -> Parts:
    """Keep the parts with the smallest value of a property."""
    return _at_extreme(parts, name, min, True)


def drop_least(parts: Parts, name: str) -> Parts:
    """Remove the parts with the smallest value of a property."""
    return _at_extreme(parts, name, min, False)


def _at_extreme(parts: Parts, name: str, extreme: Callable[[Iterable[float]], float], kept: bool) -> Parts:
    """Return the parts whose property is the extreme value, or (`kept` False) all others."""
    numbers = parts.of_each(PROPERTIES[name])
    edge = extreme(numbers)
    return make_parts(
        parts.shape, [p for p, number in zip(parts.items, numbers, strict=True) if (number == edge) == kept]
    )


def keep_unique(parts: Parts, name: str) -> Parts:
    """Keep the parts that are the only ones of their kind."""
    return make_parts(parts.shape, _by_frequency(parts, name, lambda count, _: count == 1))


def keep_repeated(parts: Parts, name: str) -> Parts:
    """Keep the parts that are not the only ones of their kind."""
    return make_parts(parts.shape, _by_frequency(parts, name, lambda count, _: count > 1))


def _by_frequency(parts: Parts, name: str, wanted: Callable[[int, int], bool]) -> list[Part]:
    """Return the parts for which `wanted(count of the part's kind, count of the most common kind)` holds."""
    kinds = parts.of_each(KINDS[name])
    counts = Counter(kinds)
    top = max(counts.values())
    return [part for part, kind in zip(parts.items, kinds, strict=True) if wanted(counts[kind], top)]


def ordered(parts: Parts, name: str) -> Parts:
    """Sort the parts by a property, the smallest value first; equals keep their order."""
    numbers = parts.of_each(PROPERTIES[name])
    return Parts(parts.shape, tuple(parts.items[k] for k in sorted(range(len(numbers)), key=numbers.__getitem__)))


def reverse(parts: Parts) -> Parts:
    """Reverse the order of the parts."""
    return Parts(parts.shape, parts.items[::-1])


def distinct(parts: Parts) -> Parts:
    """Remove parts with the same cells as an earlier one."""
    return Parts(parts.shape, tuple({KINDS["picture"](p): p for p in reversed(parts.items)}.values())[::-1])


def keep_at_border(parts: Parts, touching: bool) -> Parts:
    """Keep the parts that touch (or do not touch) the border of the grid."""
    height, width = parts.shape
    return make_parts(
        parts.shape,
        [
            p
            for p in parts.items
            if touching
            == (p.top == 0 or p.left == 0 or p.top + p.cells.shape[0] == height or p.left + p.cells.shape[1] == width)
        ],
    )


def keep_with(parts: Parts, colour: int, present: bool) -> Parts:
    """Keep the parts in which the colour is present (or absent)."""
    return make_parts(parts.shape, [p for p in parts.items if bool((p.cells == colour).any()) == present])


def each(parts: Parts, change: Callable[..., Cells], *constants: object) -> Parts:
    """Apply a grid operation to every part; the upper left corners stay."""
    return make_parts(parts.shape, [Part(change(p.cells, *constants), p.top, p.left) for p in parts.items])
