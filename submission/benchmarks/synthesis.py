"""Measure the synthesizer on public tasks, or print the programs that it finds for some.

    python -m submission.benchmarks.synthesis --data arc1-train --tasks 400 --seconds 4 --workers 2
    python -m submission.benchmarks.synthesis --data arc1-train --only 67a3c6ac

Prints what is solved with two attempts, by halves of the set (the parity of sha256 of the task's id: one half to
develop on, one to hold out), which share of the fitting programs is wrong, and the processor seconds per task.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np

from submission.arc.tasks import Grid, Solutions, Task, Tasks, grid_key, public_set
from submission.deadline import within
from submission.errors import BadInput
from submission.programs.program import Program
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.synthesizer import Synthesizer, ranked
from submission.results import scores, submission_file
from submission.runner.devices import omp_threads


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one task."""

    task: str
    seconds: float
    """Processor time."""
    programs: list[Program]
    forms: list[tuple[str, float, bool]] = field(default_factory=list)
    """Of every program that fits: its form, how steady it is, and whether all its answers are right."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _options(arguments)
    try:
        tasks, solutions = public_set(options.data)
        names = _chosen(tasks, options.only, options.tasks, options.half)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    trials = []
    for trial in _trials([(tasks[name], solutions[name], options.seconds) for name in names], options.workers):
        trials.append(trial)
        print(_line(trial, solutions[trial.task]), flush=True)
        for program in trial.programs if options.only else ():
            print(f"# steady {program.stability:.2f}\n{program.source}")
    for line in report(trials, solutions):
        print(line)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m submission.benchmarks.synthesis", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", default="arc1-train", help="a public set (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=400, help="how many, by the hash of their ids")
    parser.add_argument("--half", type=int, choices=(0, 1), help="only tasks of this half")
    parser.add_argument("--only", help="ids, with commas; prints their programs")
    parser.add_argument("--seconds", type=float, default=4.0, help="processor time of each task (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    return parser.parse_args(arguments)


def _chosen(tasks: Tasks, only: str | None, count: int, half: int | None) -> list[str]:
    """The ids that were asked for; BadInput names one that there is not."""
    if only is not None:
        unknown = [name for name in only.split(",") if name not in tasks]
        if unknown:
            raise BadInput(f"no task is called {unknown[0]!r}")
        return only.split(",")
    ordered = sorted(tasks, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return [name for name in ordered if half is None or half_of(name) == half][:count]


def half_of(name: str) -> int:
    """0 for the half of a set to develop on, 1 for the half to hold out."""
    return hashlib.sha256(name.encode()).digest()[-1] % 2


def _trials(asked: Sequence[tuple[Task, tuple[Grid, ...], float]], workers: int) -> Iterator[Trial]:
    # Processor time is only theirs if numpy does not spin on other cores.
    with omp_threads(1), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_tried, asked)


def _tried(asked: tuple[Task, tuple[Grid, ...], float]) -> Trial:
    task, truth, seconds = asked
    synthesizer = Synthesizer()
    began = time.process_time()
    found = list(synthesizer.found(task, within(seconds, time.process_time), 0))
    programs = ranked(found, synthesizer.most_programs)
    spent = time.process_time() - began
    return Trial(task.id, spent, programs, [(each.form, each.stability, _right(each, truth)) for each in found])


def _right(found: Solution | Program, truth: Sequence[Grid]) -> bool:
    pairs = zip(found.answers, truth, strict=True)
    return all(answer is not None and grid_key(answer) == grid_key(true) for answer, true in pairs)


def _line(trial: Trial, truth: Sequence[Grid]) -> str:
    rank = next((k for k, program in enumerate(trial.programs, 1) if _right(program, truth)), 0)
    verdict = f"right at {rank}" if rank else "wrong" if trial.programs else "nothing"
    return f"{trial.task}  {verdict:12} {trial.seconds:5.1f} s  {len(trial.programs)} answers"


def report(trials: Sequence[Trial], solutions: Solutions) -> Iterator[str]:
    """The measurement in lines of text."""
    for name, part in (("all", trials), *((f"half {k}", [t for t in trials if half_of(t.task) == k]) for k in (0, 1))):
        if part:
            truth = {trial.task: solutions[trial.task] for trial in part}
            score = scores.score({trial.task: _attempts(trial, len(truth[trial.task])) for trial in part}, truth)
            share = score["score_by_output"]
            yield f"{name}: solved {score['solved_tasks']} of {len(part)} tasks at 2 attempts ({share:.3f} by output)"
    first = [t for t in trials if t.programs and _right(t.programs[0], solutions[t.task])]
    given = [t for t in trials if t.programs]
    yield f"with some answer: {len(given)}; the first one right: {len(first)}"
    forms = [form for trial in trials for form in trial.forms]
    for name, steady in (("all", [form for form in forms]), ("steady", [f for f in forms if f[1] == 1])):
        yield f"fitting programs, {name}: {_wrong(steady)}"
    for form in sorted({form for form, _, _ in forms}):
        own = [f for f in forms if f[0] == form]
        yield f"  {form}: {_wrong(own)}; steady: {_wrong([f for f in own if f[1] == 1])}"
    for name, lowest, below in (("steady", 1.0, 2.0), ("half steady", 0.5, 1.0), ("unsteady", 0.0, 0.5)):
        tops = [t for t in given if lowest <= t.programs[0].stability < below]
        wrong = sum(not _right(t.programs[0], solutions[t.task]) for t in tops)
        yield f"first answers that are {name}: {len(tops)}, wrong {wrong}"
    seconds = np.array([trial.seconds for trial in trials])
    yield f"seconds: median {np.median(seconds):.1f}, p90 {np.quantile(seconds, 0.9):.1f}, max {seconds.max():.1f}"


def _wrong(forms: Sequence[tuple[str, float, bool]]) -> str:
    wrong = sum(not right for _, _, right in forms)
    return f"{len(forms)}, wrong {wrong / len(forms):.3f}" if forms else "none"


def _attempts(trial: Trial, tests: int) -> list[dict[str, list[list[int]]]]:
    """Attempts as a submission has them: two distinct answers for each test input."""
    entries = []
    for k in range(tests):
        grids = {grid_key(a): a.tolist() for p in trial.programs if (a := p.answers[k]) is not None}
        first, second = [*grids.values(), submission_file.BLANK, submission_file.BLANK][:2]
        entries.append({"attempt_1": first, "attempt_2": second})
    return entries


if __name__ == "__main__":
    sys.exit(main())
