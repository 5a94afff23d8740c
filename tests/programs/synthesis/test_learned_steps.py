"""Steps with a learned table or trees in them, on examples that can be worked out by eye."""

from __future__ import annotations

import pytest

from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.learned_steps import KEEP, PAINT, by_table, by_trees, layered, mosaic
from tests.support.drawn import cells, text


def test_a_table_keeps_paints_and_colours() -> None:
    base, seen, paint = cells("111"), cells("123"), cells("789")
    assert text(by_table(base, [seen], {(1,): KEEP, (2,): PAINT, (3,): 5}, paint)) == "185"


def test_a_table_that_does_not_know_a_cell_is_not_applicable() -> None:
    with pytest.raises(NotApplicable):
        by_table(cells("12"), [cells("12")], {(1,): 3})


def test_trees_vote() -> None:
    tree = (0, True, 2, 7, KEEP)
    assert text(by_trees(cells("12"), [cells("12")], [tree, tree, 3])) == "17"


def test_layers_and_tiles() -> None:
    assert text(layered(cells("1.."), cells(".2."), cells("333"))) == "123"
    assert text(mosaic([cells("1"), cells("2")], [cells("3"), cells("4")])) == "12 34"
