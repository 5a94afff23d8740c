"""A task whose colours are renamed by their part in it: what is found there is a program for the task itself."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import Pair, Task, grid
from submission.programs.synthesis.colour_normalization import COST, normalizations
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.solution import Solution


def varied() -> Task:
    """Grids of two colours that are others in each, on black."""
    inputs = [grid([[a, a, 0], [a, b, 0]]) for a, b in ((1, 2), (3, 4), (5, 1), (2, 6))]
    return Task("varied", tuple(Pair(each, grid(each[::-1])) for each in inputs[:3]), (inputs[3],))


def unchanged(naming_task: Task) -> Solution:
    """The program that gives the renamed grid back."""
    return Solution(lambda root: root, naming_task.tests, 1.0, 1.0, "plain")


def test_colours_with_one_role_have_one_name() -> None:
    found = list(normalizations(varied()))
    assert found
    for naming in found:
        inputs = [pair.input.tolist() for pair in naming.task.demonstrations]
        assert inputs[0] == inputs[1] == inputs[2], "the renamed inputs are all the same"
        assert naming.task.tests[0].tolist() == inputs[0], "and so is the test's"


def test_what_is_found_for_the_renamed_task_is_restored_for_the_task_itself() -> None:
    task = varied()
    for naming in normalizations(task):
        program = naming.restored_solution(unchanged(naming.task))
        assert np.array_equal(program.answers[0], task.tests[0])
        assert program.cost == 1.0 + COST
        source = source_of(program.build(INPUT))
        for cells in (*task.tests, *(pair.input for pair in task.demonstrations)):
            assert np.array_equal(run(source, cells), cells)


def test_a_task_whose_colours_do_not_vary_is_not_renamed_to_itself() -> None:
    same = grid([[1, 0], [0, 0]])
    assert list(normalizations(Task("same", (Pair(same, same),) * 2, (same,)))) == []
