"""Connected cells of a mask, and the cells around it: what the functions on objects are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
LabelFunction = Callable[[Mask, Cells], tuple[Labels, int]]
"""A function like `scipy.ndimage.label`: mask and 3x3 structure -> (labels, number of components)."""

CROSS = ((-1, 0), (0, -1), (0, 1), (1, 0))
STEPS = {4: CROSS, 8: (*CROSS, (-1, -1), (-1, 1), (1, -1), (1, 1))}
"""Connectivity -> the steps from a cell to its neighbours."""

_label: LabelFunction | None = None


def use_label(function: LabelFunction | None) -> None:
    """Label with this function from now on; None: with `own_label`, which gives the same and takes longer."""
    global _label
    _label = function


def steps(connectivity: int) -> tuple[tuple[int, int], ...]:
    """The steps to the neighbours of a cell; ValueError for a connectivity other than 4 and 8."""
    if connectivity not in STEPS:
        raise ValueError(f"connectivity must be 4 or 8, not {connectivity!r}")
    return STEPS[connectivity]


def structure(connectivity: int) -> Cells:
    """A cell and its neighbours as a 3x3 array of 0 and 1."""
    made = np.zeros((3, 3), dtype=int)
    for x, y in ((0, 0), *steps(connectivity)):
        made[x + 1, y + 1] = 1
    return made


def labelled(mask: Mask, connectivity: int) -> tuple[Labels, int]:
    """Number the connected components of a mask by their first cells in reading order.

    Returns (labels, count): labels [same shape] are 0 outside of the mask, 1 to count inside.
    """
    shape = structure(connectivity)
    return own_label(mask, shape) if _label is None else _label(mask, shape)


def own_label(mask: Mask, shape: Cells) -> tuple[Labels, int]:
    """`labelled` by flooding, for a 3x3 structure: gives what `scipy.ndimage.label` gives."""
    around = [(int(x) - 1, int(y) - 1) for x, y in np.argwhere(shape) if (x, y) != (1, 1)]
    labels = np.zeros(mask.shape, dtype=np.int32)
    unseen = {(x, y) for x, y in np.argwhere(mask).tolist()}
    count = 0
    for first in sorted(unseen):
        if first not in unseen:
            continue
        count += 1
        unseen.remove(first)
        todo = [first]
        while todo:
            x, y = todo.pop()
            labels[x, y] = count
            for dx, dy in around:
                if (x + dx, y + dy) in unseen:
                    unseen.remove((x + dx, y + dy))
                    todo.append((x + dx, y + dy))
    return labels, count


def dilated(mask: Mask, connectivity: int, times: int = 1) -> Mask:
    """The mask together with the neighbours of its cells, `times` times."""
    n, m = mask.shape
    for _ in range(times):
        wide = np.pad(mask, 1)
        shifted = [wide[1 + dx : 1 + dx + n, 1 + dy : 1 + dy + m] for dx, dy in ((0, 0), *steps(connectivity))]
        mask = np.logical_or.reduce(shifted)
    return mask
