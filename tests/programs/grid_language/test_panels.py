"""Panels of one colour each, as a small grid and back."""

from __future__ import annotations

import pytest

from submission.programs.grid_language.panels import colours_at_panels, panel_colours, with_panel_colours
from submission.programs.grid_language.values import NotApplicable
from tests.support.drawn import cells, text

PANELS = "115.. 115.. 55555 ..533"


def test_panels_are_cells_of_a_small_grid() -> None:
    assert text(panel_colours(cells(PANELS))) == "1. .3"


def test_a_small_grid_gives_the_panels_their_colours() -> None:
    assert text(with_panel_colours(cells(PANELS), cells("12 3."))) == "11522 11522 55555 335.."


def test_colours_are_read_at_the_panels_of_another_grid() -> None:
    assert text(colours_at_panels(cells("22577 22577 55555 99588"), cells(PANELS))) == "27 98"


@pytest.mark.parametrize("drawing", ["125.. 115.. 55555 ..533", "123 456"])
def test_panels_of_several_colours_or_none_are_not_for_it(drawing: str) -> None:
    with pytest.raises(NotApplicable):
        panel_colours(cells(drawing))


def test_a_colour_is_needed_for_each_panel() -> None:
    with pytest.raises(NotApplicable):
        with_panel_colours(cells(PANELS), cells("1"))
