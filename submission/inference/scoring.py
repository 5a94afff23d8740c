"""Log-probabilities of given answers under every view, with no more forward passes than the decision needs.

Guarantee: unless the deadline comes first, the log-probabilities of the best few answers, by their sums over all views,
are exact up to rounding, and no other answer can have a larger sum.
"""

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
"""Candidates, and prompts for each of them, that are evaluated before the bounds are compared again."""


def score(forest: TokenForest, answers: Sequence[Sequence[Grid]], best: int, until: Deadline) -> Scores:
    """log p, in nats, of answers[prompt][candidate]: complete for the `best` candidates by their sums over all prompts.

    Branch and bound. log p only falls along an answer, so what the token trees know of its prefix bounds it from above:
    an answer that leaves the evaluated paths at an unlikely token needs no pass to be ruled out. The candidates with
    the largest bounds are evaluated, a few prompts at a time, until no bound exceeds the `best` known sums. With `best`
    0 nothing is evaluated.
    """
    tokens = [[tuple(forest.layout.answer(each).tolist()) for each in candidates] for candidates in answers]
    prompts, number = len(tokens), len(tokens[0]) if tokens else 0
    at_most, exact = np.zeros((prompts, number)), np.zeros((prompts, number), bool)
    while True:
        for k, c in np.argwhere(~exact):
            at_most[k, c], exact[k, c] = upper_bound(forest, k, tokens[k][c])
        wanted = _next_to_score(at_most, exact, best)
        prefixes = {k: [tokens[k][c][:-1] for c in candidates] for k, candidates in wanted.items()}
        if not prefixes or not forest.evaluate(prefixes, until):
            return Scores(np.where(exact, at_most, np.nan), at_most.sum(axis=0))


def _next_to_score(at_most: NDArray[np.float64], exact: NDArray[np.bool_], best: int) -> dict[int, list[int]]:
    """Prompt -> candidates to evaluate next; none if the `best` are known. Both arrays are [prompt, candidate]."""
    totals = at_most.sum(axis=0)
    known: NDArray[np.bool_] = np.all(exact, axis=0)
    if best == 0 or known.all():
        return {}
    least = sorted(totals[known])[-best] if known.sum() >= best else -math.inf
    open_candidates = [int(c) for c in np.argsort(-totals, kind="stable") if not known[c] and not totals[c] < least]
    # Prompts with the lowest mean log p first: there the sums of the other candidates fall fastest.
    lowest = np.argsort(np.where(exact, at_most, 0.0).sum(axis=1) / np.maximum(exact.sum(axis=1), 1), kind="stable")
    wanted: dict[int, list[int]] = {}
    for c in open_candidates[: max(best, SCORED_TOGETHER)]:
        for k in [int(k) for k in lowest if not exact[k, c]][:SCORED_TOGETHER]:
            wanted.setdefault(k, []).append(c)
    return wanted


def upper_bound(forest: TokenForest, prompt: int, tokens: Tokens) -> tuple[float, bool]:
    """An upper bound of an answer's log p from what is evaluated, and whether it is the log p itself."""
    node = forest.roots[prompt]
    for token in tokens[:-1]:
        if node.log_p is None:
            return -node.nll, False
        child = node.children.get(token)
        if child is None:
            return forest.log_p(node, token) - node.nll, False
        node = child
    return (-node.nll, False) if node.log_p is None else (forest.log_p(node, tokens[-1]) - node.nll, True)
