"""What a worker does with its orders: an engine that solves tasks, or a search for programs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from submission.arc.tasks import Task
from submission.config import Settings
from submission.deadline import Deadline
from submission.programs.program import Program, Source
from submission.runner.schedule import Order
from submission.runner.spec import WorkerSpec
from submission.solver.candidates import ATTEMPTS
from submission.solver.engine import Engine
from submission.solver.ensemble import _distinct
from submission.solver.records import Record
from submission.solver.solve import solve

logger = logging.getLogger(__name__)


class Solver(Protocol):
    """What does the work of one kind."""

    def solve(self, order: Order, until: Deadline, tell: Callable[[Record], None]) -> Record:
        """The record of the order's task; `tell` may hear of it test by test."""
        ...


def solver_of(crew: WorkerSpec) -> Solver:
    """What a worker of this crew works with; BadInput where it cannot be had."""
    return NetworkSolver(crew) if crew.kind == "network" else ProgramSolver(crew)


class ProgramSolver:
    """All sources of programs, and what they do with orders."""

    def __init__(self, crew: WorkerSpec) -> None:
        from submission.programs.synthesis.synthesizer import Synthesizer

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

    def __init__(self, crew: WorkerSpec) -> None:
        """Load the model; BadInput where it cannot be."""
        # bitsandbytes warns of an optional kernel that would be fetched from the internet.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        self.engine = (crew.load or language_model)(crew)

    def solve(self, order: Order, until: Deadline, tell: Callable[[Record], None]) -> Record:
        """The record of the order's task; `tell` hears of it test by test."""
        return solve(order.task, self.engine, order.settings, until, order.seed, order.earlier, tell)


def language_model_that_writes(settings: Settings, closing: ExitStack) -> Source:
    """The model that the settings name as a writer of programs, and a sandbox for what it writes."""
    from submission.programs.induction.budget_forcing import TokenBudget
    from submission.programs.induction.induction import Induction
    from submission.programs.induction.sampler import LanguageWriter, Sampling
    from submission.programs.sandbox.sandbox import Sandbox

    how = settings.programs
    effort = TokenBudget(reasoning=how.reasoning_tokens, waits=how.waits)
    writer = LanguageWriter(Path(how.writer), settings.model, Sampling(), effort)
    sandbox = closing.enter_context(Sandbox())
    logger.info("programs are confined by: %s", ", ".join(sandbox.layers))
    return Induction(writer, sandbox, count=how.samples)


def language_model(crew: WorkerSpec) -> Engine:
    """The model that the crew is to work with."""
    from submission.inference.language_model import LanguageModel

    settings = crew.settings
    return LanguageModel(crew.model, settings.model, settings.adapt, settings.search, crew.seed)


def searched(task: Task, sources: Sequence[Source], until: Deadline, seed: int) -> Record:
    """Look for programs for a task; returns the record that the journal keeps of it."""
    began = until.clock()
    programs: list[Program] = []
    notes: list[str] = []
    for number, source in enumerate(sources):
        try:
            programs += source.programs(task, until.share(1 / (len(sources) - number)), seed)
        except Exception as error:
            if not programs:
                raise
            notes.append(f"the rest of the search for programs failed: {error!r}")
            break
    return {
        "task": task.id,
        "attempts": [
            [answer.tolist() for answer in _distinct(each.answers[k] for each in programs)[:ATTEMPTS]]
            for k in range(len(task.tests))
        ],
        "programs": [
            {
                "source": each.source,
                "answers": [None if answer is None else answer.tolist() for answer in each.answers],
                "size": each.size,
                "origin": each.origin,
                "stability": each.stability,
            }
            for each in programs
        ],
        "tests": [],
        "fit": None,
        "seconds": until.clock() - began,
        "notes": notes,
    }
