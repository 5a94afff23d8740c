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

from submission.arc.layouts import successors
from submission.arc.tasks import Grid, grid_key
from submission.deadline import Deadline
from submission.inference.drafts import Drafts
from submission.inference.token_tree import Node, TokenForest
from submission.solver.engine import Found, Proposal

FORCED = 2
"""Best paths that are followed whatever they cost where there is nothing else: one for each attempt."""


class TreeSearch(Protocol):
    """A way to look for answers behind one prompt: which nodes have to be read next, and what was found."""

    prompt: int
    found: list[Proposal]
    open: list[Node]
    """Nodes to be read before it can go on; none when it is done."""

    def go_on(self) -> None:
        """Go as far as what has been read allows."""
        ...


def pursue(
    forest: TokenForest, hunts: Sequence[TreeSearch], known: Mapping[int, Sequence[Grid]], until: Deadline
) -> set[int]:
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
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], threshold: float, until: Deadline,
    best_path_max_nll: float = math.inf, last: bool = True,
) -> list[Found]:  # fmt: skip
    """For each prompt in `which` every legal answer with p >= threshold; if these are the `last` prompts, best paths.

    Where a prompt has no such answer its best path is followed, and given up where its cost, in nats, exceeds
    `best_path_max_nll`; the `FORCED` cheapest go to their ends after all where no prompt would have an answer
    otherwise. The greedy limit has nothing but best paths.
    """
    hunts = [AboveThreshold(forest, k, -math.log(threshold)) for k in which]
    for hunt in hunts:
        hunt.go_on()  # Through what an earlier search has read.
    cut = pursue(forest, hunts, known, until)
    if not last:
        return [Found(found_of(hunt.found), exhaustive=hunt.prompt not in cut) for hunt in hunts]
    lost = [each for each in hunts if not each.found and each.prompt not in cut]
    for hunt in lost:
        hunt.follow_best(best_path_max_nll)
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

    def __init__(self, forest: TokenForest, prompt: int, bound: float) -> None:
        self.forest, self.prompt, self.bound = forest, prompt, bound
        self.found: list[Proposal] = []
        self.open = [forest.roots[prompt]]
        self.best_path_max_nll: float | None = None
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

    def follow_best(self, best_path_max_nll: float) -> None:
        """Follow the best path below the threshold, to its end or to this cost."""
        self.best_path_max_nll = best_path_max_nll
        self.open = self._best_path()

    def _best_path(self) -> list[Node]:
        if (
            self.found
            or self.best_path_max_nll is None
            or self.given_up is None
            or self.given_up[0] > self.best_path_max_nll
        ):
            return []
        _, parent, token = self.given_up
        self.given_up = None
        return self._taken(parent, token)

    def _live_children(self, node: Node) -> list[Node]:
        live: list[Node] = []
        for token in successors(self.forest.layout, node.state):
            cost = node.cost - self.forest.log_p(node, token)
            if cost <= self.bound and self.best_path_max_nll is None:
                live += self._taken(node, token)
            elif not math.isnan(cost) and (self.given_up is None or cost < self.given_up[0]):
                self.given_up = (cost, node, token)
        return live

    def _taken(self, node: Node, token: int) -> list[Node]:
        """The child to go on with; none if this token completes an answer."""
        if successors(self.forest.layout, node.state)[token] is not None:
            return [self.forest.child(node, token)]
        self.found.append(completed(self.forest, node, token, above=self.best_path_max_nll is None))
        return []


def completed(forest: TokenForest, node: Node, token: int, above: bool) -> Proposal:
    """The answer that ends with this token after this node."""
    answer = forest.layout.parse((*node.tokens(), token))
    assert answer is not None, "only legal answers are followed"
    return Proposal(answer, forest.log_p(node, token) - node.cost, above)


# -- scoring --------------------------------------------------------------------------------------------------------
