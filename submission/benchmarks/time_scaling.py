"""Solved tasks against seconds: the adaptive schedule beside fixed ones, on the same tasks with the same seed.

With s1's three figures of test-time scaling (arXiv 2501.19393, section 3.2): control, scaling, performance.
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
"""What is compared, as changes of the settings."""

TOLERANCE = 0.05, 10.0
"""A run may end this share, or these seconds, after its time; whichever is more."""


@dataclass(frozen=True)
class Point:
    """One run."""

    schedule: str
    budget: float
    """Seconds it was given."""
    seconds: float
    """Seconds it took."""
    solved: int
    finished: int
    tasks: int
    utilization: float

    def kept(self) -> bool:
        """Whether it ended in its time."""
        return self.seconds <= self.budget + max(TOLERANCE[0] * self.budget, TOLERANCE[1])


def measured(
    job: RunSpec, tasks: Tasks, solutions: Solutions, budgets: Sequence[float], told: Callable[[Point], None]
) -> list[Point]:
    """Run every schedule with every budget, in folders of their own under `job.out`; `told` hears of each."""
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
            told(points[-1])
    return points


def control(points: Sequence[Point]) -> float:
    """Share of the runs that ended in their time."""
    return sum(each.kept() for each in points) / len(points)


def slope(points: Sequence[Point]) -> float:
    """Tasks gained for each doubling of the time: the mean over all pairs of budgets; NaN with one budget."""
    slopes = [
        (b.solved - a.solved) / math.log2(b.budget / a.budget)
        for a, b in combinations(sorted(points, key=lambda each: each.budget), 2)
    ]
    return sum(slopes) / len(slopes) if slopes else math.nan


def performance(points: Sequence[Point]) -> int:
    """The most tasks that were solved with any budget."""
    return max(each.solved for each in points)


def table(points: Sequence[Point]) -> Iterator[str]:
    """The lines of a Markdown table: a row a schedule, a column a budget."""
    budgets = sorted({each.budget for each in points})
    yield "| schedule | " + " | ".join(f"{each:.0f} s" for each in budgets) + " | control | scaling | performance |"
    yield "|---" * (4 + len(budgets)) + "|"
    for name in SCHEDULES:
        own = {each.budget: each for each in points if each.schedule == name}
        cells = [f"{own[each].solved} of {own[each].tasks}" for each in budgets]
        whole = list(own.values())
        figures = [f"{control(whole):.0%}", f"{slope(whole):+.1f} a doubling", f"{performance(whole)}"]
        yield f"| {name} | " + " | ".join(cells + figures) + " |"
