"""How many public tasks the synthesizer solves, and how often a program that fits is wrong.

    python -m submission bench synthesis --data arc1-train --tasks 400 --seconds 4 --workers 2
    python -m submission bench synthesis --data arc1-train --only 67a3c6ac

Tasks are measured in processor seconds. The result is also given for two halves of the set, split by a hash of the
task's id: one half to develop on, one to hold out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from submission.arc.tasks import Grid, Solutions, Task, Tasks, grid_key
from submission.deadline import within
from submission.errors import BadInput
from submission.programs.program import Program
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.synthesizer import Synthesizer, ranked
from submission.results import scores, submission_file
from submission.runner.devices import omp_threads


class Fit(NamedTuple):
    """A program that fits the demonstrations, whether it was returned or not."""

    form: str
    """Its last step, see `solution.Form`."""
    stability: float
    right: bool
    """Whether all its answers are right."""


@dataclass(frozen=True, eq=False)
class Trial:
    """The result for one task."""

    task: str
    seconds: float
    """Processor time."""
    programs: list[Program]
    """The ranked programs, each with other answers."""
    fits: list[Fit] = field(default_factory=list)
    """All programs that fit."""


def chosen(tasks: Tasks, only: Sequence[str] | None, count: int | None, half: int | None) -> list[str]:
    """Return the ids to measure: those in `only`, or the first `count` by the hash of the id.

    BadInput for an id that is not among the tasks. `half` restricts the choice to one half of the set.
    """
    if only is not None:
        unknown = [name for name in only if name not in tasks]
        if unknown:
            raise BadInput(f"no task is called {unknown[0]!r}")
        return list(only)
    ordered = sorted(tasks, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return [name for name in ordered if half is None or half_of(name) == half][:count]


def half_of(name: str) -> int:
    """Return 0 for the half of a set to develop on, 1 for the half to hold out."""
    return hashlib.sha256(name.encode()).digest()[-1] % 2


def measure(
    tasks: Tasks, solutions: Solutions, seconds: float, workers: int, seed: int, sources: bool,
    on_line: Callable[[str], object],
) -> list[dict[str, Any]]:  # fmt: skip
    """Run the synthesizer on each task, `seconds` of processor time each, on `workers` processes.

    `on_line` gets the lines of text, with `sources` those of the programs too. Returns the results as JSON writes them.
    """
    trials = []
    for trial in _trials(tasks, solutions, seconds, workers, seed):
        trials.append(trial)
        on_line(line(trial, solutions[trial.task]))
        for program in trial.programs if sources else ():
            on_line(f"# stability {program.stability:.2f}\n{program.source}")
    for text in report(trials, solutions):
        on_line(text)
    return [as_json(trial, solutions[trial.task]) for trial in trials]


def _trials(tasks: Tasks, solutions: Solutions, seconds: float, workers: int, seed: int) -> Iterator[Trial]:
    """Yield the result of each task, in order."""
    jobs = [(task, solutions[name], seconds, seed) for name, task in tasks.items()]
    # One thread each: numpy's waiting threads would count as processor time.
    with omp_threads(1), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_trial, jobs)


def _trial(job: tuple[Task, tuple[Grid, ...], float, int]) -> Trial:
    """Run the synthesizer on (task, solutions, seconds, seed)."""
    task, truth, seconds, seed = job
    synthesizer = Synthesizer()
    began = time.process_time()
    found = list(synthesizer.solutions(task, within(seconds, time.process_time), seed))
    programs = ranked(found, synthesizer.most_programs)
    spent = time.process_time() - began
    return Trial(task.id, spent, programs, [Fit(each.form, each.stability, _right(each, truth)) for each in found])


def _right(found: Solution | Program, truth: Sequence[Grid]) -> bool:
    """Whether all answers are right."""
    pairs = zip(found.answers, truth, strict=True)
    return all(answer is not None and grid_key(answer) == grid_key(true) for answer, true in pairs)


def rank(trial: Trial, truth: Sequence[Grid]) -> int:
    """Return the place of the first right program, from 1; 0 if there is none."""
    return next((k for k, program in enumerate(trial.programs, 1) if _right(program, truth)), 0)


# -- as text and JSON -------------------------------------------------------------------------------------------


def line(trial: Trial, truth: Sequence[Grid]) -> str:
    """Return the result of one task as a line of text."""
    place = rank(trial, truth)
    verdict = f"right at {place}" if place else "wrong" if trial.programs else "nothing"
    return f"{trial.task}  {verdict:12} {trial.seconds:5.1f} s  {len(trial.programs)} answers"


def report(trials: Sequence[Trial], solutions: Solutions) -> Iterator[str]:
    """Yield the measurement in lines of text."""
    yield from _solved(trials, solutions)
    answered = [t for t in trials if t.programs]
    first_right = [t for t in answered if _right(t.programs[0], solutions[t.task])]
    yield f"with some answer: {len(answered)}; the first one right: {len(first_right)}"
    fits = [fit for trial in trials for fit in trial.fits]
    yield f"fitting programs: {_wrong(fits)}"
    yield f"fitting programs of stability 1: {_wrong([fit for fit in fits if fit.stability == 1])}"
    for form in sorted({fit.form for fit in fits}):
        own = [fit for fit in fits if fit.form == form]
        yield f"  {form}: {_wrong(own)}; of stability 1: {_wrong([fit for fit in own if fit.stability == 1])}"
    for name, lowest, below in (("1", 1.0, 2.0), ("0.5 to 1", 0.5, 1.0), ("below 0.5", 0.0, 0.5)):
        part = [t for t in answered if lowest <= t.programs[0].stability < below]
        wrong = sum(not _right(t.programs[0], solutions[t.task]) for t in part)
        yield f"first answers of stability {name}: {len(part)}, wrong {wrong}"
    seconds = np.array([trial.seconds for trial in trials])
    yield f"seconds: median {np.median(seconds):.1f}, p90 {np.quantile(seconds, 0.9):.1f}, max {seconds.max():.1f}"


def as_json(trial: Trial, truth: Sequence[Grid]) -> dict[str, Any]:
    """Return the result of one task as JSON writes it."""
    return {
        "task": trial.task,
        "seconds": trial.seconds,
        "rank": rank(trial, truth),
        "programs": [{"source": each.source, "stability": each.stability} for each in trial.programs],
    }


def _solved(trials: Sequence[Trial], solutions: Solutions) -> Iterator[str]:
    """Yield the solved tasks of the whole set and of its halves."""
    for name, part in (("all", trials), *((f"half {k}", [t for t in trials if half_of(t.task) == k]) for k in (0, 1))):
        if part:
            truth = {trial.task: solutions[trial.task] for trial in part}
            score = scores.score({trial.task: _attempts(trial, len(truth[trial.task])) for trial in part}, truth)
            share = score["score_by_output"]
            yield f"{name}: solved {score['solved_tasks']} of {len(part)} tasks at 2 attempts ({share:.3f} by output)"


def _wrong(fits: Sequence[Fit]) -> str:
    """Return the number of programs, and the share of wrong ones."""
    wrong = sum(not fit.right for fit in fits)
    return f"{len(fits)}, wrong {wrong / len(fits):.3f}" if fits else "none"


def _attempts(trial: Trial, tests: int) -> list[dict[str, list[list[int]]]]:
    """Return the attempts as in a submission: the first two distinct answers for each test input."""
    entries = []
    for k in range(tests):
        grids = {grid_key(a): a.tolist() for p in trial.programs if (a := p.answers[k]) is not None}
        first, second = [*grids.values(), submission_file.BLANK, submission_file.BLANK][:2]
        entries.append({"attempt_1": first, "attempt_2": second})
    return entries
