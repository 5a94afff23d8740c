"""Outputs laid together from several states: each layer covers what is coloured in it, or everything.

Greedy, as icecuber's stacker: a layer may be laid where it contradicts no cell that is still open, and the one that
settles most cells goes first (uppermost).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
MOST_LAYERS = 4


@dataclass(frozen=True, eq=False)
class Stack:
    """Which pieces lie upon each other, the uppermost first; the last covers everything that is left."""

    pieces: tuple[int, ...]
    cost: float


def stacks(
    pieces: NDArray[np.uint8], target: NDArray[np.uint8], costs: NDArray[np.float64], wanted: int
) -> list[Stack]:
    """Stacks that give the target: pieces [states, cells], target [cells], costs [states].

    Each of the most promising pieces is once put on top, then the rest is chosen greedily.
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


def laid(pieces: NDArray[np.uint8], stack: Stack) -> NDArray[np.uint8]:
    """The cells that a stack gives: pieces [states, cells] -> [cells]."""
    *upper, last = stack.pieces
    made: NDArray[np.uint8] = pieces[last]
    for k in reversed(upper):
        made = np.where(pieces[k] != 0, pieces[k], made)
    return made


def steadiness(
    pieces: NDArray[np.uint8], target: NDArray[np.uint8], costs: NDArray[np.float64], ends: NDArray[np.intp]
) -> float:
    """Share of demonstrations that the first stack for the others gives rightly; `ends` are their last cells + 1."""
    right = 0
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        others = np.r_[0:start, end : target.size]
        found = stacks(pieces[:, others], target[others], costs, 1) if others.size else []
        right += bool(found) and bool((laid(pieces[:, start:end], found[0]) == target[start:end]).all())
    return right / len(ends)
