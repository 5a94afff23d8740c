"""Tasks whose grids are panels of one colour each, as tasks on small grids with a cell for each panel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from submission.arc.tasks import Pair, Task, grid
from submission.programs.grid_language.panels import colours_at_panels, panel_colours, with_panel_colours
from submission.programs.grid_language.values import NotApplicable, require
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.solution import Solution

COST = 0.5
"""What going to the small grids and back adds to the cost of a program."""


@dataclass(frozen=True, eq=False)
class PanelTask:
    """A task on small grids, and the one that it stands for."""

    whole: Task
    task: Task

    def restored_solution(self, found: Solution) -> Solution | None:
        """Turn a program for the small task into one for the whole; None where its answer does not fit the panels."""
        try:
            answers = tuple(
                with_panel_colours(cells, answer)
                for cells, answer in zip(self.whole.tests, found.answers, strict=True)
            )  # fmt: skip
        except NotApplicable:
            return None
        return replace(found, build=partial(_expression, found), answers=answers, cost=found.cost + COST)


def _expression(found: Solution, root: Expression) -> Expression:
    return Call(with_panel_colours, (root, found.build(Call(panel_colours, (root,)))))


def panel_task(task: Task) -> PanelTask | None:
    """The task on small grids; None unless all grids have panels of one colour, and the lines stay as they are."""
    try:
        pairs = tuple(_small(pair) for pair in task.demonstrations)
        tests = tuple(grid(panel_colours(cells)) for cells in task.tests)
    except NotApplicable:
        return None
    return PanelTask(task, replace(task, demonstrations=pairs, tests=tests))


def _small(pair: Pair) -> Pair:
    """A demonstration on small grids; NotApplicable where the output is not the input with other panel colours."""
    require(pair.input.shape == pair.output.shape)
    after = colours_at_panels(pair.output, pair.input)
    require(np.array_equal(with_panel_colours(pair.input, after), pair.output))
    return Pair(grid(panel_colours(pair.input)), grid(after))
