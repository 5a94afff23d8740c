"""Budget forcing: limits on how long a language model reasons before it writes a program.

Source: s1 (Muennighoff et al., arXiv 2501.19393, section 3.1). Upper limit: reasoning that reaches it is ended, and the
opening of the program is put in the model's place. Lower limit: the end of reasoning is replaced by "Wait", a number of
times; a "Wait" that would go beyond the upper limit is cut there. A `Completion` takes one token at a time and holds
the state of this, so that it can be tested without a model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from submission.programs.induction.dialogue import FENCE, OPENING

WAIT = "Wait"
"""The best of the four strings that s1 compared; it follows the reasoning directly."""
WINDOW = 8
"""The end of reasoning is searched in this many last tokens; no tokenizer needs more for one of these strings."""


@dataclass(frozen=True)
class TokenBudget:
    """The limits of one completion, in tokens."""

    reasoning: int = 512
    """Most tokens before the program; 0 asks for the program at once."""
    waits: int = 0
    """How often the end of reasoning is replaced by WAIT."""
    program: int = 1024
    """Most tokens of the program."""
    delimiter: str = ""
    """The string that ends the model's reasoning, such as "</think>"; "" for models without one, where ``` ends it."""


@dataclass(frozen=True)
class Codec:
    """The functions of a tokenizer that are needed here."""

    encode: Callable[[str], list[int]]
    """Text -> ids, without special tokens around it."""
    decode: Callable[[Sequence[int]], str]
    """Ids -> text, special tokens written out."""
    stops: frozenset[int]
    """Ids that end a completion."""


class Completion:
    """One completion in progress: each proposed token is taken, or replaced by a forced one."""

    def __init__(self, budget: TokenBudget, codec: Codec) -> None:
        self.budget = budget
        self.codec = codec
        self.ids: list[int] = []
        self.done = False
        self._waits = budget.waits
        self._forced: deque[int] = deque()
        self._program_start: int | None = None
        self._after_forced = 0

    def take(self, proposed: int) -> int:
        """Return the next token: the proposed or a forced one. `done` is set if it was the last."""
        assert not self.done
        if not self._forced:
            self._decide(proposed)
        if self._forced:
            token = self._forced.popleft()
            self._after_forced = len(self.ids) + 1
        else:
            token = proposed
        self.ids.append(token)
        written = len(self.ids) - self._program_start if self._program_start is not None else 0
        self.done = self.done or written >= self.budget.program
        return token

    @property
    def forcing(self) -> bool:
        """Whether the next token is forced, whatever is proposed."""
        return bool(self._forced)

    def start_program(self) -> None:
        """End the reasoning and force the opening of the program; no effect once the program has begun."""
        if self._program_start is None:
            before = self.codec.decode(self.ids[-WINDOW:]) + self.budget.delimiter
            newline = "" if before.endswith("\n") or not before else "\n"
            opening = self.codec.encode(self.budget.delimiter + newline + OPENING)
            self._forced = deque(opening)
            self._program_start = len(self.ids) + len(opening)

    def _decide(self, proposed: int) -> None:
        """Set `done` or the forced tokens, by what the proposed token would end."""
        if self._program_start is not None:
            self.done = proposed in self.codec.stops or self._completes(FENCE, proposed)
        elif len(self.ids) >= self.budget.reasoning:
            self.start_program()
        elif proposed in self.codec.stops or self._completes(self.budget.delimiter or FENCE, proposed):
            if self._waits:
                self._waits -= 1
                self._forced = deque(self.codec.encode(WAIT)[: self.budget.reasoning - len(self.ids)])
            else:
                self.start_program()

    def _completes(self, end: str, proposed: int) -> bool:
        """Whether this token would complete the string; tokens up to the last forced one do not count."""
        return end in self.codec.decode([*self.ids[self._after_forced :][-WINDOW:], proposed])
