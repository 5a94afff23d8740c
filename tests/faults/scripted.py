"""A scripted engine without torch, and faults that happen around it, once or from a moment on."""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row
from submission.arc.tasks import Grid
from submission.config import Settings
from submission.deadline import Deadline
from submission.runner import solvers
from submission.runner.schedule import Order
from submission.runner.spec import WorkerSpec
from submission.solver import voting
from submission.solver.engine import Fit, Proposal, Question, Scores, ViewResult

KINDS = ("raise", "kill", "hang", "oom", "nan", "slow")
IN_THE_NETWORK = ("load", "adapt", "propose", "score", "vote")
IN_PROGRAMS = ("start", "search")
"""A worker of the search for programs starts, and searches."""
IN_THE_WORKER = IN_THE_NETWORK + IN_PROGRAMS
IN_THE_PARENT = ("journal", "write", "summary", "report")
STAGES = IN_THE_WORKER + IN_THE_PARENT

SLOW = 1.0
"""Seconds that a slow step takes longer; a third of what makes a worker hung."""


class Scripted:
    """Answers every question with what it is given as known, surely, and with a blank, hardly.

    It solves the tasks whose outputs are their inputs. `pause` is what a step takes, in seconds.
    """

    layout: Layout = GRID16
    longest_row = 8192
    device = "cpu"

    def __init__(self, pause: float = 0.0, dtype: str = "float32") -> None:
        self.pause, self.dtype = pause, dtype
        self.settings: Settings | None = None

    def use(self, settings: Settings) -> None:
        """They change nothing but whether a fault is `mended`."""
        self.settings = settings

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        for _ in range(3):
            until.passed()
            time.sleep(self.pause)
        return Fit(3, (1.0, 0.5, 0.1), 3 * self.pause, "done")

    @contextmanager
    def inference(self, questions: Sequence[Question]) -> Iterator[ScriptedInference]:
        yield self.opened(questions)

    def opened(self, questions: Sequence[Question]) -> ScriptedInference:
        return ScriptedInference(questions, self.pause)

    def forget(self) -> None:
        pass


class ScriptedInference:
    """See `Scripted`."""

    def __init__(self, questions: Sequence[Question], pause: float) -> None:
        self.questions, self.pause = questions, pause

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        time.sleep(self.pause)
        blank = np.zeros((1, 1), np.uint8)
        return [
            ViewResult(
                (Proposal(self.questions[k].view.see(drafts[0]), -0.1, True), Proposal(blank, -5.0, False)), True
            )
            for k in which
        ]

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        time.sleep(self.pause)
        each = [-5.0 if answer.shape == (1, 1) else -0.1 for answer in answers]
        return Scores(np.tile(each, (len(self.questions), 1)), len(self.questions) * np.array(each))


class Now:
    """What the worker process works on: its order, and the engine if it has one."""

    order: Order | None = None
    engine: Any = None


@dataclass(frozen=True)
class Fault:
    """What happens, where, and how often: each time with this chance, until there are so many marks in the folder."""

    kind: str
    stage: str
    marks: Path
    most: int = 1
    after: int = 1
    """Times that the stage is passed in each process before it can happen."""
    chance: float = 1.0
    lasting: bool = False
    """Whether it happens each time, in every process, once it has happened in one; until `mended`."""
    task: str | None = None
    """It happens at this task only."""
    between: tuple[float, float] = (0.0, math.inf)
    """It happens between these times of `time.monotonic`, which all processes share."""
    megabytes: float = 0.0
    """Out of memory until the engine has checkpointing on, and at most these `search.megabytes`; 0: always."""

    @property
    def mark(self) -> Path:
        """A file with one byte for each time that a lasting fault has happened."""
        return self.marks / f"{self.kind}-{self.stage}-lasting"

    def begun(self) -> bool:
        """Whether it has happened, and lasts."""
        return self.lasting and self.mark.exists()

    def happens(self) -> bool:
        """Whether it happens now; what is said is marked, so that all processes know."""
        elsewhere = self.task is not None and (Now.order is None or Now.order.task.id != self.task)
        if elsewhere or not self.between[0] <= time.monotonic() <= self.between[1] or self.mended():
            return False
        if self.chance < 1 and np.random.default_rng().random() > self.chance:
            return False
        if self.lasting:
            with self.mark.open("ab") as file:
                file.write(b".")
            return True
        for number in range(self.most):
            try:
                (self.marks / f"{self.kind}-{self.stage}-{number}").touch(exist_ok=False)
                return True
            except FileExistsError:
                continue
        return False

    def mended(self) -> bool:
        """Whether what the run has done about it is enough."""
        if self.kind == "oom" and self.megabytes:
            has: Settings = Now.engine.settings
            return has.adapt.checkpointing == "on" and has.search.megabytes <= self.megabytes
        return self.kind == "overflow" and Now.engine.dtype == "float32"

    def strike(self) -> None:
        """All kinds but nan, which is in what a step returns."""
        match self.kind:
            case "raise":
                raise RuntimeError("injected")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die":
                os._exit(3)
            case "hang":
                time.sleep(3600)
            case "oom":
                raise MemoryError("injected")
            case "overflow" | "not finite":
                raise FloatingPointError("injected: the model's logits are not finite")
            case "gone":
                raise import_module("torch").AcceleratorError("injected: the GPU has fallen off the bus")
            case "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            case "slow":
                time.sleep(SLOW)


