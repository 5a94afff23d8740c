"""A scripted engine without torch, and faults that happen in it once: raise, kill, hang, oom, nan, slow."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row
from submission.arc.tasks import Grid
from submission.deadline import Deadline
from submission.runner.spec import WorkerSpec
from submission.solver import voting
from submission.solver.engine import Fit, Proposal, Question, Scores, ViewResult

KINDS = ("raise", "kill", "hang", "oom", "nan", "slow")
STAGES = ("load", "adapt", "propose", "score", "vote", "journal", "write")
IN_THE_WORKER = STAGES[:5]

SLOW = 2.0
"""Seconds that a slow step takes longer."""


class Scripted:
    """Answers every question with what it is given as known, surely, and with a blank, hardly.

    It solves the tasks whose outputs are their inputs. `pause` is what a step takes, in seconds.
    """

    layout: Layout = GRID16
    longest_row = 8192

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause

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


@dataclass(frozen=True)
class Fault:
    """What happens, where, and how often: each time with this chance, until so many marks are in the folder."""

    kind: str
    stage: str
    marks: Path
    most: int = 1
    after: int = 1
    """Times that the stage is passed in each process before it can happen."""
    chance: float = 1.0

    def happens(self) -> bool:
        """Whether it happens now; what is said is marked, so that all processes know."""
        if self.chance < 1 and np.random.default_rng().random() > self.chance:
            return False
        for number in range(self.most):
            try:
                (self.marks / f"{self.kind}-{self.stage}-{number}").touch(exist_ok=False)
                return True
            except FileExistsError:
                continue
        return False

    def strike(self) -> None:
        """All kinds but nan, which is in what a step returns."""
        match self.kind:
            case "raise":
                raise RuntimeError("injected")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(3600)
            case "oom":
                raise MemoryError("injected")
            case "slow":
                time.sleep(SLOW)


def around(fault: Fault, step: Callable[..., Any], spoilt: Callable[[Any], Any]) -> Callable[..., Any]:
    """A step in which the fault happens; `spoilt` makes what it returns not a number."""
    calls = 0

    def step_or_fault(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= fault.after or not fault.happens():
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


@dataclass(frozen=True)
class Loader:
    """Makes the engine of a worker, with faults in its verbs and in the vote; `make` is what it is without them."""

    faults: tuple[Fault, ...] = ()
    pause: float = 0.0
    make: Callable[[WorkerSpec], Any] | None = None

    def __call__(self, crew: WorkerSpec) -> Any:
        engine = self.make(crew) if self.make else Scripted(self.pause)
        spoilt: dict[str, Callable[[Any], Any]] = {
            "adapt": lambda fit: Fit(fit.steps, fit.losses, fit.seconds, "not finite"),
            "propose": no_number,
            "score": lambda scores: Scores(np.full_like(scores.log_p, np.nan), scores.at_most),
        }
        for fault in self.faults:
            if fault.stage == "load" and fault.happens():
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
