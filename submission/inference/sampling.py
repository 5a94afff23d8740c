"""Other ways to propose answers than all above a threshold: samples, beams, and a tree of rows (REBASE).

They go through the same tries and drafts as the threshold search (`search.pursue`), so that they too need few passes;
none of them can tell that nothing was missed.
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
from submission.inference.threshold_search import completed, found_of, pursue
from submission.inference.token_tree import Node, TokenForest, Tokens
from submission.solver.engine import Found, Proposal


class Samples:
    """Answers, or rows of them, drawn from the model's distribution over what is legal."""

    def __init__(
        self, forest: TokenForest, prompt: int, start: Mapping[Node, int], temperature: float, rng: np.random.Generator,
        rows: bool = False,
    ) -> None:  # fmt: skip
        """So many samples go on from each node of `start`; with `rows` each ends at the end of its row."""
        self.forest, self.prompt, self.temperature, self.rng, self.rows = forest, prompt, temperature, rng, rows
        self.found: list[Proposal] = []
        self.ended: list[Node] = []
        """Where samples have come to the end of their row, if `rows`."""
        self._samples = dict(start)
        self.open = list(start)

    def go_on(self) -> None:
        """Draw the next tokens of each sample, as far as the model has read."""
        while ready := [node for node in self._samples if node.log_p is not None]:
            for node in ready:
                number = self._samples.pop(node)
                options = successors(self.forest.layout, node.state)
                chances = self._chances(node, list(options))
                for token, drawn in zip(options, self.rng.multinomial(number, chances), strict=True):
                    if drawn:
                        self._take(node, token, options[token], int(drawn))
        self.open = list(self._samples)

    def _chances(self, node: Node, tokens: Sequence[int]) -> NDArray[np.float64]:
        scaled = np.array([self.forest.log_p(node, token) for token in tokens], np.float64) / self.temperature
        weights = np.exp(scaled - scaled.max())
        chances: NDArray[np.float64] = weights / weights.sum()
        return chances

    def _take(self, node: Node, token: int, then: AnswerState | None, number: int) -> None:
        if then is None:
            self.found += [completed(self.forest, node, token, above=True)] * number
        elif self.rows and then.pending == self.forest.layout.row_gap:
            self.ended += [self.forest.child(node, token)] * number
        else:
            self._samples[self.forest.child(node, token)] = number


class Beam:
    """The `width` likeliest prefixes of each length, and the likeliest answers that they lead to."""

    def __init__(self, forest: TokenForest, prompt: int, width: int) -> None:
        self.forest, self.prompt, self.width = forest, prompt, width
        self.found: list[Proposal] = []
        self.open = [forest.roots[prompt]]
        self._live = self.open

    def go_on(self) -> None:
        """Go to greater lengths, as far as the model has read all prefixes of one length."""
        while self._live and all(node.log_p is not None for node in self._live):
            children = [
                (node.cost - self.forest.log_p(node, token), node, token, then)
                for node in self._live
                for token, then in successors(self.forest.layout, node.state).items()
            ]
            children = [each for each in children if not math.isnan(each[0])]
            best = sorted(children, key=lambda each: each[0])[: self.width]
            self.found += [
                completed(self.forest, node, token, above=True) for _, node, token, then in best if then is None
            ]
            self.found = list(found_of(self.found))[: self.width]
            worst = -self.found[-1].log_probability if len(self.found) == self.width else math.inf
            self._live = [
                self.forest.child(node, token) for cost, node, token, then in best if then is not None and cost < worst
            ]
        self.open = [node for node in self._live if node.log_p is None]


def sample(
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], width: int, temperature: float,
    until: Deadline, rng: np.random.Generator,
) -> list[Found]:  # fmt: skip
    """`width` samples for each prompt, equal ones as one proposal."""
    hunts = [
        Samples(forest, k, {forest.roots[k]: width}, temperature, each)
        for k, each in zip(which, rng.spawn(len(which)), strict=True)
    ]
    pursue(forest, hunts, known, until)
    return [Found(found_of(hunt.found), exhaustive=False) for hunt in hunts]


