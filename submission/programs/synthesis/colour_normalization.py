"""A task with the colours of each grid renamed, so that colours with the same role get the same name.

In many tasks the colour that plays a part differs from input to input. Renamed by how often a colour occurs in the
input, the most common one always gets the same name. Colours that occur in every input, or in none, keep their names.
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
"""What renaming the colours adds to the cost of a program."""


@dataclass(frozen=True, eq=False)
class NormalizedTask:
    """A task after its colours were renamed, and what is needed to undo that."""

    free: tuple[int, ...]
    """The colours that exchange names, see `renaming`."""
    rarest_first: bool
    task: Task
    test_names: tuple[Cells, ...]
    """For each test input, the new name of each colour: [10]."""

    def restored_solution(self, found: Solution) -> Solution:
        """Turn a program for the renamed task into one for the original task."""
        answers = tuple(restored(answer, names) for answer, names in zip(found.answers, self.test_names, strict=True))
        build = partial(self._expression, found)
        return replace(found, build=build, answers=answers, cost=found.cost + COST)

    def _expression(self, found: Solution, root: Expression) -> Expression:
        names = Call(renaming, (root, self.free, self.rarest_first))
        return Call(restored, (found.build(Call(renamed, (root, names))), names))


def normalizations(task: Task) -> Iterator[NormalizedTask]:
    """Yield the task under each renaming that changes it.

    In this order: all colours and the background, if 0 is not the most common colour of every input; the colours that
    vary between the inputs, the most common first, then the rarest first; if neither applies, all colours but 0.
    """
    inputs = [pair.input for pair in task.demonstrations] + list(task.tests)
    counts = np.stack([np.bincount(cells.ravel(), minlength=10) for cells in inputs])
    present = counts > 0
    varying = present.any(0) & ~present.all(0) & (np.arange(10) > 0)
    most_common = {int(colour) for colour in counts.argmax(1)}
    choices: list[tuple[tuple[int, ...], bool]] = []
    if varying.sum() > 1:
        free = tuple(np.flatnonzero(varying).tolist())
        choices += [(free, False), (free, True)]
    used = tuple(np.flatnonzero(present.any(0)).tolist())
    if most_common != {0} and len(used) > 1:
        choices.insert(0, (used if 0 in used else (0, *used), False))
    elif varying.sum() <= 1 and len(used) > 2:
        choices.append((tuple(c for c in used if c), False))
    seen = {_content(task)}
    for free, rarest_first in choices:
        normalized = _normalized(task, free, rarest_first)
        if _content(normalized.task) not in seen:
            seen.add(_content(normalized.task))
            yield normalized


def _content(task: Task) -> bytes:
    """Return the cells of all demonstrations: equal for renamings with the same effect."""
    return b"".join(pair.input.tobytes() + pair.output.tobytes() for pair in task.demonstrations)


def _normalized(task: Task, free: tuple[int, ...], rarest_first: bool) -> NormalizedTask:
    """Rename the free colours of each pair by the counts in its input, and those of each test input."""
    pairs = []
    for pair in task.demonstrations:
        names = renaming(pair.input, free, rarest_first)
        pairs.append(Pair(renamed(pair.input, names), renamed(pair.output, names)))
    test_names = tuple(renaming(cells, free, rarest_first) for cells in task.tests)
    tests = tuple(renamed(cells, names) for cells, names in zip(task.tests, test_names, strict=True))
    return NormalizedTask(free, rarest_first, Task(task.id, tuple(pairs), tests), test_names)
