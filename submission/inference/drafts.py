"""What is read ahead: guesses of how answers go on, and how far ahead it pays to read each kind.

A draft is a whole continuation: an answer that is likely elsewhere, what the model expected after a token that was not
the right one, or the row above again. One pass tells the probability of every next token along it, and so every branch
that is still above the threshold. Drafts change how many passes a search takes, never what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from submission.arc.layouts import successors
from submission.arc.tasks import Grid
from submission.inference.token_tree import Node, TokenForest, Tokens

MOST_AHEAD = 64
"""Tokens that a draft which is not an answer goes ahead at most."""

FADING = 0.95
"""What a token of the past counts, against the one after it, in the rate at which drafts are right."""


class AcceptanceRate:
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


class Drafts:
    """Guesses of how the open nodes of one prompt go on."""

    def __init__(self, forest: TokenForest, prompt: int, known: Sequence[Grid]) -> None:
        self.forest, self.prompt = forest, prompt
        self.known = [tuple(forest.layout.answer(each).tolist()) for each in known]
        self._trust = {kind: AcceptanceRate() for kind in self._guesses}
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
        for kind, trust in self._trust.items():
            if guess := self._guesses[kind](self, node, path, max(1, trust.reach(share))):
                self._sent.append((kind, node, guess))
                return guess
        return ()

    def _learn(self, trust: AcceptanceRate, node: Node, guess: Tokens) -> None:
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

    # Not bound methods: what refers to itself would keep the forest's memory until garbage is collected.
    _guesses: ClassVar = {"rejoined": _rejoined, "aligned": _aligned, "repeated": _repeated}


def _read_child(node: Node, token: int) -> Node | None:
    """The child after this token if it was read, else any other that was: its place in the answer is the same."""
    wished = node.children.get(token)
    if wished is not None and wished.log_p is not None:
        return wished
    return next((each for each in node.children.values() if each.log_p is not None), None)
