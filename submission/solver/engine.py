"""What the solver asks of a model: four verbs. `llm` answers them with a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import Layout
from submission.arc.prompts import Prompt, Row
from submission.arc.tasks import Grid
from submission.arc.views import View
from submission.deadline import Deadline


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
class Question:
    """A test input as one view shows it."""

    view: View
    prompt: Prompt


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


@dataclass(frozen=True, eq=False)
class Scores:
    """How likely given answers are behind each prompt."""

    log_p: NDArray[np.float64]
    """[prompt, candidate]; NaN where it was not needed, or not reached in time."""
    at_most: NDArray[np.float64]
    """An upper bound of each candidate's sum over the prompts, where not all of it is known."""


class Engine(Protocol):
    """A language model that can be adapted to one task, asked about it, and reset."""

    layout: Layout
    longest_row: int
    """Tokens of the longest row that it has the memory to be trained on."""

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows, until done, converged, or out of time."""
        ...

    def propose(
        self, questions: Sequence[Question], which: Sequence[int], known: Sequence[Grid], until: Deadline, seed: int,
        last: bool,
    ) -> list[Found]:  # fmt: skip
        """Answers to the questions in `which`, by the method in the settings.

        By default every answer of at least the threshold's probability; in the `last` call for these questions, where
        there is none, the best path as well. What was found before is found again for nothing. `known` are answers, in
        the task's own frame, that may be likely here too: they save time and change nothing of what is found.
        """
        ...

    def score(self, questions: Sequence[Question], answers: Sequence[Grid], best: int, until: Deadline) -> Scores:
        """log p of each answer, in the task's own frame, to each question; see `Scores`.

        What is not needed to know the `best` by their sums over all questions may be left out.
        """
        ...

    def forget(self) -> None:
        """Back to the base model, bit for bit."""
        ...
