"""Programs that reproduce a task's demonstrations: what every source of them gives, and how they are ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from submission.arc.tasks import Grid, Task
from submission.deadline import Deadline


@dataclass(frozen=True, eq=False)
class Program:
    """A program that gives the right output for every demonstration of a task."""

    source: str
    """Python that can be read, and run again: it defines `transform(grid)`."""
    answers: tuple[Grid | None, ...]
    """Its output for each test input; None where it has none."""
    size: int
    """Operations in it: the shorter, the likelier to be meant."""
    origin: Literal["search", "written"]
    """Found by a search in our own grid language, or written by a language model."""
    stability: float = 1.0
    """Share of the demonstrations that can be left out, 0..1: what is found for the others then gives them as well.

    The best sign that a program is no lucky fit: it is refitted, or looked for among its rivals, without each
    demonstration in turn."""


class Source(Protocol):
    """Anything that finds programs for a task."""

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Verified programs, the most trusted first; what was found in time, perhaps nothing."""
        ...
