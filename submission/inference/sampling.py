"""Samples, beam search, and REBASE: proposals without the guarantee that nothing likely was missed.

They use the same token trees and drafts as the threshold search (`threshold_search.run_searches`), so they need few
passes too. log p of what they find is exact up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import AnswerState, Layout, successors
from submission.arc.tasks import Grid
from submission.arc.views import View
from submission.deadline import Deadline
from submission.inference.threshold_search import completed, ranked, run_searches
from submission.inference.token_tree import Node, TokenForest, Tokens
from submission.solver.engine import Proposal, ViewResult


class Samples:
    """A `TreeSearch` that draws answers from the model's distribution, renormalised over the legal tokens."""

    def __init__(
        self, forest: TokenForest, prompt: int, start: Mapping[Node, int], temperature: float, rng: np.random.Generator,
        one_row: bool = False,
    ) -> None:  # fmt: skip
        """Draw start[node] samples from each node; with `one_row` each ends where its grid row ends."""
        self.forest, self.prompt, self.temperature, self.rng, self.one_row = forest, prompt, temperature, rng, one_row
        self.found: list[Proposal] = []
        self.row_ends: list[Node] = []
        """With `one_row`: the node at which each sample ended whose answer goes on."""
        self._samples = dict(start)
        """Frontier node -> samples that have come to it."""
        self.frontier = list(start)

    def advance(self) -> None:
        """Draw the next tokens of each sample, as far as nodes are evaluated."""
        while evaluated := [node for node in self._samples if node.log_p is not None]:
            for node in evaluated:
                number = self._samples.pop(node)
                options = successors(self.forest.layout, node.state)
                probabilities = self._probabilities(node, list(options))
                for token, drawn in zip(options, self.rng.multinomial(number, probabilities), strict=True):
                    if drawn:
                        self._take(node, token, options[token], int(drawn))
        self.frontier = list(self._samples)

    def _probabilities(self, node: Node, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Probabilities of these next tokens at the temperature, with sum 1: [tokens]."""
        scaled = np.array([self.forest.log_p(node, token) for token in tokens], np.float64) / self.temperature
        weights = np.exp(scaled - scaled.max())
        probabilities: NDArray[np.float64] = weights / weights.sum()
        return probabilities

    def _take(self, node: Node, token: int, following: AnswerState | None, number: int) -> None:
        """Continue `number` samples with this token, which leads to the state `following`."""
        if following is None:
            self.found += [completed(self.forest, node, token, above=True)] * number
        elif self.one_row and following.pending == self.forest.layout.row_gap:
            self.row_ends += [self.forest.child(node, token)] * number
        else:
            self._samples[self.forest.child(node, token)] = number


class Beam:
    """A `TreeSearch` for the `width` likeliest prefixes of each length, and the `width` likeliest answers of these."""

    def __init__(self, forest: TokenForest, prompt: int, width: int) -> None:
        """The only prefix is the empty one."""
        self.forest, self.prompt, self.width = forest, prompt, width
        self.found: list[Proposal] = []
        self.frontier = [forest.roots[prompt]]
        self._beams = self.frontier

    def advance(self) -> None:
        """Go on to the next length, as long as all prefixes of the present one are evaluated."""
        while self._beams and all(node.log_p is not None for node in self._beams):
            children = [
                (node.nll - self.forest.log_p(node, token), node, token, following)
                for node in self._beams
                for token, following in successors(self.forest.layout, node.state).items()
            ]
            children = [each for each in children if not math.isnan(each[0])]
            best = sorted(children, key=lambda each: each[0])[: self.width]
            self.found += [
                completed(self.forest, node, token, above=True) for _, node, token, following in best
                if following is None
            ]  # fmt: skip
            self.found = list(ranked(self.found))[: self.width]
            worst = -self.found[-1].log_probability if len(self.found) == self.width else math.inf
            self._beams = [
                self.forest.child(node, token) for nll, node, token, following in best
                if following is not None and nll < worst
            ]  # fmt: skip
        self.frontier = [node for node in self._beams if node.log_p is None]


def sample(
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], width: int, temperature: float,
    until: Deadline, rng: np.random.Generator,
) -> list[ViewResult]:  # fmt: skip
    """`width` samples for each prompt in `which`; samples with equal answers make one proposal."""
    searches = [
        Samples(forest, k, {forest.roots[k]: width}, temperature, each)
        for k, each in zip(which, rng.spawn(len(which)), strict=True)
    ]
    run_searches(forest, searches, known, until)
    return [ViewResult(ranked(each.found), exhaustive=False) for each in searches]


def beam(
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], width: int, until: Deadline
) -> list[ViewResult]:
    """Beam search of this width over each prompt in `which`."""
    searches = [Beam(forest, k, width) for k in which]
    run_searches(forest, searches, known, until)
    return [ViewResult(ranked(each.found), exhaustive=False) for each in searches]


# -- REBASE -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecolouredPrompt:
    """A prompt of the same symmetry as the one that is searched, in other colours: its answers are recoloured ones."""

    prompt: int
    colours: tuple[int, ...]
    """The colour here of each colour there."""


def rebase_all(
    forest: TokenForest, views: Sequence[View], which: Sequence[int], budget: int, temperature: float, until: Deadline,
    rng: np.random.Generator,
) -> list[ViewResult]:  # fmt: skip
    """REBASE once for each symmetry among the prompts in `which`, scored by all of them with that symmetry.

    `views` are those of all prompts. What is found counts as found by the first prompt of its symmetry.
    """
    found = dict.fromkeys(which, ViewResult((), exhaustive=False))
    symmetries = list(dict.fromkeys(views[k].symmetry for k in which))
    for number, symmetry in enumerate(symmetries):
        deadline = until.share(1 / (len(symmetries) - number))
        same = [k for k in which if views[k].symmetry == symmetry]
        own = np.argsort(views[same[0]].colours)
        scorers = [RecolouredPrompt(k, tuple(int(views[k].colours[c]) for c in own)) for k in same]
        proposals = rebase(forest, scorers, budget, temperature, deadline, rng)
        found[same[0]] = ViewResult(tuple(proposals), exhaustive=False)
    return [found[k] for k in which]


def rebase(
    forest: TokenForest,
    scorers: Sequence[RecolouredPrompt],
    budget: int,
    temperature: float,
    until: Deadline,
    rng: np.random.Generator,
) -> list[Proposal]:
    """Reward-balanced search (REBASE, arXiv 2408.00724, section 3.1): a tree of grid rows, wider where they are likely.

    From each node grid rows are sampled behind the first scorer's prompt. The reward of a node is the log p of its
    prefix per grid row, in nats, averaged over all scorers. The budget of answers is divided among the nodes by
    softmax(reward / temperature); each complete answer takes one off it. Ends when the budget is spent, at 30 grid
    rows, or at the deadline. Returns distinct answers, the likeliest first.
    """
    first = scorers[0].prompt
    found: list[Proposal] = []
    width = {forest.roots[first]: budget}
    while width and not until.passed():
        samples = Samples(forest, first, width, 1.0, rng, one_row=True)
        if run_searches(forest, [samples], {}, until):
            break
        found += samples.found
        nodes = list(dict.fromkeys(samples.row_ends))
        prefixes = {
            each.prompt: [recoloured(forest.layout, node.tokens(), each.colours) for node in nodes] for each in scorers
        }
        if not nodes or not forest.evaluate(prefixes, until):
            break
        nll = [[forest.path(k, prefix)[-1].nll for prefix in of_scorer] for k, of_scorer in prefixes.items()]
        heights = [1 + node.state.rows for node in nodes]
        rewards = -np.mean(nll, axis=0) / heights
        given = widths(rewards, budget - len(found), temperature)
        width = {node: number for node, number in zip(nodes, given, strict=True) if number}
    return list(ranked(found))


def widths(rewards: Sequence[float] | NDArray[np.float64], budget: int, temperature: float) -> list[int]:
    """How many samples each node gets: its share softmax(reward / temperature) of the budget, in whole numbers.

    The sum is exactly the budget: the best node first, each takes its share of what is left, rounded up (as the
    paper's code does).
    """
    scaled = np.asarray(rewards, np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    given = [0] * len(weights)
    left, left_weight = budget, float(weights.sum())
    for k in np.argsort(-weights, kind="stable"):
        given[k] = min(left, math.ceil(left * weights[k] / left_weight - 1e-9)) if left_weight > 0 else left
        left -= given[k]
        left_weight -= float(weights[k])
    return given


def recoloured(layout: Layout, tokens: Tokens, colours: Sequence[int]) -> Tokens:
    """The tokens of the same cells with colour `colours[c]` in place of each colour c."""
    becomes = {layout.cells[c]: layout.cells[new] for c, new in enumerate(colours)}
    return tuple(becomes.get(token, token) for token in tokens)
