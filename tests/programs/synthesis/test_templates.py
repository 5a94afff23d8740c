"""Patterns that are drawn again wherever their anchor cells are seen alone."""

from __future__ import annotations

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER
from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.templates import stamped, templates
from tests.support.drawn import cells, text

BEFORE = "812... 88.... ...... ...12. ......"
AFTER = "812... 88.... ...... ..812. ..88.."
TURNED_BEFORE = "812... 88.... ...... ...2.. ...1.."


def test_a_template_is_drawn_at_its_anchors() -> None:
    assert text(stamped(cells(BEFORE), True, "same", True)) == AFTER
    assert text(stamped(cells(BEFORE), True, "same", False)) == "...... ...... ...... ..812. ..88.."


def test_under_all_eight_symmetries_if_that_is_wanted() -> None:
    with pytest.raises(NotApplicable):
        stamped(cells(TURNED_BEFORE), True, "same", True)
    drawn = text(stamped(cells(TURNED_BEFORE), True, "all", True))
    assert drawn.split()[:2] == ["812...", "88...."]
    assert drawn.count("8") > BEFORE.count("8")


def test_a_part_of_it_may_lie_outside_of_the_grid() -> None:
    assert text(stamped(cells("812. 88.. .... 12.."), True, "same", True)) == "812. 88.. .... 12.."


@pytest.mark.parametrize("drawing", ["11. ... ..2", "12. ... ...", "..."])
def test_without_template_or_anchors_there_is_none(drawing: str) -> None:
    with pytest.raises(NotApplicable):
        stamped(cells(drawing), True, "all", True)


def test_the_variant_is_found() -> None:
    pair = Pair(grid(cells(BEFORE)), grid(cells(AFTER)))
    other = Pair(grid(cells("...... .12... ...... ..812. ..88..")), grid(cells("...... 812... 88.... ..812. ..88..")))
    each = Task("t", (pair, other), (grid(cells("...... ...12. ...... 812... 88....")),))
    found = [*templates(each, NEVER)]
    assert text(found[0].answers[0]) == "...... ..812. ..88.. 812... 88...."
    assert found[0].stability == 1.0 and found[0].form == "template"
    assert text(run(source_of(found[0].build(INPUT)), each.tests[0])) == text(found[0].answers[0])
    wrong = Task("t", (pair, Pair(other.input, pair.output)), each.tests)
    assert [*templates(wrong, NEVER)] == []
