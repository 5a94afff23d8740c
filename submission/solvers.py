"""What a worker does with its orders: an engine that solves tasks, or a search for programs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from submission.budget import Deadline
from submission.config import Settings
from submission.engine import Engine
from submission.ensemble import searched
from submission.programs import Source
from submission.schedule import Order, Record
from submission.solve import solve

logger = logging.getLogger(__name__)

Kind = Literal["network", "programs"]
"""The two kinds of solver."""


@dataclass(frozen=True)
class Crew:
    """What every worker needs to know before its first order."""

    model: Path
    settings: Settings
    seed: int
    load: Callable[[Crew], Engine] | None = None
    """Makes the engine; None for the language model in `model`. Called in the worker."""
    kind: Kind = "network"
    """What the workers do with a task: see `NetworkSolver` and `ProgramSolver`."""


class Solver(Protocol):
    """What does the work of one kind."""

    def solve(self, order: Order, until: Deadline, tell: Callable[[Record], None]) -> Record:
        """The record of the order's task; `tell` may hear of it test by test."""
        ...


def solver_of(crew: Crew) -> Solver:
    """What a worker of this crew works with; BadInput where it cannot be had."""
    return NetworkSolver(crew) if crew.kind == "network" else ProgramSolver(crew)


class ProgramSolver:
    """All sources of programs, and what they do with orders."""

    def __init__(self, crew: Crew) -> None:
        from submission.synthesis.synthesizer import Synthesizer

        self.sources: list[Source] = [Synthesizer()]
        self._open = ExitStack()
        if crew.settings.programs.writer:
            self.sources.append(language_model_that_writes(crew.settings, self._open))

    def close(self) -> None:
        """End what the sources have started."""
        self._open.close()

    def solve(self, order: Order, until: Deadline, tell: Callable[[Record], None]) -> Record:
        """The record of the programs that were found for the order's task."""
        return searched(order.task, self.sources, until, order.seed)


class NetworkSolver:
    """An engine and what it does with orders: the same in a process of this machine and in an actor of a cluster."""

    def __init__(self, crew: Crew) -> None:
        """Load the model; BadInput where it cannot be."""
        # bitsandbytes warns of an optional kernel that would be fetched from the internet.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        self.engine = (crew.load or language_model)(crew)

    def solve(self, order: Order, until: Deadline, tell: Callable[[Record], None]) -> Record:
        """The record of the order's task; `tell` hears of it test by test."""
        return solve(order.task, self.engine, order.settings, until, order.seed, order.earlier, tell)


def language_model_that_writes(settings: Settings, closing: ExitStack) -> Source:
    """The model that the settings name as a writer of programs, and a sandbox for what it writes."""
    from submission.forcing import Effort
    from submission.induction import Induction
    from submission.sandbox import Sandbox
    from submission.writer import LanguageWriter, Writing

    how = settings.programs
    effort = Effort(reasoning=how.reasoning, waits=how.waits)
    writer = LanguageWriter(Path(how.writer), settings.model, Writing(), effort)
    sandbox = closing.enter_context(Sandbox())
    logger.info("programs are confined by: %s", ", ".join(sandbox.layers))
    return Induction(writer, sandbox, count=how.texts)


def language_model(crew: Crew) -> Engine:
    """The model that the crew is to work with."""
    from submission.llm import LanguageModel

    settings = crew.settings
    return LanguageModel(crew.model, settings.model, settings.adapt, settings.search, crew.seed)
