"""Grids that full lines cut into panels of one colour each, as a small grid with a cell for each panel, and back."""

from __future__ import annotations

import numpy as np

from submission.programs.grid_language.segmentation import panel_spans
from submission.programs.grid_language.values import Cells, require


def panel_colours(cells: Cells) -> Cells:
    """Return the colour of each panel; NotApplicable unless every panel has one colour."""
    result = colours_at_panels(cells, cells)
    require(bool((with_panel_colours(cells, result) == cells).all()))
    return result


def with_panel_colours(cells: Cells, colours: Cells) -> Cells:
    """Give each panel a colour; the lines stay. NotApplicable unless there is a colour for each."""
    rows, columns = panel_spans(cells)
    require(colours.shape == (len(rows), len(columns)))
    result = cells.copy()
    for (top, bottom), line in zip(rows, colours, strict=True):
        for (left, right), colour in zip(columns, line, strict=True):
            result[top:bottom, left:right] = colour
    return result


def colours_at_panels(cells: Cells, layout: Cells) -> Cells:
    """Return the colours that a grid has in the upper left corner of each panel of another one of its size."""
    rows, columns = panel_spans(layout)
    return np.ascontiguousarray(cells[np.ix_([top for top, _ in rows], [left for left, _ in columns])])
