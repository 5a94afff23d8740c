"""All answers above a probability threshold, exactly, and the log-probability of given answers.

A prefix of an answer lives while its probability is at least the threshold; since probabilities only fall along an
answer, the live prefixes lead to every answer above it, and to nothing else: the set that a depth-first search finds
(the Architects, 2024). Only legal continuations are followed; their probabilities are those of the full vocabulary.
The greedy answer is the limit of threshold 1.

What is read is guessed ahead. A *draft* is a whole continuation: an answer that is likely elsewhere, or what the
model expected after a token that was not the right one. One pass tells the probability of every next token along a
draft, and so every branch that is still above the threshold. Drafts change how many passes it takes (see `trie`),
never what is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from submission.budget import Deadline
from submission.engine import Found, Proposal, Scores
from submission.layouts import successors
from submission.tasks import Grid, grid_key
from submission.trie import Forest, Node, Tokens

MOST_AHEAD = 64
"""Tokens that a draft which is not an answer goes ahead at most."""

FADING = 0.95
"""What a token of the past counts, against the one after it, in the rate at which drafts are right."""

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
            hunt: _Drafts(forest, hunt.prompt, known.get(hunt.prompt, ())) for hunt in hunts[first:][: forest.together]
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


# -- drafts ---------------------------------------------------------------------------------------------------------


class Trust:
    """How often one kind of draft is right, and so how far ahead it pays to read."""

    def __init__(self) -> None:
        self._right, self._tokens = 4.0, 5.0

    def told(self, probability: float) -> None:
        """A drafted token turned out to have this probability; what was long ago counts ever less."""
        self._right = FADING * self._right + probability
        self._tokens = FADING * self._tokens + 1

    def reach(self, share: float) -> int:
        """Tokens to draft, where a pass costs as much as `share` more of them: the most progress for its price.

        A draft of n tokens costs 1 + share + n and brings on average 1 + p + ... + p**n, with p their rate: it is worth
        another token as long as that one brings more than the average of those before.
        """
        rate = min(self._right / self._tokens, 1.0)
        reach, gain, next_gain = 0, 1.0, rate
        while reach < MOST_AHEAD and next_gain * (1 + share + reach) > gain:
            reach, gain, next_gain = reach + 1, gain + next_gain, next_gain * rate
        return reach


class _Drafts:
    """Guesses of how the open nodes of one prompt go on."""

    def __init__(self, forest: Forest, prompt: int, known: Sequence[Grid]) -> None:
        self.forest, self.prompt = forest, prompt
        self.known = [tuple(forest.layout.answer(each).tolist()) for each in known]
        self._guess = {"rejoined": self._rejoined, "aligned": self._aligned, "repeated": self._repeated}
        self._trust = {kind: Trust() for kind in self._guess}
        self._sent: list[tuple[str, Node, Tokens]] = []

    def of(self, nodes: Sequence[Node], share: float) -> list[Tokens]:
        """Each node's path with a draft behind it; a pass costs as much as `share` tokens for each open node."""
        for kind, node, guess in self._sent:
            self._learn(self._trust[kind], node, guess)
        self._sent = []
        return [path + self._draft(node, path, share) for node in nodes for path in [node.tokens()]]

    def _draft(self, node: Node, path: Tokens, share: float) -> Tokens:
        for answer in self.known:
            if answer[: len(path)] == path:
                return answer[len(path) : -1]
        for kind, guess_of in self._guess.items():
            if guess := guess_of(node, path, max(1, self._trust[kind].reach(share))):
                self._sent.append((kind, node, guess))
                return guess
        return ()

    def _learn(self, trust: Trust, node: Node, guess: Tokens) -> None:
        """What has become of a draft: its tokens up to the first one that was not likely."""
        for token in guess:
            if node.log_p is None:
                return
            probability = math.exp(self.forest.log_p(node, token))
            trust.told(probability)
            if probability < 0.5:
                return
            node = node.children[token]

    def _rejoined(self, node: Node, path: Tokens, reach: int) -> Tokens:
        """What the model expected after the sibling that was read instead of this node: mostly what comes here too."""
        cursor = _read_child(node.parent, node.token) if node.parent else None
        state, guess = node.state, list[int]()
        while cursor is not None and cursor.log_p is not None and len(guess) < reach:
            options = successors(self.forest.layout, state)
            _, token = max((self.forest.log_p(cursor, each), each) for each in options)
            then = options[token]
            if then is None:
                break
            state = then
            guess.append(token)
            cursor = _read_child(cursor, token)
        return tuple(guess)

    def _aligned(self, node: Node, path: Tokens, reach: int) -> Tokens:
        """The rest of a known answer from the same place on, as far as it is legal here."""
        state, guess = node.state, list[int]()
        for token in self.known[0][len(path) : -1][:reach] if self.known else ():
            then = successors(self.forest.layout, state).get(token)
            if then is None:
                break
            state = then
            guess.append(token)
        return tuple(guess)

    def _repeated(self, node: Node, path: Tokens, reach: int) -> Tokens:
        """The row above again, or the last cell until there is one."""
        layout, state, guess = self.forest.layout, node.state, list(path)
        while len(guess) - len(path) < reach:
            cell = 1 + len(layout.cell_gap)
            period = state.width * cell + len(layout.row_gap) - len(layout.cell_gap) if state.width else cell
            then = successors(layout, state).get(guess[-period]) if period <= len(guess) else None
            if then is None:
                break
            state = then
            guess.append(guess[-period])
        return tuple(guess[len(path) :])


def _read_child(node: Node, token: int) -> Node | None:
    """The child after this token if it was read, else any other that was: its place in the answer is the same."""
    wished = node.children.get(token)
    if wished is not None and wished.log_p is not None:
        return wished
    return next((each for each in node.children.values() if each.log_p is not None), None)


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
