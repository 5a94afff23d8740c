"""The `Program` that every source of programs returns, and the protocol of such a source.

A program is Python that reproduces all demonstrations of a task. There are two sources: `synthesis` searches a small
grid language, and `induction` samples programs from a language model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from submission.arc.tasks import Grid, Task
from submission.deadline import Deadline


@dataclass(frozen=True, eq=False)
class Program:
    """A program whose output is right for every demonstration of a task."""

    source: str
    """Python source that defines `transform(grid)`."""
    answers: tuple[Grid | None, ...]
    """Its output for each test input; None where it failed."""
    size: int
    """Its length: calls of the grid language, or nodes of the syntax tree. Of equal programs the shorter is better."""
    origin: Literal["search", "written"]
    """"search": found in the grid language. "written": sampled from a language model."""
    stability: float = 1.0
    """Leave-one-out stability, 0..1: the share of demonstrations that can be left out without changing the result.

    For each demonstration the program is fitted on the others; the demonstration counts if that program also
    reproduces it. A low value means an accidental fit."""


class Source(Protocol):
    """A search for programs of a task."""

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Return verified programs, the most trusted first; a list of those found by the deadline, maybe empty."""
        ...
