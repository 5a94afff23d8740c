"""What a run and its workers are asked to do: everything that the command line decides, except the tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from submission.arc.tasks import Task
from submission.config import Settings
from submission.results.journal import TaskSource
from submission.solver.engine import Engine

Kind = Literal["network", "programs"]
"""The two kinds of solver."""

PlannedTraining = Callable[[Task, Settings], float]
"""A task and its settings -> the seconds that the plan gives its test-time training."""


@dataclass(frozen=True)
class RunSpec:
    """A run: everything that the command line decides, except the tasks."""

    out: Path
    model: Path
    settings: Settings
    seed: int = 0
    seconds: float | None = None
    """Wall time of the whole run; None for one pass over each task, as long as it takes."""
    resume: bool = False
    """Go on with the run in `out`; begin one if there is none."""
    fresh: bool = False
    """Begin anew in a folder that holds a run, whose journal is set aside."""
    workers: int = 0
    """Worker processes; 0 for one on each GPU, or one on each CPU core that there is memory for."""
    ray: str | None = None
    """A Ray cluster to work on: its address, or "auto"; None for processes on this machine."""
    load: Callable[[WorkerSpec], Engine] | None = None
    """Makes the engine in each worker; None for the language model in `model`."""
    solvers: tuple[Kind, ...] = ("network",)
    """The kinds of solver: the network, programs, or both."""
    planned_training: PlannedTraining | None = None
    """What the machine is compared with, see `runner.pace`; None where there is no plan."""
    source: TaskSource | None = None
    """Where the tasks came from; None where they are of no file and no set."""

    @property
    def main(self) -> Kind:
        """The solver that decides when a task is finished."""
        return "network" if "network" in self.solvers else "programs"


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker process needs to start; it is pickled."""

    model: Path
    settings: Settings
    seed: int
    load: Callable[[WorkerSpec], Engine] | None = None
    """Makes the engine; None for the language model in `model`. Called in the worker."""
    kind: Kind = "network"
    """What the workers do with a task: see `NetworkSolver` and `ProgramSolver`."""
    cpu_dtype: Path | None = None
    """The file by which the workers agree on a type of numbers, see `inference.cpu_dtype`."""
