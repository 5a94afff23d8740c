"""Operations on lists of parts: choose one or some of them by a property, order them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.values import Cells, Part, Parts, bordered, coloured, parts, require, turns_of


def _cells(part: Part) -> int:
    return int((part.cells != 0).sum())


def _holes(part: Part) -> int:
    empty = bordered(coloured(part.cells == 0), 1, 1)
    return len(labelled(empty, True, False)[1]) - 1


def _mirrored(part: Part) -> int:
    return int((part.cells == part.cells[:, ::-1]).all()) + int((part.cells == part.cells[::-1]).all())


def _symmetric(part: Part) -> int:
    cells = part.cells
    return int(_mirrored(part) > 0 or (cells.shape[0] == cells.shape[1] and bool((cells == cells.T).all())))


def _squareness(part: Part) -> int:
    return -abs(int(part.cells.shape[0]) - int(part.cells.shape[1]))


def _colours(part: Part) -> int:
    return int((np.bincount(part.cells.ravel(), minlength=10)[1:] > 0).sum())


def _rare_cells(part: Part) -> int:
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
    "holes": _holes,
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
"""Numbers by which parts are ranked."""


def _shape(part: Part) -> bytes:
    return bytes(part.cells.shape) + coloured(part.cells != 0).tobytes()


def _free_shape(part: Part) -> bytes:
    return min(bytes(view.shape) + view.tobytes() for view in turns_of(coloured(part.cells != 0)))


KINDS: dict[str, Callable[[Part], bytes]] = {
    "picture": lambda p: bytes(p.cells.shape) + p.cells.tobytes(),
    "shape": _shape,
    "shape in any turn": _free_shape,
    "main colour": lambda p: bytes([int(np.bincount(p.cells[p.cells != 0] if p.cells.any() else [0]).argmax())]),
    "size": lambda p: bytes(p.cells.shape),
}
"""What two parts can have in common."""


def most(found: Parts, name: str) -> Cells:
    """The part with the most of a property; the first of equals."""
    return max(found.items, key=PROPERTIES[name]).cells


def least(found: Parts, name: str) -> Cells:
    """The part with the least of a property; the first of equals."""
    return min(found.items, key=PROPERTIES[name]).cells


def unique(found: Parts, name: str) -> Cells:
    """The only part of its kind; NotApplicable unless there is exactly one such part."""
    single = _by_frequency(found, name, lambda count, _: count == 1)
    require(len(single) == 1 and len(found.items) > 1)
    return single[0].cells


def typical(found: Parts, name: str) -> Cells:
    """A part of the most common kind."""
    return _by_frequency(found, name, lambda count, top: count == top)[0].cells


def keep_most(found: Parts, name: str) -> Parts:
    """All parts with the most of a property."""
    return _at_extreme(found, name, max, True)


def drop_most(found: Parts, name: str) -> Parts:
    """All parts but those with the most of a property."""
    return _at_extreme(found, name, max, False)


def keep_least(found: Parts, name: str) -> Parts:
    """All parts with the least of a property."""
    return _at_extreme(found, name, min, True)


def drop_least(found: Parts, name: str) -> Parts:
    """All parts but those with the least of a property."""
    return _at_extreme(found, name, min, False)


def _at_extreme(found: Parts, name: str, extreme: Callable[[Iterable[float]], float], kept: bool) -> Parts:
    """The parts at an extreme of a property, or all others."""
    edge = extreme(map(PROPERTIES[name], found.items))
    return parts(found.shape, [p for p in found.items if (PROPERTIES[name](p) == edge) == kept])


def keep_unique(found: Parts, name: str) -> Parts:
    """The parts that are alone of their kind."""
    return parts(found.shape, _by_frequency(found, name, lambda count, _: count == 1))


def keep_repeated(found: Parts, name: str) -> Parts:
    """The parts that are not alone of their kind."""
    return parts(found.shape, _by_frequency(found, name, lambda count, _: count > 1))


def _by_frequency(found: Parts, name: str, wanted: Callable[[int, int], bool]) -> list[Part]:
    kinds = [KINDS[name](part) for part in found.items]
    counts = Counter(kinds)
    top = max(counts.values())
    return [part for part, kind in zip(found.items, kinds, strict=True) if wanted(counts[kind], top)]


def ordered(found: Parts, name: str) -> Parts:
    """The parts by a property, the least first; equals keep their order."""
    return Parts(found.shape, tuple(sorted(found.items, key=PROPERTIES[name])))


def reverse(found: Parts) -> Parts:
    """The parts in the opposite order."""
    return Parts(found.shape, found.items[::-1])


def distinct(found: Parts) -> Parts:
    """Each picture once, in order of its first appearance."""
    return Parts(found.shape, tuple({KINDS["picture"](p): p for p in reversed(found.items)}.values())[::-1])


def keep_at_border(found: Parts, touching: bool) -> Parts:
    """The parts that touch (do not touch) the border of the grid."""
    height, width = found.shape
    return parts(
        found.shape,
        [
            p
            for p in found.items
            if touching
            == (p.top == 0 or p.left == 0 or p.top + p.cells.shape[0] == height or p.left + p.cells.shape[1] == width)
        ],
    )


def keep_with(found: Parts, colour: int, present: bool) -> Parts:
    """The parts in which the colour is present (absent)."""
    return parts(found.shape, [p for p in found.items if bool((p.cells == colour).any()) == present])


def each(found: Parts, change: Callable[..., Cells], *constants: object) -> Parts:
    """A grid operation done to every part; it keeps its upper left corner."""
    return parts(found.shape, [Part(change(p.cells, *constants), p.top, p.left) for p in found.items])
