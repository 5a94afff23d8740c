"""Outputs that were all seen before are looked up."""

from __future__ import annotations

import pytest

from submission.arc.tasks import Pair, Task
from submission.deadline import NEVER
from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.lookups import NUMBERS, lookups, numbers, seen_before
from tests.support.drawn import cells, drawn, text


def task(*drawings: tuple[str, str], test: str) -> Task:
    return Task("t", tuple(Pair(drawn(before), drawn(after)) for before, after in drawings), (drawn(test),))


COUNTED = (
    ("1... ...2", "33"), ("1.1. ....", "33"), ("1.1. ...1", "44"), ("2..2 2...", "44"), (".2.. ....", "5"),
    (".... 1...", "5"),
)  # fmt: skip


def test_a_number_of_the_input_tells_the_output() -> None:
    whole = task(*COUNTED, test="..3. 3..3")
    found = [*lookups(whole, NEVER, 0)]
    assert found and {text(each.answers[0]) for each in found} == {"44"}
    assert all(each.form == "lookup" and each.stability >= 0.5 for each in found)
    assert text(run(source_of(found[0].build(INPUT)), whole.tests[0])) == "44"


def test_outputs_that_differ_all_or_not_at_all_are_not_looked_up() -> None:
    assert [*lookups(task(("1", "2"), ("3", "4"), test="1"), NEVER, 0)] == []
    assert [*lookups(task(("1", "2"), ("3", "2"), test="1"), NEVER, 0)] == []


def test_a_number_that_was_not_seen_has_no_answer() -> None:
    table = {(1,): 0}
    assert text(seen_before(cells("1."), [[[7]]], ["cells"], table)) == "7"
    with pytest.raises(NotApplicable):
        seen_before(cells("11"), [[[7]]], ["cells"], table)


def test_an_empty_grid_has_numbers_as_well() -> None:
    assert len(numbers(cells(".."))) == len(NUMBERS)
