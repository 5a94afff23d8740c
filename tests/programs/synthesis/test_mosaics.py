"""Outputs of equal tiles side by side, each of them a state."""

from __future__ import annotations

import numpy as np

from submission.deadline import NEVER
from submission.programs.grid_language.vocabulary import operations
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.mosaics import mosaics
from submission.programs.synthesis.search import StatePool, explore
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.synthesizer import start_states
from tests.support.planted import Rule, planted, same


def found(rule: Rule) -> list[tuple[Solution, bool]]:
    """The mosaics for a planted rule, and whether each gives the right answer, printed and run as well."""
    task, answer = planted(rule)
    pool = StatePool()
    states = list(explore(pool, start_states(pool, task), operations((1, 2, 3)), 300, 2.0, NEVER))
    return [
        (each, same(each.answers[0], answer) and same(run(source_of(each.build(INPUT)), task.tests[0]), answer))
        for each in mosaics(task, pool, states)
    ]


def test_tiles_that_are_states_of_their_own_are_put_together() -> None:
    [(solution, right)] = found(lambda c: np.block([[c, c[:, ::-1]], [c[::-1], c[::-1, ::-1]]]))
    assert right
    assert solution.form == "mosaic"
    assert solution.stability == 1.0, "whichever demonstration is left out"


def test_what_is_no_mosaic_of_states_is_none() -> None:
    assert found(lambda c: np.concatenate([c, (7 * c * c + 1).astype(np.uint8) % 10], 1)) == []
