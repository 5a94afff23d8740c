"""Every legal answer with probability >= threshold, exactly.

Guarantee: unless the deadline cuts it short, the search over a prompt finds all legal answers whose probability under
the model, over the full vocabulary, is at least the threshold, and gives their log-probabilities, exact up to rounding.

How: probability only falls along an answer, so every prefix of such an answer is itself above the threshold, and a
search that expands all legal prefixes above it misses nothing: the answers of a depth-first search (the Architects,
2024). Here prefixes are nodes of a `token_tree`, evaluated many at a time, and speculatively: drafts (`drafts`) change
how many passes this takes, never what is found. Threshold 1 is the greedy limit, with nothing but best paths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from submission.arc.layouts import successors
from submission.arc.tasks import Grid, grid_key
from submission.deadline import Deadline
from submission.inference.drafts import MAX_DRAFT, Drafts
from submission.inference.token_tree import Node, TokenForest
from submission.solver.engine import Proposal, ViewResult

UNLIMITED_BEST_PATHS = 2
"""Best paths that are followed at any cost where no prompt has an answer: one for each attempt."""


class TreeSearch(Protocol):
    """A search over the token tree behind one prompt."""

    prompt: int
    found: list[Proposal]
    """Complete answers so far."""
    frontier: list[Node]
    """Nodes that have to be evaluated before it can go on; none when it is done."""

    def advance(self) -> None:
        """Go as far as the evaluated nodes allow."""
        ...


def run_searches(
    forest: TokenForest, searches: Sequence[TreeSearch], known: Mapping[int, Sequence[Grid]], until: Deadline
) -> set[int]:
    """Run searches to their ends, each pass evaluating for all of them; returns the prompts that time cut short.

    `known` are answers by prompt, as the prompt shows them, that are likely enough to be drafted whole.
    """
    cut: set[int] = set()
    parallel = forest.capacity.parallel_prompts
    for first in range(0, len(searches), parallel):
        running = {
            each: Drafts(forest, each.prompt, known.get(each.prompt, ())) for each in searches[first : first + parallel]
        }
        while running := {each: drafts for each, drafts in running.items() if each.frontier}:
            costs = forest.cost.each(sum(len(each.frontier) for each in running), MAX_DRAFT)
            prefixes = {each.prompt: drafts.extend(each.frontier, costs) for each, drafts in running.items()}
            if not forest.evaluate(prefixes, until):
                cut.update(each.prompt for each in running)
                break
            for each in running:
                each.advance()
    return cut


def search(
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], threshold: float, until: Deadline,
    best_path_max_nll: float = math.inf, last: bool = True,
) -> list[ViewResult]:  # fmt: skip
    """Every legal answer with p >= threshold for each prompt in `which`; best paths where there is none.

    Best paths are followed only in the `last` search over these prompts, and only for prompts without an answer: the
    likeliest continuation below the threshold, token by token, given up above a cost of `best_path_max_nll` nats. Where
    no prompt has an answer then, the `UNLIMITED_BEST_PATHS` cheapest are followed to their ends.
    """
    # At threshold 1 an answer whose log p rounds to 0 is a best path like the others: the vote counts them alike.
    max_nll = -math.log(threshold) if threshold < 1 else -math.inf
    searches = [AboveThreshold(forest, k, max_nll) for k in which]
    for each in searches:
        each.advance()  # Through what an earlier search has evaluated.
    cut = run_searches(forest, searches, known, until)
    if last:
        empty = [each for each in searches if not each.found and each.prompt not in cut]
        for each in empty:
            each.follow_best_path(best_path_max_nll)
        run_searches(forest, empty, known, until)
        if empty and not any(each.found for each in searches):
            cheapest = sorted(empty, key=AboveThreshold.best_pruned_nll)[:UNLIMITED_BEST_PATHS]
            for each in cheapest:
                each.follow_best_path(math.inf)
            run_searches(forest, cheapest, known, until)
    return [ViewResult(ranked(each.found), exhaustive=each.prompt not in cut) for each in searches]


def ranked(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """Distinct answers, the likeliest first."""
    distinct = {grid_key(each.answer): each for each in proposals}
    return tuple(sorted(distinct.values(), key=lambda each: -each.log_probability))


class AboveThreshold:
    """A `TreeSearch` for every answer with an NLL of at most `max_nll` nats, and after that for the best path."""

    def __init__(self, forest: TokenForest, prompt: int, max_nll: float) -> None:
        """The frontier is the root."""
        self.forest, self.prompt, self.max_nll = forest, prompt, max_nll
        self.found: list[Proposal] = []
        self.frontier = [forest.roots[prompt]]
        self.best_path_max_nll: float | None = None
        """NLL above which the best path is given up, in nats; None until `follow_best_path`."""
        self.best_pruned: tuple[float, Node, int] | None = None
        """Of the continuations that were not followed the likeliest: its NLL, its parent, its token."""

    def advance(self) -> None:
        """Expand the evaluated nodes of the frontier, and their evaluated descendants above the threshold."""
        stack, self.frontier = self.frontier, []
        while stack:
            node = stack.pop()
            if node.log_p is None:
                self.frontier.append(node)
            else:
                stack += self._expand(node)
            if not stack and not self.frontier:
                stack += self._best_path()

    def best_pruned_nll(self) -> float:
        """NLL, in nats, of the likeliest continuation that was not followed; inf where there is none."""
        return self.best_pruned[0] if self.best_pruned else math.inf

    def follow_best_path(self, best_path_max_nll: float) -> None:
        """Go on with the best path below the threshold, to its end or up to this NLL."""
        self.best_path_max_nll = best_path_max_nll
        self.frontier = self._best_path()

    def _best_path(self) -> list[Node]:
        """The next node of the best path; none where an answer is found, or the path is not followed any further."""
        if self.found or self.best_path_max_nll is None or self.best_pruned is None:
            return []
        nll, parent, token = self.best_pruned
        if nll > self.best_path_max_nll:
            return []
        self.best_pruned = None
        return self._take(parent, token)

    def _expand(self, node: Node) -> list[Node]:
        """The children above the threshold; the best of the others is kept in `best_pruned`."""
        above: list[Node] = []
        for token in successors(self.forest.layout, node.state):
            nll = node.nll - self.forest.log_p(node, token)
            if nll <= self.max_nll and self.best_path_max_nll is None:
                above += self._take(node, token)
            elif not math.isnan(nll) and (self.best_pruned is None or nll < self.best_pruned[0]):
                self.best_pruned = (nll, node, token)
        return above

    def _take(self, node: Node, token: int) -> list[Node]:
        """The child with this token; none where the token completes an answer, which goes to `found`."""
        if successors(self.forest.layout, node.state)[token] is not None:
            return [self.forest.child(node, token)]
        self.found.append(completed(self.forest, node, token, above=self.best_path_max_nll is None))
        return []


def completed(forest: TokenForest, node: Node, token: int, above: bool) -> Proposal:
    """The answer that this token completes after this node; `above` says whether it reaches the threshold."""
    answer = forest.layout.parse((*node.tokens(), token))
    assert answer is not None, "only legal answers are followed"
    return Proposal(answer, forest.log_p(node, token) - node.nll, above)
