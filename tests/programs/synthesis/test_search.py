"""The search over states: distinct, cheapest first, bounded."""

from __future__ import annotations

from submission.deadline import NEVER
from submission.programs.grid_language import shapes
from submission.programs.grid_language.vocabulary import operations
from submission.programs.synthesis.search import StatePool, explore
from submission.programs.synthesis.synthesizer import start_states
from tests.support.planted import planted


def test_states_are_distinct_cheapest_first_and_no_more_than_asked() -> None:
    task, _ = planted(shapes.mirror_rows)
    pool = StatePool()
    states = list(explore(pool, start_states(pool, task), operations((1, 2, 3)), 500, 4.0, NEVER))
    grids = [state for state in states if state.kind == "grid"]
    assert len(pool.states) <= 500
    assert len({state.values for state in grids}) == len(grids)
    assert [state.cost for state in states] == sorted(state.cost for state in states)
