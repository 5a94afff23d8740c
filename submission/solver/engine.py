"""What the solver asks of a language model: adapt, infer, forget. `inference.language_model` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import Layout
from submission.arc.prompts import Prompt, Row
from submission.arc.tasks import Grid
from submission.arc.views import View
from submission.config import Settings
from submission.deadline import Deadline

Stopped = Literal["done", "converged", "deadline", "not finite", "off"]
"""Why a training ended. not finite: the loss was no number, and the adapter was reset; off: none was wanted."""


@dataclass(frozen=True)
class Fit:
    """What test-time training did."""

    steps: int
    losses: tuple[float, ...]
    """Mean loss of each step, in nats a learned token."""
    seconds: float
    stopped: Stopped


@dataclass(frozen=True, eq=False)
class Question:
    """A test input as one view shows it."""

    view: View
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Proposal:
    """An answer found for one prompt, in the frame of the prompt's view."""

    answer: Grid
    log_probability: float
    """Of the whole answer with its closing tokens, exact up to rounding; in nats, at most 0."""
    above: bool
    """Whether it reaches the threshold; if not, it is the best path of a prompt that has none above."""


@dataclass(frozen=True)
class ViewResult:
    """The outcome of a search over one prompt."""

    proposals: tuple[Proposal, ...]
    exhaustive: bool
    """Every answer above the threshold is there: the deadline did not cut the search."""


@dataclass(frozen=True, eq=False)
class Scores:
    """How likely given answers are after each prompt."""

    log_p: NDArray[np.float64]
    """[prompt, candidate], in nats; NaN where it was not needed, or not reached in time."""
    at_most: NDArray[np.float64]
    """[candidate]: an upper bound of its sum over the prompts, where not all of it is known."""


class Inference(Protocol):
    """One set of questions in the KV cache: a prompt that one call has prefilled is not prefilled by the next."""

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        """Answers to the questions in `which`, by the method in the settings, one result each.

        By default every answer of at least the threshold's probability; with `best_paths` also the best path of each
        question that has none. `drafts` are answers, in the task's own frame, that may be likely: they save forward
        passes and change nothing of what is found.
        """
        ...

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        """log p of each answer, given in the task's own frame, after every question.

        Scores that cannot change which `top` answers have the largest sums over all questions may stay NaN; with
        `top` 0 only what is known without a forward pass is returned.
        """
        ...


class Engine(Protocol):
    """A language model that can be adapted to one task, asked about it, and reset."""

    layout: Layout
    longest_row: int
    """Tokens of the longest training row that fits its memory."""
    dtype: str
    """The type that it computes in: float32, bfloat16 or float16."""
    device: str
    """Where it computes: cpu or cuda."""

    def use(self, settings: Settings) -> None:
        """Train and search by these settings from now on; the loaded model and its adapter stay as they are."""
        ...

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows, until done, converged, or out of time."""
        ...

    def inference(self, questions: Sequence[Question]) -> AbstractContextManager[Inference]:
        """Open a set of questions; their prompts and KV cache are dropped when the context ends."""
        ...

    def forget(self) -> None:
        """Back to the base model, bit for bit."""
        ...
