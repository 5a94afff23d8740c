"""What the solver asks of a model: four verbs. `llm` answers them with a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from submission.budget import Deadline
from submission.prompts import Layout, Prompt, Row
from submission.tasks import Grid


@dataclass(frozen=True)
class Fit:
    """What test-time training did."""

    steps: int
    losses: tuple[float, ...]
    """Mean loss of each step, in nats a learned token."""
    seconds: float
    stopped: str
    """Why it ended: "done", "converged", "deadline", "not finite" (the adapter was then reset) or "off"."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """An answer found for one prompt, as the prompt's view shows it."""

    answer: Grid
    log_probability: float
    """Of the whole answer with its closing tokens, exact up to rounding; in nats, at most 0."""
    above: bool
    """Whether it reaches the threshold; if not, it is the best path of a prompt that has none above."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search over one prompt."""

    proposals: tuple[Proposal, ...]
    exhaustive: bool
    """Every answer above the threshold is there: the deadline did not cut the search."""


class Engine(Protocol):
    """A language model that can be adapted to one task, asked about it, and reset."""

    layout: Layout

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows, until done, converged, or out of time."""
        ...

    def propose(self, prompts: Sequence[Prompt], threshold: float, until: Deadline) -> list[Found]:
        """For each prompt every answer of at least this probability, or the best path where there is none."""
        ...

    def score(
        self, prompts: Sequence[Prompt], answers: Sequence[Sequence[Grid]], until: Deadline
    ) -> NDArray[np.float64]:
        """log p [prompt, candidate] of answers[prompt][candidate]; rows not reached in time are NaN."""
        ...

    def forget(self) -> None:
        """Back to the base model, bit for bit."""
        ...
