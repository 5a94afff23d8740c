"""How long may it take: deadlines on a monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

Clock = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """A moment on a monotonic clock, handed down to whatever has to end by then."""

    at: float
    """Seconds on `clock`; infinity for never."""
    clock: Clock = time.monotonic

    def left(self) -> float:
        """Seconds until then, never below 0."""
        return max(0.0, self.at - self.clock())

    def passed(self) -> bool:
        """Whether the moment has come."""
        return self.clock() >= self.at

    def share(self, part: float) -> Deadline:
        """The deadline of a stage that may use this part, 0..1, of the time left."""
        return replace(self, at=self.clock() + part * (self.at - self.clock()))


def within(seconds: float, clock: Clock = time.monotonic) -> Deadline:
    """The deadline that many seconds from now."""
    return Deadline(clock() + seconds, clock)


NEVER = Deadline(float("inf"))
