"""A clock that the test moves."""

from __future__ import annotations


class Clock:
    """A clock that stands still until it is moved; with a `tick` it also moves each time it is read."""

    def __init__(self, now: float = 100.0, tick: float = 0.0) -> None:
        self.now = now
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now
