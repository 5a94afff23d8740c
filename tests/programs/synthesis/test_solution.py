"""How much a program is trusted: whether it is still the cheapest when a demonstration is left out."""

from __future__ import annotations

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER
from submission.programs.grid_language.vocabulary import operations
from submission.programs.synthesis.search import StatePool, explore
from submission.programs.synthesis.solution import plain
from submission.programs.synthesis.synthesizer import start_states


def test_a_cheaper_program_for_all_other_demonstrations_makes_a_fit_unsteady() -> None:
    """Two demonstrations are symmetric, so only the third tells that the rule mirrors: without it, it is lost."""
    even = grid([[1, 2, 2, 1], [3, 1, 1, 3]])
    odd = grid([[1, 2, 3, 3], [2, 1, 1, 2]])
    shown = (Pair(even, even), Pair(even[::-1].copy(), even[::-1].copy()), Pair(odd, odd[:, ::-1].copy()))
    task = Task("lucky", shown, (grid([[1, 2], [3, 3]]),))
    pool = StatePool()
    targets = tuple(pool.number(pair.output) for pair in task.demonstrations)
    states = list(explore(pool, start_states(pool, task), operations((1, 2, 3)), 300, 2.0, NEVER))
    mirrored = next(plain(pool, states, targets))
    assert mirrored.stability == pytest.approx(2 / 3)
