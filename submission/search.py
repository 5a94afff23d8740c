"""All answers above a probability threshold, exactly, and the log-probability of given answers.

A prefix of an answer lives while its probability is at least the threshold; since probabilities only fall along an
answer, the live prefixes lead to every answer above it, and to nothing else: the set that a depth-first search finds
(the Architects, 2024). Only legal continuations are followed; their probabilities are those of the full vocabulary.
The greedy answer is the limit of threshold 1.

What is read is guessed ahead (`drafts`), which changes how many passes it takes (see `trie`), never what is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from submission.budget import Deadline
from submission.drafts import Drafts
from submission.engine import Found, Proposal, Scores
from submission.layouts import successors
from submission.tasks import Grid, grid_key
from submission.trie import Forest, Node, Tokens

FORCED = 2
"""Best paths that are followed whatever they cost where there is nothing else: one for each attempt."""

SCORED_TOGETHER = 4
"""Candidates, and prompts for each, that are read before those that have fallen behind are dropped."""


class Hunt(Protocol):
    """A way to look for answers behind one prompt: which nodes have to be read next, and what was found."""

    prompt: int
    found: list[Proposal]
    open: list[Node]
    """Nodes to be read before it can go on; none when it is done."""

    def go_on(self) -> None:
        """Go as far as what has been read allows."""
        ...


def pursue(forest: Forest, hunts: Sequence[Hunt], known: Mapping[int, Sequence[Grid]], until: Deadline) -> set[int]:
    """Follow all hunts to their ends, each pass reading for all of them; returns the prompts that time cut short.

    `known` are answers, as each prompt shows them, that are likely enough to be read whole.
    """
    cut: set[int] = set()
    for first in range(0, len(hunts), forest.together):
        waiting = {
            hunt: Drafts(forest, hunt.prompt, known.get(hunt.prompt, ())) for hunt in hunts[first:][: forest.together]
        }
        while waiting := {hunt: drafts for hunt, drafts in waiting.items() if hunt.open}:
            share = forest.worth_a_pass / sum(len(hunt.open) for hunt in waiting)
            if not forest.read({hunt.prompt: drafts.of(hunt.open, share) for hunt, drafts in waiting.items()}, until):
                cut.update(hunt.prompt for hunt in waiting)
                break
            for hunt in waiting:
                hunt.go_on()
    return cut


def search(
    forest: Forest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], threshold: float, until: Deadline,
    hopeless: float = math.inf, last: bool = True,
) -> list[Found]:  # fmt: skip
    """For each prompt in `which` every legal answer with p >= threshold; if these are the `last` prompts, best paths.

    Where a prompt has no such answer its best path is followed, and given up where its cost, in nats, exceeds
    `hopeless`; the `FORCED` cheapest go to their ends after all where no prompt would have an answer otherwise. The
    greedy limit has nothing but best paths.
    """
    hunts = [AboveThreshold(forest, k, -math.log(threshold)) for k in which]
    for hunt in hunts:
        hunt.go_on()  # Through what an earlier search has read.
    cut = pursue(forest, hunts, known, until)
    if not last:
        return [Found(found_of(hunt.found), exhaustive=hunt.prompt not in cut) for hunt in hunts]
    lost = [each for each in hunts if not each.found and each.prompt not in cut]
    for hunt in lost:
        hunt.follow_best(hopeless)
    pursue(forest, lost, known, until)
    if lost and not any(hunt.found for hunt in hunts):
        forced = sorted(lost, key=AboveThreshold.loss)[:FORCED]
        for hunt in forced:
            hunt.follow_best(math.inf)
        pursue(forest, forced, known, until)
    return [Found(found_of(hunt.found), exhaustive=hunt.prompt not in cut) for hunt in hunts]


def found_of(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """Distinct answers, the likeliest first."""
    distinct = {grid_key(each.answer): each for each in proposals}
    return tuple(sorted(distinct.values(), key=lambda each: -each.log_probability))


class AboveThreshold:
    """Every answer of at least the probability exp(-bound); then, if it is told to, the best path below."""

    def __init__(self, forest: Forest, prompt: int, bound: float) -> None:
        self.forest, self.prompt, self.bound = forest, prompt, bound
        self.found: list[Proposal] = []
        self.open = [forest.roots[prompt]]
        self.hopeless: float | None = None
        """The cost at which the best path is given up; None while it is not followed."""
        self.given_up: tuple[float, Node, int] | None = None
        """Of what is below the threshold and not followed the likeliest: its cost, its parent, its token."""

    def go_on(self) -> None:
        """Follow the open nodes that have been read, and all live ones after them that have."""
        stack, self.open = self.open, []
        while stack:
            node = stack.pop()
            if node.log_p is None:
                self.open.append(node)
            else:
                stack += self._live_children(node)
            if not stack and not self.open:
                stack += self._best_path()

    def loss(self) -> float:
        """What the likeliest path that is not followed costs, in nats."""
        return self.given_up[0] if self.given_up else math.inf

    def follow_best(self, hopeless: float) -> None:
        """Follow the best path below the threshold, to its end or to this cost."""
        self.hopeless = hopeless
        self.open = self._best_path()

    def _best_path(self) -> list[Node]:
        if self.found or self.hopeless is None or self.given_up is None or self.given_up[0] > self.hopeless:
            return []
        _, parent, token = self.given_up
        self.given_up = None
        return self._taken(parent, token)

    def _live_children(self, node: Node) -> list[Node]:
        live: list[Node] = []
        for token in successors(self.forest.layout, node.state):
            cost = node.cost - self.forest.log_p(node, token)
            if cost <= self.bound and self.hopeless is None:
                live += self._taken(node, token)
            elif not math.isnan(cost) and (self.given_up is None or cost < self.given_up[0]):
                self.given_up = (cost, node, token)
        return live

    def _taken(self, node: Node, token: int) -> list[Node]:
        """The child to go on with; none if this token completes an answer."""
        if successors(self.forest.layout, node.state)[token] is not None:
            return [self.forest.child(node, token)]
        self.found.append(completed(self.forest, node, token, above=self.hopeless is None))
        return []


def completed(forest: Forest, node: Node, token: int, above: bool) -> Proposal:
    """The answer that ends with this token after this node."""
    answer = forest.layout.parse((*node.tokens(), token))
    assert answer is not None, "only legal answers are followed"
    return Proposal(answer, forest.log_p(node, token) - node.cost, above)


# -- scoring --------------------------------------------------------------------------------------------------------


def score(forest: Forest, answers: Sequence[Sequence[Grid]], best: int, until: Deadline) -> Scores:
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


def bound_of(forest: Forest, prompt: int, tokens: Tokens) -> tuple[float, bool]:
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
