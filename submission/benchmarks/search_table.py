"""The comparison of search methods (`search`) as a table and as totals over all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import numpy as np

from submission.benchmarks.search import BASELINES, Comparison

Figure = Literal["passes", "seconds"]

TINY = 1e-9
"""Seconds or passes of a step that a method skipped: avoids a division by zero."""

COLUMNS = {"depth-first": 12, "lock-step": 10, "exhaustive": 11, "exact": 7, "configured": 11}
"""Methods in the order of the table, and the widths of their columns."""

_METHODS = "".join(f"{name:>{width}}" for name, width in COLUMNS.items())

HEAD = f"{'task':10} {'views':>5} {'cand.':>5} {_METHODS}  {_METHODS}   ratio  same"
"""The head of the table: views searched, candidates, passes of each method, seconds of each method."""


def line(each: Comparison, scoring: bool) -> str:
    """Return one task as a line: passes, seconds, how many times longer depth-first took than ours, equal results.

    With `scoring` the figures are those of the scoring alone, otherwise of search and scoring together.
    """
    passes = "".join(f"{_figure(each, name, 'passes', scoring):{width}.0f}" for name, width in COLUMNS.items())
    seconds = "".join(f"{_figure(each, name, 'seconds', scoring):{width}.2f}" for name, width in COLUMNS.items())
    same = "yes" if each.same_answers and each.same_attempts else "NO"
    ratio = _ratio(each, "depth-first", "configured", "seconds", scoring)
    return f"{each.task:10} {each.searched:5} {each.candidates:5} {passes}  {seconds}  {ratio:6.1f}  {same}"


def totals(comparisons: Sequence[Comparison], scoring: bool) -> str:
    """Return the sums over all tasks, the spread of the ratios, and how far the results agree, as lines of text."""
    lines = []
    figures: tuple[Figure, ...] = ("passes", "seconds")
    for what in figures:
        sums = {name: sum(_figure(e, name, what, scoring) for e in comparisons) for name in comparisons[0].work}
        lines.append(f"{what}: " + ", ".join(f"{name} {total:.4g}" for name, total in sums.items()))
        for name, ours in product(BASELINES, ("exact", "configured")):
            ratios = [_ratio(each, name, ours, what, scoring) for each in comparisons]
            quartiles = " / ".join(f"{each:.1f}" for each in np.percentile(ratios, [0, 25, 50, 75, 100]))
            lines.append(
                f"  {name} over {ours}: {sums[name] / max(sums[ours], TINY):.1f} in total; by task, minimum / 25 % /"
                f" median / 75 % / maximum: {quartiles}"
            )
    count = len(comparisons)
    lines += [
        f"prompt tokens computed more than once: {sum(each.recomputed for each in comparisons)}",
        f"same answers in {sum(each.same_answers for each in comparisons)} of {count} tasks"
        f" ({sum(each.near for each in comparisons)} answers are so near the threshold that rounding decides)",
        f"exact gives the attempts of exhaustive in {sum(each.same_attempts for each in comparisons)} of {count} tasks,"
        f" configured its first attempt in {sum(each.same_first_attempt for each in comparisons)}",
        f"largest difference in log p, in nats: {max(each.error for each in comparisons):.1e} for answers above the"
        f" threshold, {max(each.error_scored for each in comparisons):.1e} for all candidates"
        f" ({max(each.error_relative for each in comparisons):.1e} relative)",
    ]
    return "\n".join(lines)


def _figure(each: Comparison, name: str, what: Figure, scoring: bool) -> float:
    """Return the passes or seconds of one method."""
    method = each.work[name]
    parts = (method.scoring,) if scoring else (method.search, method.scoring)
    return float(sum(part.passes if what == "passes" else part.seconds for part in parts))


def _ratio(each: Comparison, name: str, ours: str, what: Figure, scoring: bool) -> float:
    """Return how many times more passes or seconds one method took than another."""
    return _figure(each, name, what, scoring) / max(_figure(each, ours, what, scoring), TINY)