def starts(marks: Path) -> int:
    """Worker processes that were started, by their marks."""
    path = marks / "starts"
    return path.stat().st_size if path.exists() else 0


def around(fault: Fault, step: Callable[..., Any], spoilt: Callable[[Any], Any]) -> Callable[..., Any]:
    """A step in which the fault happens; `spoilt` makes what it returns not a number."""
    calls = 0

    def step_or_fault(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if (calls <= fault.after and not fault.begun()) or not fault.happens():
            return step(*arguments, **named)
        fault.strike()
        outcome = step(*arguments, **named)
        return spoilt(outcome) if fault.kind == "nan" else outcome

    return step_or_fault


def around_inference(engine: Any, wrap: Callable[[Any], None]) -> None:
    """Have each inference that the engine opens changed by `wrap`."""
    inference = engine.inference

    @contextmanager
    def wrapped(questions: Sequence[Question]) -> Iterator[Any]:
        with inference(questions) as opened:
            wrap(opened)
            yield opened

    engine.inference = wrapped


def no_number(found: list[ViewResult]) -> list[ViewResult]:
    return [
        ViewResult(tuple(Proposal(p.answer, float("nan"), p.above) for p in each.proposals), True) for each in found
    ]


def spoil_proposals(opened: Any) -> None:
    propose = opened.propose
    opened.propose = lambda *given, **named: no_number(propose(*given, **named))


def stricken(fault: Fault, spoilt: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Puts a fault into the verb of an inference that is named as its stage; calls count over all inferences."""
    inner: list[Callable[..., Any]] = []
    step = around(fault, lambda *given, **named: inner[-1](*given, **named), spoilt)

    def wrap(opened: Any) -> None:
        inner.append(getattr(opened, fault.stage))
        setattr(opened, fault.stage, step)

    return wrap


def noted(solver: Any) -> None:
    """Have this class of solvers note what it works on, in `Now`."""
    solve = solver.solve

    def solve_and_note(self: Any, order: Order, *more: Any) -> Any:
        Now.order, Now.engine = order, getattr(self, "engine", None)
        return solve(self, order, *more)

    solver.solve = solve_and_note


def no_grids(programs: list[Any]) -> list[Any]:
    """The same programs, with answers that are no numbers."""
    return [replace(each, answers=(np.full((1, 1), np.nan),) * len(each.answers)) for each in programs]


@dataclass(frozen=True)
class Loader:
    """Makes the engine of a worker, with faults in its verbs and in the vote; `make` is what it is without them.

    It is unpickled in every worker process, also in those that search for programs: there the faults are put in place.
    """

    faults: tuple[Fault, ...] = ()
    pause: float = 0.0
    make: Callable[[WorkerSpec], Any] | None = None
    marks: Path | None = None
    """Where each start of a worker process leaves a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return in_a_worker, (self.faults, self.pause, self.make, self.marks)

    def __call__(self, crew: WorkerSpec) -> Any:
        dtype = crew.settings.model.dtype
        engine = self.make(crew) if self.make else Scripted(self.pause, "float32" if dtype == "auto" else dtype)
        spoilt: dict[str, Callable[[Any], Any]] = {
            "adapt": lambda fit: Fit(fit.steps, fit.losses, fit.seconds, "not finite"),
            "propose": no_number,
            "score": lambda scores: Scores(np.full_like(scores.log_p, np.nan), scores.at_most),
        }
        for fault in self.faults:
            if fault.stage == "load" and (fault.begun() or self._loads() > fault.after) and fault.happens():
                fault.strike()
                if fault.kind == "nan":
                    around_inference(engine, spoil_proposals)
            elif fault.stage == "adapt":
                engine.adapt = around(fault, engine.adapt, spoilt["adapt"])
            elif fault.stage in spoilt:
                around_inference(engine, stricken(fault, spoilt[fault.stage]))
            elif fault.stage == "vote":
                voting.rank = around(fault, voting.rank, lambda ranking: ranking)
        return engine

    def _loads(self) -> int:
        """Worker processes started so far, this one included."""
        return starts(self.marks) if self.marks else 1


def in_a_worker(*parts: Any) -> Loader:
    """The loader in a worker process."""
    loader = Loader(*parts)
    if loader.marks:
        with (loader.marks / "starts").open("ab") as file:
            file.write(b".")
    if any(each.kind == "gone" and each.lasting for each in loader.faults):
        import_module("torch")  # Takes seconds, in which the heartbeat would stop.
    for each in (solvers.NetworkSolver, solvers.ProgramSolver):
        noted(each)
    for fault in loader.faults:
        if fault.stage == "search":
            from submission.programs.synthesis.synthesizer import Synthesizer

            Synthesizer.programs = around(fault, Synthesizer.programs, no_grids)  # type: ignore[method-assign]
        elif fault.stage == "start":
            started = around(fault, solvers.ProgramSolver.__init__, lambda done: done)
            solvers.ProgramSolver.__init__ = started  # type: ignore[method-assign]
    return loader
