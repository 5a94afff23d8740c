"""Outputs stacked from several states: a layer covers what lies below wherever it is coloured.

Greedy, after the stacker of icecuber's entry of 2020 (Kaggle, "Abstraction and Reasoning Challenge"): a layer may be
added if it contradicts no cell that is not covered yet, and the layer that covers most cells is added first, on top.
Here all cells of a task stand in one line, so the shapes of the grids do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

MOST_LAYERS = 4
"""Upper layers of a stack; one more lies at its bottom."""


@dataclass(frozen=True, eq=False)
class Stack:
    """States on top of each other."""

    pieces: tuple[int, ...]
    """Indices of the states, the uppermost first; the last one covers everything that is left, background included."""
    cost: float
    """Sum of the states' costs, and 0.5 for each layer."""


def stacks(
    pieces: NDArray[np.uint8], target: NDArray[np.uint8], costs: NDArray[np.float64], wanted: int
) -> list[Stack]:
    """Return up to `wanted` stacks whose cells equal the target.

    pieces [states, cells] are the colours of each state, target [cells] the right colours, costs [states]. Each of the
    states that cover most is tried on top; the layers below are chosen greedily.
    """
    right = pieces == target
    coloured = pieces != 0
    wrong = coloured & ~right
    helpful = coloured & right
    found: dict[tuple[int, ...], Stack] = {}
    admissible = np.flatnonzero(~wrong.any(1) & helpful.any(1))
    if not admissible.size:
        return []
    gains = helpful[admissible].sum(1) - 0.01 * costs[admissible]
    for first in admissible[np.argsort(-gains, kind="stable")][: 3 * wanted]:
        stack = _completed(int(first), right, wrong, helpful, costs)
        if stack is not None:
            found.setdefault(stack.pieces, stack)
        if len(found) >= wanted:
            break
    return list(found.values())


def _completed(first: int, right: Bools, wrong: Bools, helpful: Bools, costs: NDArray[np.float64]) -> Stack | None:
    """Add layers below state `first` until all cells are covered; None where that needs too many, or is impossible.

    right, wrong, helpful [states, cells]: whether a state's cell has the right colour; is coloured wrongly; is coloured
    rightly. costs [states].
    """
    chosen = [first]
    left = np.flatnonzero(~helpful[first])
    while len(chosen) <= MOST_LAYERS:
        if not left.size:
            break
        whole = np.flatnonzero(right[:, left].all(1))
        if whole.size:
            chosen.append(int(whole[costs[whole].argmin()]))
            return Stack(tuple(chosen), float(costs[chosen].sum()) + 0.5 * len(chosen))
        gains = np.where(wrong[:, left].any(1), 0.0, helpful[:, left].sum(1) - 0.01 * costs)
        best = int(gains.argmax())
        if gains[best] <= 0:
            return None
        chosen.append(best)
        left = left[~helpful[best][left]]
    return None


def stacked(pieces: NDArray[np.uint8], stack: Stack) -> NDArray[np.uint8]:
    """Return the cells of a stack: pieces [states, cells] -> [cells]."""
    *upper, last = stack.pieces
    result: NDArray[np.uint8] = pieces[last]
    for k in reversed(upper):
        result = np.where(pieces[k] != 0, pieces[k], result)
    return result


def leave_one_out(
    pieces: NDArray[np.uint8], target: NDArray[np.uint8], costs: NDArray[np.float64], ends: NDArray[np.intp]
) -> float:
    """Return the leave-one-out stability: the share of demonstrations that the best stack of the others reproduces.

    pieces [states, cells], target [cells], costs [states]; `ends` [demonstrations] are the ends (exclusive) of the
    demonstrations' cells.
    """
    right = 0
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        others = np.r_[0:start, end : target.size]
        found = stacks(pieces[:, others], target[others], costs, 1) if others.size else []
        right += bool(found) and bool((stacked(pieces[:, start:end], found[0]) == target[start:end]).all())
    return right / len(ends)
