"""Solved tasks against seconds: the adaptive schedule compared with fixed ones, on the same tasks with the same seed.

The figures are the three of s1 for test-time scaling (arXiv 2501.19393, section 3.2): control, scaling, performance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from submission.arc.tasks import Solutions, Tasks
from submission.config import with_changes
from submission.runner.run import run
from submission.runner.spec import RunSpec

SCHEDULES: Mapping[str, Sequence[str]] = {
    "adaptive": [],
    "uniform": ["time.schedule=uniform"],
    "all training": ["time.schedule=uniform", "adapt.share=0.9", "training_rows.copies=72", "search.views=2"],
    "all views": ["time.schedule=uniform", "adapt.share=0.3", "training_rows.copies=8", "search.views=48"],
}
"""Name -> changes of the settings."""

TOLERANCE = 0.05, 10.0
"""A run is in time if it is late by at most this share of its budget, or these seconds: the larger counts."""


@dataclass(frozen=True)
class Point:
    """One run."""

    schedule: str
    budget: float
    """Seconds that the run was given."""
    seconds: float
    """Seconds that it took."""
    solved: int
    """Tasks with a right attempt for every output."""
    finished: int
    """Tasks whose record is complete."""
    tasks: int
    utilization: float
    """Share of the workers' time in which they worked on tasks, 0..1."""

    def in_time(self) -> bool:
        """Whether it ended within its budget and the tolerance."""
        return self.seconds <= self.budget + max(TOLERANCE[0] * self.budget, TOLERANCE[1])


def measured(
    job: RunSpec, tasks: Tasks, solutions: Solutions, budgets: Sequence[float], on_point: Callable[[Point], None]
) -> list[Point]:
    """Run every schedule with every budget (seconds), each in its own folder under `job.out`.

    `on_point` gets each result as soon as it is there.
    """
    points = []
    for budget in budgets:
        for name, changes in SCHEDULES.items():
            out = job.out / f"{name.replace(' ', '-')}-{budget:.0f}s"
            settings = with_changes(job.settings, changes)
            summary = run(replace(job, out=out, settings=settings, seconds=budget), tasks, solutions)
            points.append(
                Point(
                    name, budget, summary["seconds"], summary["solved_tasks"], summary["finished_tasks"], len(tasks),
                    summary["utilization"],
                )
            )  # fmt: skip
            on_point(points[-1])
    return points


def control(points: Sequence[Point]) -> float:
    """Return the share of runs that ended in time."""
    return sum(each.in_time() for each in points) / len(points)


def slope(points: Sequence[Point]) -> float:
    """Return the tasks gained per doubling of the budget: the mean over all pairs of budgets; NaN with one budget."""
    slopes = [
        (b.solved - a.solved) / math.log2(b.budget / a.budget)
        for a, b in combinations(sorted(points, key=lambda each: each.budget), 2)
    ]
    return sum(slopes) / len(slopes) if slopes else math.nan


def performance(points: Sequence[Point]) -> int:
    """Return the most tasks that were solved with any budget."""
    return max(each.solved for each in points)


def table(points: Sequence[Point]) -> Iterator[str]:
    """Yield the lines of a Markdown table: a line per schedule, a column per budget."""
    budgets = sorted({each.budget for each in points})
    yield "| schedule | " + " | ".join(f"{each:.0f} s" for each in budgets) + " | control | scaling | performance |"
    yield "|---" * (4 + len(budgets)) + "|"
    for name in SCHEDULES:
        own = {each.budget: each for each in points if each.schedule == name}
        cells = [f"{own[each].solved} of {own[each].tasks}" for each in budgets]
        whole = list(own.values())
        figures = [f"{control(whole):.0%}", f"{slope(whole):+.1f} a doubling", f"{performance(whole)}"]
        yield f"| {name} | " + " | ".join(cells + figures) + " |"
