"""Candidates seen from many views -> a ranking, best first; the first two are the attempts.

Every rule is a function of the candidates alone, so a finished run can be voted anew without a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Grid, grid, grid_key


@dataclass(frozen=True, eq=False)
class Candidate:
    """An answer in the task's own frame, with what the views say of it."""

    answer: Grid
    found: Mapping[int, float]
    """View -> log p, for the views in which the search proposed it."""
    scores: NDArray[np.float64]
    """log p under every view that is to give a score [views]; NaN where it was not needed, or not reached in time."""
    at_most: float = math.inf
    """An upper bound of the sum over these views, where not all of it is known."""

    def total(self) -> float:
        """Sum of log p over the views, a missing score counted as the mean of the others; -inf without any."""
        known = self.scores[~np.isnan(self.scores)]
        if len(known) == 0:
            known = np.array(list(self.found.values()))
        return min(self.at_most, float(known.mean() * len(self.scores))) if len(known) else -math.inf


def rank(candidates: Sequence[Candidate], symmetries: Sequence[int], rule: str) -> list[Grid]:
    """Distinct grids, best first, by the rule of that name; `symmetries[v]` is the symmetry of view v."""
    if rule == "hierarchical":
        return _hierarchical(candidates, symmetries)
    by = RULES[rule]
    # Equal values keep the order of the total, then of the grid itself: the result never depends on input order.
    order = sorted(candidates, key=lambda c: (-by(c), -c.total(), grid_key(c.answer)))
    return [each.answer for each in order]


def product_of_experts(candidate: Candidate) -> float:
    """Sum of log p over all views (PoE, arXiv 2505.07859)."""
    return candidate.total()


def probability_times_count(candidate: Candidate) -> float:
    """Each view that found it and each score adds 3 + log p: being found often counts (Architects 2024)."""
    views = len(candidate.scores)
    return sum(3 + log_p for log_p in candidate.found.values()) + 3 * views + candidate.total()


def count_and_mean(candidate: Candidate) -> float:
    """Views that found it, plus the mean log p (NVARC's score_kgmon)."""
    return len(candidate.found) + candidate.total() / max(1, len(candidate.scores))


def count(candidate: Candidate) -> float:
    """Views that found it: the flat vote."""
    return float(len(candidate.found))


RULES: Mapping[str, Callable[[Candidate], float]] = {
    "poe": product_of_experts,
    "probmul": probability_times_count,
    "kgmon": count_and_mean,
    "flat": count,
}


NAMES = (*RULES, "hierarchical")
"""All rules."""


def _hierarchical(candidates: Sequence[Candidate], symmetries: Sequence[int]) -> list[Grid]:
    """The TTT paper's two votes (arXiv 2411.07279, appendix E.2); each view's most probable answer is its prediction.

    First the three most frequent predictions of each symmetry, filled up with the row-wise and then the
    column-wise majority grid, so that a unanimous symmetry has three votes for its one grid; then a vote among
    all of these, ties going to what the identity predicts most.
    Candidates that no symmetry put forward follow, by total.
    """
    best: dict[int, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (-c.total(), grid_key(c.answer))):
        for view, log_p in candidate.found.items():
            if view not in best or log_p > best[view].found[view]:
                best[view] = candidate
    predictions: dict[int, list[Grid]] = {}
    for view in sorted(best):
        predictions.setdefault(symmetries[view], []).append(best[view].answer)
    ballot = [each for group in predictions.values() for each in _top_three(group)]
    votes = Counter(grid_key(each) for each in ballot)
    identity = Counter(grid_key(each) for each in predictions.get(0, []))
    totals = {grid_key(each.answer): each.total() for each in candidates}
    grids = {grid_key(each): each for each in [*ballot, *(c.answer for c in candidates)]}
    order = sorted(grids, key=lambda key: (-votes[key], -identity[key], -totals.get(key, float("-inf")), key))
    return [grids[key] for key in order]


def _top_three(group: Sequence[Grid]) -> list[Grid]:
    counts = Counter(grid_key(each) for each in group)
    grids = {grid_key(each): each for each in group}
    chosen = sorted(counts, key=lambda key: (-counts[key], key))[:3]
    for filler in (_row_majority(group), _row_majority([each.T for each in group]).T):
        grids[grid_key(filler)] = grid(filler)
        chosen.append(grid_key(filler))
    return [grids[key] for key in chosen[:3]]


def _row_majority(group: Sequence[Grid]) -> Grid:
    """Of the most frequent shape, with each row the most frequent one at its height."""
    shape = Counter(each.shape for each in group).most_common(1)[0][0]
    same = [each for each in group if each.shape == shape]
    rows = [Counter(tuple(each[r]) for each in same).most_common(1)[0][0] for r in range(shape[0])]
    return grid(rows)
