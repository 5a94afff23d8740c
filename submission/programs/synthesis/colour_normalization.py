"""A task with its colours renamed in each grid, so that colours with one role have one name.

What varies between the inputs is which colour plays a part; renamed by how often a colour occurs in the input, the
commonest is always the same. Colours that occur in every input, or in none, keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from submission.arc.tasks import Pair, Task
from submission.programs.grid_language.colours import renamed, renaming, restored
from submission.programs.grid_language.values import Cells
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.solution import Solution

COST = 0.8
"""What a renaming adds to a program's description."""


@dataclass(frozen=True, eq=False)
class Naming:
    """A way of renaming, and the task as it looks then."""

    free: tuple[int, ...]
    """The colours that change names among themselves."""
    rarest_first: bool
    task: Task
    names: tuple[Cells, ...]
    """The renaming of each test input."""

    def undone(self, found: Solution) -> Solution:
        """A program for the renamed task as one for the task itself."""
        answers = tuple(restored(answer, names) for answer, names in zip(found.answers, self.names, strict=True))
        build = partial(self._expression, found)
        return replace(found, build=build, answers=answers, cost=found.cost + COST)

    def _expression(self, found: Solution, root: Expression) -> Expression:
        names = Call(renaming, (root, self.free, self.rarest_first))
        return Call(restored, (found.build(Call(renamed, (root, names))), names))


def namings(task: Task) -> Iterator[Naming]:
    """Renamings that change the task: of the background, of the colours that vary, commonest or rarest first."""
    inputs = [pair.input for pair in task.demonstrations] + list(task.tests)
    counts = np.stack([np.bincount(cells.ravel(), minlength=10) for cells in inputs])
    present = counts > 0
    varying = present.any(0) & ~present.all(0) & (np.arange(10) > 0)
    commonest = {int(colour) for colour in counts.argmax(1)}
    choices: list[tuple[tuple[int, ...], bool]] = []
    if varying.sum() > 1:
        free = tuple(np.flatnonzero(varying).tolist())
        choices += [(free, False), (free, True)]
    coloured = tuple(np.flatnonzero(present.any(0)).tolist())
    if commonest != {0} and len(coloured) > 1:
        choices.insert(0, (coloured if 0 in coloured else (0, *coloured), False))
    elif varying.sum() <= 1 and len(coloured) > 2:
        rest = tuple(c for c in coloured if c)
        choices.append((rest, False))
    seen = {_content(task)}
    for free, rarest in choices:
        naming = _named(task, free, rarest)
        if _content(naming.task) not in seen:
            seen.add(_content(naming.task))
            yield naming


def _content(task: Task) -> bytes:
    return b"".join(pair.input.tobytes() + pair.output.tobytes() for pair in task.demonstrations)


def _named(task: Task, free: tuple[int, ...], rarest: bool) -> Naming:
    pairs = []
    for pair in task.demonstrations:
        names = renaming(pair.input, free, rarest)
        pairs.append(Pair(renamed(pair.input, names), renamed(pair.output, names)))
    tests = tuple(renaming(cells, free, rarest) for cells in task.tests)
    seen = tuple(renamed(cells, names) for cells, names in zip(task.tests, tests, strict=True))
    return Naming(free, rarest, Task(task.id, tuple(pairs), seen), tests)
