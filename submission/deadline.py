"""Deadlines on a monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

Clock = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """A point in time on a monotonic clock, passed down to every step that has to end by then."""

    at: float
    """Seconds on `clock`; infinity for never."""
    clock: Clock = time.monotonic

    def left(self) -> float:
        """Seconds until then, never below 0."""
        return max(0.0, self.at - self.clock())

    def passed(self) -> bool:
        """Whether that time has come."""
        return self.clock() >= self.at

    def share(self, part: float) -> Deadline:
        """An earlier deadline, after `part` (0 to 1) of the time that is left."""
        return replace(self, at=self.clock() + part * (self.at - self.clock()))


def within(seconds: float, clock: Clock = time.monotonic) -> Deadline:
    """The deadline `seconds` from now."""
    return Deadline(clock() + seconds, clock)


NEVER = Deadline(float("inf"))
