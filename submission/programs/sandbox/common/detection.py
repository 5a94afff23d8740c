"""Objects by what a program says of them: colours, size, a predicate of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from submission.programs.sandbox.common.colours import Color
from submission.programs.sandbox.common.labelling import Cells, Mask
from submission.programs.sandbox.common.objects import bounding_box, crop, find_connected_components

__all__ = ["detect_objects"]

MOST_CHOICES = 20_000
"""Choices that the search for objects without overlaps looks at."""


def detect_objects(
    grid: Cells,
    _: Any = None,
    predicate: Callable[[Cells], Any] | None = None,
    background: int = Color.BLACK,
    monochromatic: bool = False,
    connectivity: int | None = None,
    allowed_dimensions: Sequence[tuple[int, int]] | None = None,
    colors: Sequence[int] | None = None,
    can_overlap: bool = False,
) -> list[Cells]:
    """The objects of a grid that are as the arguments say.

    With a connectivity, connected components are objects; with allowed dimensions (n, m), each window of that size
    that is not empty is one; with neither, components that touch at corners too. An object may have no other colours
    than `colors` and the background, and its sprite must satisfy the predicate. Unless they may overlap, those are
    chosen that cover the most cells together, the largest first.
    """

    def fits(sprite: Cells) -> bool:
        legal = colors is None or bool(np.isin(sprite, [*colors, background]).all())
        return legal and (predicate is None or bool(predicate(sprite)))

    objects: list[Cells] = []
    if connectivity or not allowed_dimensions:
        found = find_connected_components(grid, background, connectivity or 8, monochromatic)
        objects = [each for each in found if fits(crop(each, background))]
    if allowed_dimensions:
        # A component's size is that of its array, the grid's: BARC's library says so by what it does.
        objects = [each for each in objects if each.shape in [tuple(size) for size in allowed_dimensions]]
        for x, y, window in _windows(grid, allowed_dimensions):
            if (window != background).any() and fits(window):
                candidate = _at(window, x, y, grid.shape, background)
                objects += [candidate] * (not any(np.array_equal(candidate, each) for each in objects))
    return objects if can_overlap or not objects else _apart(objects, background)


def _windows(grid: Cells, sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, Cells]]:
    """(x, y, cells) of every window of these sizes."""
    for n, m in sizes:
        for x in range(grid.shape[0] - n + 1):
            for y in range(grid.shape[1] - m + 1):
                yield x, y, grid[x : x + n, y : y + m]


def _at(sprite: Cells, x: int, y: int, shape: tuple[int, ...], background: int) -> Cells:
    """The sprite as an object at (x, y)."""
    made = np.full(shape, background)
    made[x : x + sprite.shape[0], y : y + sprite.shape[1]] = sprite
    return made


def _apart(objects: Sequence[Cells], background: int) -> list[Cells]:
    """Objects without overlaps that cover the most cells, the largest first; those without any overlap come first."""

    def size(each: Cells) -> tuple[int, int]:
        _, _, width, height = bounding_box(each, background)
        return width * height, int((each != background).sum())

    ordered = sorted(objects, key=size, reverse=True)
    masks: list[Mask] = [each != background for each in ordered]
    cells = np.array(masks, dtype=np.float32).reshape(len(masks), -1)
    common = cells @ cells.T  # the number of common cells of each two
    meets = [set(np.flatnonzero(row).tolist()) - {i} for i, row in enumerate(common)]
    free = [i for i, others in enumerate(meets) if not others]
    rest = [i for i, others in enumerate(meets) if others]
    return [ordered[i] for i in [*free, *_cover(rest, masks, meets)]]


def _cover(candidates: Sequence[int], masks: Sequence[Mask], meets: Sequence[set[int]]) -> list[int]:
    """The candidates that do not meet and cover the most cells; of equals the first found, taking before leaving."""
    sizes = [int(mask.sum()) for mask in masks]
    whole = int(np.any([masks[i] for i in candidates], axis=0).sum()) if candidates else 0
    best: list[int] = []
    covered, choices = 0, 0
    todo: list[tuple[list[int], list[int], int]] = [(list(candidates), [], 0)]
    while todo and covered < whole and choices < MOST_CHOICES:
        left, chosen, sum_of_sizes = todo.pop()
        choices += 1
        if sum_of_sizes > covered:
            best, covered = chosen, sum_of_sizes
        if left and sum_of_sizes + sum(sizes[i] for i in left) > covered:
            first, *others = left
            todo.append((others, chosen, sum_of_sizes))
            todo.append(([i for i in others if i not in meets[first]], [*chosen, first], sum_of_sizes + sizes[first]))
    return best
