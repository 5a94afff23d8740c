"""The two kinds of solver as a worker runs them: an engine that solves tasks, or a search for programs."""

from __future__ import annotations

import logging
import traceback
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
from submission.solver.engine import Engine
from submission.solver.ensemble import answers_of
from submission.solver.records import ProgramRecord, TaskRecord
from submission.solver.solve import solve
from submission.solver.stopping import ATTEMPTS

logger = logging.getLogger(__name__)


class Solver(Protocol):
    """Solves orders, in a worker process."""

    dtype: str
    """The type that its model computes in; empty where it has no model."""
    device: str
    """Where its model is, "cpu" or "cuda"; empty where it has no model."""

    def solve(self, order: Order, until: Deadline, on_progress: Callable[[TaskRecord], None]) -> TaskRecord:
        """The record of the order's task; `on_progress` may get partial records."""
        ...

    def close(self) -> None:
        """End what the solver has started."""
        ...


def solver_of(spec: WorkerSpec) -> Solver:
    """The solver that a worker of this kind runs; BadInput where it cannot be made."""
    return NetworkSolver(spec) if spec.kind == "network" else ProgramSolver(spec)


class ProgramSolver:
    """Searches for programs, in all sources that the settings name."""

    dtype = device = ""

    def __init__(self, spec: WorkerSpec) -> None:
        from submission.programs.synthesis.synthesizer import Synthesizer

        self.sources: list[Source] = [Synthesizer()]
        with ExitStack() as closing:  # A writer that cannot be loaded ends the sandbox.
            if spec.settings.programs.writer:
                self.sources.append(language_model_that_writes(spec.settings, closing))
            self._sandbox = closing.pop_all()

    def solve(self, order: Order, until: Deadline, on_progress: Callable[[TaskRecord], None]) -> TaskRecord:
        """The record of the programs that were found for the order's task."""
        return searched(order.task, self.sources, until, order.seed)

    def close(self) -> None:
        """End the sandbox, if there is one."""
        self._sandbox.close()


class NetworkSolver:
    """Solves tasks with an engine; the same in a process of this machine and in an actor of a Ray cluster."""

    def __init__(self, spec: WorkerSpec) -> None:
        """Load the model; BadInput where it cannot be."""
        # bitsandbytes warns of an optional kernel that would be fetched from the internet.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        self.engine = (spec.load or language_model)(spec)
        self.dtype, self.device = self.engine.dtype, self.engine.device

    def solve(self, order: Order, until: Deadline, on_progress: Callable[[TaskRecord], None]) -> TaskRecord:
        """The record of the order's task; `on_progress` gets a partial record after each test input."""
        self.engine.use(order.settings)
        return solve(order.task, self.engine, order.settings, until, order.seed, order.earlier, on_progress)

    def close(self) -> None:
        """Nothing is open: the model's memory goes with the process."""


def language_model_that_writes(settings: Settings, closing: ExitStack) -> Source:
    """The language model that writes programs, with a sandbox for them that is open until `closing` is."""
    from submission.programs.induction.budget_forcing import TokenBudget
    from submission.programs.induction.dialogue import PROGRAM_TOKENS
    from submission.programs.induction.induction import Induction
    from submission.programs.induction.sampler import LanguageWriter, Sampling
    from submission.programs.sandbox.sandbox import Sandbox

    how = settings.programs
    effort = TokenBudget(reasoning=how.reasoning_tokens, waits=how.waits, program=PROGRAM_TOKENS[how.format])
    sandbox = closing.enter_context(Sandbox(unconfined=how.unconfined))
    logger.info("programs are confined by: %s", ", ".join(sandbox.layers))  # starts it: refused before a model is read
    writer = LanguageWriter(Path(how.writer), settings.model, Sampling(form=how.format), effort)
    return Induction(writer, sandbox, count=how.samples, form=how.format)


def language_model(spec: WorkerSpec) -> Engine:
    """The language model in the folder that the spec names."""
    from submission.inference.cpu_dtype import agreed
    from submission.inference.language_model import LanguageModel

    return LanguageModel(spec.model, agreed(spec.settings, spec.cpu_dtype), spec.seed)


def searched(task: Task, sources: Sequence[Source], until: Deadline, seed: int) -> TaskRecord:
    """Search for programs for a task. If a source fails after others found something, what they found is kept."""
    began = until.clock()
    programs: list[Program] = []
    notes: list[str] = []
    for number, source in enumerate(sources):
        try:
            programs += source.programs(task, until.share(1 / (len(sources) - number)), seed)
        except Exception as error:
            if not programs:
                raise
            at = traceback.extract_tb(error.__traceback__)[-1]
            notes.append(
                f"the rest of the search for programs failed: {error!r} in {Path(at.filename).name}, line {at.lineno}"
            )
            break
    found = tuple(ProgramRecord(p.source, p.answers, p.size, p.origin, p.stability) for p in programs)
    return TaskRecord(
        task.id,
        tuple(tuple(answers_of(found, k)[:ATTEMPTS]) for k in range(len(task.tests))),
        programs=found,
        seconds=until.clock() - began,
        notes=tuple(notes),
    )
