"""Drafts: guesses of how answers continue, verified in one pass each, and how long a draft pays (arXiv 2211.17192).

A draft is a continuation of a prefix: the rest of an answer that is likely elsewhere, what the model expected behind a
sibling token, or the grid row above once more. One pass gives the probability of every next token along it, and so of
every branch off it that is still above the threshold. Drafts change how many passes a search takes, never what it
finds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from submission.arc.layouts import successors
from submission.arc.tasks import Grid
from submission.inference.token_tree import Node, TokenForest, Tokens
from submission.model.pass_cost import Costs

MAX_DRAFT = 64
"""Tokens of a draft at most, unless it is a whole known answer."""

DECAY = 0.95
"""Weight of each drafted token in the estimated acceptance rate, relative to the one after it."""

ACCEPTED_ABOVE = 0.5
"""A draft is verified up to its first token with a smaller probability than this."""


class AcceptanceRate:
    """How likely a token of one kind of draft is to be accepted: an exponentially decaying average."""

    def __init__(self) -> None:
        """A prior of 4 accepted tokens in 5."""
        self._accepted, self._drafted = 4.0, 5.0

    def update(self, probability: float) -> None:
        """Count a drafted token to which the model gave this probability."""
        self._accepted = DECAY * self._accepted + probability
        self._drafted = DECAY * self._drafted + 1

    def best_length(self, costs: Costs) -> int:
        """The draft length with the most accepted tokens per cost; `costs[n]` is that of a draft of n tokens.

        A draft of n tokens advances by 1 + p + ... + p**n tokens on average, with p the acceptance rate.
        """
        rate = min(self._accepted / self._drafted, 1.0)
        advance = np.cumsum(rate ** np.arange(len(costs)))
        return int(np.argmax(advance / costs))


class Drafts:
    """The drafts of a search behind one prompt, with an acceptance rate for each kind."""

    def __init__(self, forest: TokenForest, prompt: int, known: Sequence[Grid]) -> None:
        """`known` are answers, as the prompt shows them, that are likely enough to be drafted whole, best first."""
        self.forest, self.prompt = forest, prompt
        self.known = [tuple(forest.layout.answer(each).tolist()) for each in known]
        self._rates = {kind: AcceptanceRate() for kind in self._kinds}
        self._sent: list[tuple[str, Node, Tokens]] = []
        """Drafts of the last pass that are not whole answers: kind, the node that they continue, and tokens."""

    def extend(self, nodes: Sequence[Node], costs: Costs) -> list[Tokens]:
        """The path of each frontier node with a draft behind it.

        `costs[n]`: what a draft of n tokens costs, the node's share of the next pass included: `PassCost.each`.
        """
        for kind, node, draft in self._sent:
            self._verify(self._rates[kind], node, draft)
        self._sent = []
        return [path + self._draft(node, path, costs) for node in nodes for path in [node.tokens()]]

    def _draft(self, node: Node, path: Tokens, costs: Costs) -> Tokens:
        for answer in self.known:
            if answer[: len(path)] == path:
                return answer[len(path) : -1]
        for kind, rate in self._rates.items():
            if draft := self._kinds[kind](self, node, path, max(1, rate.best_length(costs))):
                self._sent.append((kind, node, draft))
                return draft
        return ()

    def _verify(self, rate: AcceptanceRate, node: Node, draft: Tokens) -> None:
        """Update the rate by the draft's tokens, up to the first one that is not accepted."""
        for token in draft:
            if node.log_p is None:
                return
            probability = math.exp(self.forest.log_p(node, token))
            rate.update(probability)
            if probability < ACCEPTED_ABOVE:
                return
            node = node.children[token]

    def _behind_sibling(self, node: Node, path: Tokens, length: int) -> Tokens:
        """What the model expects behind an evaluated sibling of this node: mostly the same follows here."""
        cursor = _evaluated_child(node.parent, node.token) if node.parent else None
        state, draft = node.state, list[int]()
        while cursor is not None and cursor.log_p is not None and len(draft) < length:
            options = successors(self.forest.layout, state)
            _, token = max((self.forest.log_p(cursor, each), each) for each in options)
            following = options[token]
            if following is None:
                break
            state = following
            draft.append(token)
            cursor = _evaluated_child(cursor, token)
        return tuple(draft)

    def _from_known(self, node: Node, path: Tokens, length: int) -> Tokens:
        """The best known answer from the same place on, as far as it is legal here."""
        state, draft = node.state, list[int]()
        for token in self.known[0][len(path) : -1][:length] if self.known else ():
            following = successors(self.forest.layout, state).get(token)
            if following is None:
                break
            state = following
            draft.append(token)
        return tuple(draft)

    def _repeated_row(self, node: Node, path: Tokens, length: int) -> Tokens:
        """The grid row above once more; in the first grid row the last cell."""
        layout, state, tokens = self.forest.layout, node.state, list(path)
        while len(tokens) - len(path) < length:
            cell = 1 + len(layout.cell_gap)
            period = state.width * cell + len(layout.row_gap) - len(layout.cell_gap) if state.width else cell
            following = successors(layout, state).get(tokens[-period]) if period <= len(tokens) else None
            if following is None:
                break
            state = following
            tokens.append(tokens[-period])
        return tuple(tokens[len(path) :])

    # Functions, not bound methods: an object that refers to itself is freed only by the garbage collector, and with it
    # the forest's KV cache.
    _kinds: ClassVar = {"behind sibling": _behind_sibling, "from known": _from_known, "repeated row": _repeated_row}
    """Kinds of drafts, in the order in which they are tried."""


def _evaluated_child(node: Node, token: int) -> Node | None:
    """The child with this token if it is evaluated, otherwise any evaluated child: it has the same position."""
    wanted = node.children.get(token)
    if wanted is not None and wanted.log_p is not None:
        return wanted
    return next((each for each in node.children.values() if each.log_p is not None), None)
