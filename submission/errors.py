"""Errors that a user can cause and correct."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TRACEBACKS = logging.getLogger("submission.tracebacks")
"""Tracebacks behind errors that the log tells in one line: they go into log.txt alone, see `runner.lifecycle`."""


class BadInput(ValueError):
    """Something that the user gave cannot be used; the message is one sentence: what, where, and what to do."""

    def __init__(self, sentence: object) -> None:
        """What cannot be printed, from the name of a file or of a task, is escaped; indented lines may follow."""
        super().__init__("\n  ".join(map(_printable, str(sentence).split("\n  "))))


LONGEST_LINE = 2000
"""Characters of a line of a sentence: a longer one, which a name made so, loses its middle."""


def _printable(text: str) -> str:
    """Text on one line, with backslash escapes for control characters and broken surrogates."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def concerns(error: OSError, paths: Iterable[Path]) -> bool:
    """Whether the system failed on one of these paths, or on a path above or below one.

    Of paths that the user named, such an error is the user's to correct; any other OSError may be a bug.
    """
    failed = [Path(name).absolute() for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    named = [path.absolute() for path in paths]
    return any(a == b or a in b.parents or b in a.parents for a in failed for b in named)


def require(holds: bool, sentence: str) -> None:
    """BadInput with this sentence unless the condition holds."""
    if not holds:
        raise BadInput(sentence)


@dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most` that an option or a setting may have; NaN is in no range."""

    least: float
    most: float
    above: bool = False
    """Whether `least` itself is left out."""
    below: bool = False
    """Whether `most` itself is left out."""

    def __contains__(self, value: float) -> bool:
        inside = self.least <= value <= self.most
        return inside and not (self.above and value == self.least) and not (self.below and value == self.most)

    def __str__(self) -> str:
        first = f"{'above' if self.above else 'at least'} {_number_text(self.least)}"
        return f"{first} and {'below' if self.below else 'at most'} {_number_text(self.most)}"

    def require(self, name: str, value: float) -> None:
        """BadInput, with the name of the option or setting, unless the value lies in the range."""
        require(value in self, f"{name} must be {self}")


def _number_text(value: float) -> str:
    """A bound as a sentence writes it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


SEED = Range(0, 2**32 - 1)
"""The seeds that every random generator takes."""

MOST_SECONDS = 10_000_000
"""The longest wait, some 115 days: what the timers of every system can take."""
