"""A run in which one fault happens: the body of a process, and what the one who started it makes of its end."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.tasks import Pair, Solutions, Task, Tasks, grid
from submission.config import EMBEDDED, Settings, with_changes
from submission.presets import PRESETS
from submission.results import journal, scores, submission_file
from submission.runner import run as runs
from submission.runner.schedule import Outcome
from submission.runner.solvers import language_model
from submission.runner.spec import Kind, RunSpec
from submission.runner.workers import WorkerPool
from tests.faults.scripted import IN_THE_PARENT, IN_THE_WORKER, Fault, Loader, around, starts

QUICK = ["training_rows.copies=1", "search.views=2", "programs.settle=False"]
IMPATIENT = ["time.seconds=20", "time.heartbeat_timeout=3", "time.grace=2", "time.loading_timeout=30"]
SCRIPTED = with_changes(PRESETS["laptop"], QUICK + IMPATIENT)
REAL = with_changes(SCRIPTED, ["time.loading_timeout=60", "time.heartbeat_timeout=5"])


def copies(number: int, seed: int = 0) -> tuple[dict[str, Task], dict[str, tuple[Any, ...]]]:
    """Tasks whose outputs are their inputs, every third with two tests, and their solutions."""
    rng = np.random.default_rng(seed)
    tasks, solutions = {}, {}
    for k in range(number):
        grids = [grid(rng.integers(0, 10, rng.integers(1, 4, 2))) for _ in range(5)]
        name = f"copy{k:03}"
        tests = tuple(grids[3:] if k % 3 == 0 else grids[3:4])
        tasks[name], solutions[name] = Task(name, tuple(Pair(g, g) for g in grids[:3]), tests), tests
    return tasks, solutions


@dataclass(frozen=True)
class Cell:
    """One run: what happens in it, and on how many tasks and workers."""

    out: Path
    faults: tuple[Fault, ...] = ()
    tasks: int = 4
    workers: int = 2
    seconds: float | None = 30.0
    resume: bool = False
    pause: float = 0.02
    real: bool = False
    """The embedded model instead of a scripted engine."""
    settings: Settings = SCRIPTED
    model: Path = EMBEDDED
    marks: Path | None = None
    """Where each start of a worker leaves a mark."""

    solver: Kind = "network"

    def run(self) -> None:
        """The run, in this process."""
        steps: dict[str, tuple[Any, str]] = {
            "journal": (journal, "write_record"), "write": (submission_file, "write"),
            "summary": (runs, "summarize"), "report": (runs, "write_report"),
        }  # fmt: skip
        for fault in self.faults:
            if fault.stage in IN_THE_PARENT:
                module, name = steps[fault.stage]
                spoilt = without_numbers if fault.stage == "summary" else unchanged
                setattr(module, name, around(fault, getattr(module, name), spoilt))
            if fault.kind == "nan" and fault.stage in ("journal", "write"):
                spoil(fault)
        inside = tuple(each for each in self.faults if each.stage in IN_THE_WORKER)
        job = RunSpec(
            self.out, self.model, self.settings, 0, self.seconds, self.resume, workers=self.workers,
            load=Loader(inside, self.pause, language_model if self.real else None, self.marks), solvers=(self.solver,),
        )  # fmt: skip
        runs.run(job, *copies(self.tasks))


def unchanged(done: Any) -> Any:
    return done


def without_numbers(summary: dict[str, Any]) -> dict[str, Any]:
    return {**summary, "seconds": math.nan}


NO_NUMBERS = ((np.full((1, 1), np.nan),),)
"""Attempts at one test input that are no grids."""


def spoil(fault: Fault) -> None:
    """Put something that is not a number into a record on its way: into its seconds, or into its first answer."""
    wait = WorkerPool.wait

    def spoilt(pool: WorkerPool, seconds: float) -> list[Outcome]:
        outcomes = wait(pool, seconds)
        if any(each.record is not None for each in outcomes) and fault.happens():
            wrong: dict[str, Any] = {"seconds": math.nan} if fault.stage == "journal" else {"attempts": NO_NUMBERS}
            outcomes = [replace(each, record=each.record and replace(each.record, **wrong)) for each in outcomes]
        return outcomes

    WorkerPool.wait = spoilt


def process(cell: Cell, log: Path) -> subprocess.Popen[bytes]:
    """A process group of its own that runs the cell, as a command would."""
    import pickle

    body = "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1])).run()"
    with log.open("ab") as told:
        return subprocess.Popen(
            [sys.executable, "-c", body, pickle.dumps(cell).hex()],
            stdout=told, stderr=told, start_new_session=True, cwd=Path(__file__).parents[2],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """What a run has left behind."""

    status: int
    seconds: float
    submission: Any
    records: dict[str, dict[str, Any]]
    log: str
    """What the process has printed."""
    starts: int = 0
    """Worker processes that were started."""

    def wrong(self, tasks: Tasks) -> list[str]:
        """What is not valid or not complete about the submission."""
        return submission_file.check(self.submission, tasks)

    def solved(self, solutions: Solutions) -> int:
        return int(scores.score(self.submission, solutions)["solved_tasks"])

    def retried(self) -> list[str]:
        """Tasks that were tried more than once."""
        return sorted(name for name, record in self.records.items() if record["notes"])


def ended(cell: Cell, limit: float = 60.0) -> Ended:
    """Run the cell to its end, in a process of its own."""
    log = cell.out.with_name(f"{cell.out.name}.txt")
    began = time.monotonic()
    child = process(cell, log)
    try:
        status = child.wait(limit)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    return left_by(cell, status, time.monotonic() - began)


def left_by(cell: Cell, status: int, seconds: float) -> Ended:
    """What a run that has ended left behind."""
    records = {}
    for path in sorted(cell.out.glob("journal/*.json")) + sorted(cell.out.glob("journal/programs/*.json")):
        records[path.stem] = json.loads(path.read_text())
    submission = json.loads((cell.out / "submission.json").read_text())
    told = cell.out.with_name(f"{cell.out.name}.txt").read_text()
    return Ended(status, seconds, submission, records, told, starts(cell.marks) if cell.marks else 0)
