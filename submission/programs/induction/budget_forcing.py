"""Budget forcing: how long a language model may think before it writes a program, and how long it must.

After s1 (Muennighoff et al., 2025). A maximum: reasoning that has reached its limit is closed, and the program's
opening is written in the model's place. A minimum: the end of reasoning is suppressed, and "Wait" written instead,
a number of times. Tokens are taken one by one, so that this is a state and no model is needed to test it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from submission.programs.induction.dialogue import FENCE, OPENING

WAIT = "\nWait"
"""What s1 found to work best of four strings."""
WINDOW = 8
"""The end of reasoning is looked for in the last so many tokens; no tokenizer needs more for one of these strings."""


@dataclass(frozen=True)
class Effort:
    """What one text may and must take, in tokens."""

    reasoning: int = 512
    """The most before the program; 0 asks for the program at once."""
    waits: int = 0
    """Times that the end of reasoning is suppressed."""
    program: int = 1024
    """The most of the program."""
    delimiter: str = ""
    """What the model ends its reasoning with, such as "</think>"; "" for one that has no word for it: there the
    first ``` is the end."""


@dataclass(frozen=True)
class Tokens:
    """What of a tokenizer is needed here."""

    encode: Callable[[str], list[int]]
    """Text to ids, without special tokens around it."""
    decode: Callable[[Sequence[int]], str]
    """Ids to text, with the special ones among them spelt out."""
    stops: frozenset[int]
    """Ids that end a text."""


class Draft:
    """One text in the making: each proposed token is taken, or replaced by what is forced."""

    def __init__(self, effort: Effort, tokens: Tokens) -> None:
        self.effort = effort
        self.tokens = tokens
        self.ids: list[int] = []
        self.done = False
        self._waits = effort.waits
        self._forced: deque[int] = deque()
        self._program_at: int | None = None
        self._since = 0

    def take(self, proposed: int) -> int:
        """The next token: the proposed one, or another in its place. `done` tells whether it was the last."""
        assert not self.done
        if not self._forced:
            self._decide(proposed)
        if self._forced:
            token = self._forced.popleft()
            self._since = len(self.ids) + 1
        else:
            token = proposed
        self.ids.append(token)
        written = len(self.ids) - self._program_at if self._program_at is not None else 0
        self.done = self.done or written >= self.effort.program
        return token

    @property
    def forcing(self) -> bool:
        """Whether the next token is decided already, whatever is proposed."""
        return bool(self._forced)

    def conclude(self) -> None:
        """Go over to the program now, for want of time; no effect once it has begun."""
        if self._program_at is None:
            before = self.tokens.decode(self.ids[-WINDOW:]) + self.effort.delimiter
            newline = "" if before.endswith("\n") or not before else "\n"
            opening = self.tokens.encode(self.effort.delimiter + newline + OPENING)
            self._forced = deque(opening)
            self._program_at = len(self.ids) + len(opening)

    def _decide(self, proposed: int) -> None:
        if self._program_at is not None:
            self.done = proposed in self.tokens.stops or self._completes(FENCE, proposed)
        elif len(self.ids) >= self.effort.reasoning:
            self.conclude()
        elif proposed in self.tokens.stops or self._completes(self.effort.delimiter or FENCE, proposed):
            if self._waits:
                self._waits -= 1
                self._forced = deque(self.tokens.encode(WAIT))
            else:
                self.conclude()

    def _completes(self, end: str, proposed: int) -> bool:
        """Whether this token would complete that string, of which nothing before the last forced token is part."""
        return end in self.tokens.decode([*self.ids[self._since :][-WINDOW:], proposed])