def beam(
    forest: TokenForest, which: Sequence[int], known: Mapping[int, Sequence[Grid]], width: int, until: Deadline
) -> list[Found]:
    """Beam search in each prompt."""
    hunts = [Beam(forest, k, width) for k in which]
    pursue(forest, hunts, known, until)
    return [Found(found_of(hunt.found), exhaustive=False) for hunt in hunts]


# -- REBASE -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """A prompt that shows the task in the same order of cells as another, in other colours."""

    prompt: int
    colours: tuple[int, ...]
    """The colour here of each colour of the other."""


def rebase_all(
    forest: TokenForest, views: Sequence[View], which: Sequence[int], budget: int, balance: float, until: Deadline,
    rng: np.random.Generator,
) -> list[Found]:  # fmt: skip
    """REBASE once for each symmetry among the views in `which`; all views of that symmetry are its readers."""
    found = dict.fromkeys(which, Found((), exhaustive=False))
    symmetries = list(dict.fromkeys(views[k].symmetry for k in which))
    for number, symmetry in enumerate(symmetries):
        deadline = until.share(1 / (len(symmetries) - number))
        same = [k for k in which if views[k].symmetry == symmetry]
        own = np.argsort(views[same[0]].colours)
        readers = [Reader(k, tuple(int(views[k].colours[c]) for c in own)) for k in same]
        proposals = rebase(forest, readers, budget, balance, deadline, rng)
        found[same[0]] = Found(tuple(proposals), exhaustive=False)
    return [found[k] for k in which]


def rebase(
    forest: TokenForest,
    readers: Sequence[Reader],
    budget: int,
    balance: float,
    until: Deadline,
    rng: np.random.Generator,
) -> list[Proposal]:
    """Reward-balanced search (arXiv 2408.00724, section 3.1): a tree of rows, widened where its rows are likely.

    From each node rows are sampled in the first reader's prompt. A node's reward is the mean log-likelihood of its
    rows, over all readers. The budget goes to the nodes in proportion to softmax(reward / balance); each complete
    answer takes one off it. Ends without budget, at the greatest number of rows, or by the deadline.
    """
    first = readers[0].prompt
    found: list[Proposal] = []
    width = {forest.roots[first]: budget}
    while width and not until.passed():
        hunt = Samples(forest, first, width, 1.0, rng, rows=True)
        if pursue(forest, [hunt], {}, until):
            break
        found += hunt.found
        nodes = list(dict.fromkeys(hunt.ended))
        paths = {
            reader.prompt: [recoloured(forest.layout, node.tokens(), reader.colours) for node in nodes]
            for reader in readers
        }
        if not nodes or not forest.read(paths, until):
            break
        costs = [[forest.follow(k, path).cost for path in of_reader] for k, of_reader in paths.items()]
        rows = [1 + node.state.rows for node in nodes]
        rewards = -np.mean(costs, axis=0) / rows
        width = {n: w for n, w in zip(nodes, widths(rewards, budget - len(found), balance), strict=True) if w}
    return list(found_of(found))


def widths(rewards: Sequence[float] | NDArray[np.float64], budget: int, balance: float) -> list[int]:
    """How many children each node gets: softmax(reward / balance) of the budget, rounded so that the sum is exact.

    The best node first, each takes its share of what is left, rounded up (as the paper's code does).
    """
    scaled = np.asarray(rewards, np.float64) / balance
    weights = np.exp(scaled - scaled.max())
    given = [0] * len(weights)
    left, left_weight = budget, float(weights.sum())
    for k in np.argsort(-weights, kind="stable"):
        given[k] = min(left, math.ceil(left * weights[k] / left_weight - 1e-9)) if left_weight > 0 else left
        left -= given[k]
        left_weight -= float(weights[k])
    return given


def recoloured(layout: Layout, tokens: Tokens, colours: Sequence[int]) -> Tokens:
    """The same cells in other colours."""
    becomes = {layout.cells[c]: layout.cells[new] for c, new in enumerate(colours)}
    return tuple(becomes.get(token, token) for token in tokens)
