"""Log-probabilities of given answers under every view, with no more forward passes than the decision needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Grid
from submission.deadline import Deadline
from submission.inference.token_tree import TokenForest, Tokens
from submission.solver.engine import Scores

SCORED_TOGETHER = 4
"""Candidates, and prompts for each, that are read before those that have fallen behind are dropped."""


def score(forest: TokenForest, answers: Sequence[Sequence[Grid]], best: int, until: Deadline) -> Scores:
    """log p of answers[prompt][candidate], as far as it takes to know the `best` by their sums over all prompts.

    What a trie already tells bounds every answer from above, for log p only falls along it: an answer that leaves the
    read paths at an unlikely token needs no further pass to be known as unlikely. Those with the highest bounds are
    read on, a few prompts at a time, until the `best` are known and no bound reaches them; with `best` 0 nothing is.
    """
    written = [[tuple(forest.layout.answer(each).tolist()) for each in row] for row in answers]
    prompts, number = len(written), len(written[0]) if written else 0
    at_most, whole = np.zeros((prompts, number)), np.zeros((prompts, number), bool)
    while True:
        for k, c in np.argwhere(~whole):
            at_most[k, c], whole[k, c] = bound_of(forest, k, written[k][c])
        wanted = _next_to_score(at_most, whole, best)
        paths = {k: [written[k][c][:-1] for c in some] for k, some in wanted.items()}
        if not paths or not forest.read(paths, until):
            return Scores(np.where(whole, at_most, np.nan), at_most.sum(axis=0))


def _next_to_score(at_most: NDArray[np.float64], whole: NDArray[np.bool_], best: int) -> dict[int, list[int]]:
    """Which candidates to read next behind which prompts; none if the `best` are known."""
    totals = at_most.sum(axis=0)
    done: NDArray[np.bool_] = np.all(whole, axis=0)
    if best == 0 or done.all():
        return {}
    least = sorted(totals[done])[-best] if done.sum() >= best else -math.inf
    rising = [int(c) for c in np.argsort(-totals, kind="stable") if not done[c] and not totals[c] < least]
    # Prompts that make much of small differences come first: there the sums of the others fall fastest.
    strict = np.argsort(np.where(whole, at_most, 0.0).sum(axis=1) / np.maximum(whole.sum(axis=1), 1), kind="stable")
    wanted: dict[int, list[int]] = {}
    for c in rising[: max(best, SCORED_TOGETHER)]:
        for k in [int(k) for k in strict if not whole[k, c]][:SCORED_TOGETHER]:
            wanted.setdefault(k, []).append(c)
    return wanted


def bound_of(forest: TokenForest, prompt: int, tokens: Tokens) -> tuple[float, bool]:
    """An upper bound of an answer's log p, from what has been read, and whether it is the log p itself."""
    node = forest.roots[prompt]
    for token in tokens[:-1]:
        if node.log_p is None:
            return -node.cost, False
        child = node.children.get(token)
        if child is None:
            return forest.log_p(node, token) - node.cost, False
        node = child
    return (-node.cost, False) if node.log_p is None else (forest.log_p(node, tokens[-1]) - node.cost, True)
