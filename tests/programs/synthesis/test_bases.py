"""Learned steps start from states as large as the outputs."""

from __future__ import annotations

from functools import partial

from submission.arc.tasks import Pair, Task
from submission.deadline import NEVER
from submission.programs.grid_language.vocabulary import operations
from submission.programs.synthesis.bases import on_bases
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.object_rules import object_rules
from submission.programs.synthesis.scans import scans
from submission.programs.synthesis.search import StatePool, explore
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.synthesizer import start_states
from tests.support.drawn import drawn, text


def learned(step: object, task: Task) -> list[Solution]:
    """What a step learns from the states of a short search."""
    pool = StatePool()
    states = list(explore(pool, start_states(pool, task), operations((1, 2)), 100, 1.5, NEVER))
    return [*on_bases(partial(step, seed=0), task, pool, states, NEVER)]  # type: ignore[operator]


def test_a_canvas_is_scanned_where_the_outputs_are_larger() -> None:
    """A line at the bottom of a square, copied upwards and shifted to the right."""

    def square(line: str) -> Pair:
        side = len(line)
        rows = ["." * k + line[: side - k] for k in range(side)][::-1]
        return Pair(drawn(line), drawn(" ".join(rows)))

    task = Task("t", tuple(map(square, ("1...", "1.2..", ".1.2.2", "3..1"))), (drawn("3.1.."),))
    right = [each for each in learned(scans, task) if text(each.answers[0]) == "....3 ...3. ..3.1 .3.1. 3.1.."]
    assert right
    assert text(run(source_of(right[0].build(INPUT)), task.tests[0])) == text(right[0].answers[0])


def test_objects_are_recoloured_in_a_cropped_grid() -> None:
    pairs = (
        Pair(drawn(".... .11. .2.. ...."), drawn("55 6.")),
        Pair(drawn("..... .333. ....4"), drawn("555. ...6")),
    )
    task = Task("t", pairs, (drawn(".7.. .7.. ..8."),))
    found = learned(object_rules, task)
    assert text(found[0].answers[0]) == "5. 5. .6"
    assert text(run(source_of(found[0].build(INPUT)), task.tests[0])) == "5. 5. .6"
    assert "crop(grid)" in source_of(found[0].build(INPUT))


def test_without_a_state_of_that_size_nothing_is_learned() -> None:
    other = Task("t", (Pair(drawn("12"), drawn("1 2 1")), Pair(drawn("21"), drawn("2"))), (drawn("1"),))
    assert learned(scans, other) == []
