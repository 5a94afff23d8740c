"""Tasks with a planted rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from submission.arc.tasks import Grid, Pair, Task, grid
from submission.programs.grid_language.values import Cells

Rule = Callable[[Cells], Cells]


def scattered(rng: np.random.Generator, shape: tuple[int, int], filled: float, colours_used: int = 3) -> Cells:
    """A grid with some cells in the colours 1.. of that many."""
    made = rng.integers(1, colours_used + 1, size=shape) * (rng.random(shape) < filled)
    made[0, 0] = 1  # never empty
    return made.astype(np.uint8)


def planted(rule: Rule, pairs: int = 3, filled: float = 0.4, seed: int = 0) -> tuple[Task, Cells]:
    """A task with this rule, and the right answer."""
    rng = np.random.default_rng(seed)
    inputs = [scattered(rng, (int(h), int(w)), filled) for h, w in rng.integers(5, 9, size=(pairs + 1, 2))]
    shown = tuple(Pair(grid(cells), grid(rule(cells))) for cells in inputs[:-1])
    return Task("planted", shown, (grid(inputs[-1]),)), rule(inputs[-1])


def same(one: Cells | None, other: Cells) -> bool:
    return one is not None and np.array_equal(one, other)


def mirrored_tasks(number: int) -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """Tasks that turn small grids upside down, every second with two tests, and their solutions."""
    rng = np.random.default_rng(1)
    tasks, solutions = {}, {}
    for k in range(number):
        inputs = [grid(rng.integers(0, 10, (2, 2 + k))) for _ in range(5)]
        tests = tuple(inputs[3:] if k % 2 else inputs[3:4])
        shown = tuple(Pair(each, grid(each[::-1])) for each in inputs[:3])
        tasks[f"task{k}"] = Task(f"task{k}", shown, tests)
        solutions[f"task{k}"] = tuple(grid(each[::-1]) for each in tests)
    return tasks, solutions
