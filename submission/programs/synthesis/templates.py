"""Outputs in which a pattern of several colours is drawn again wherever some of its cells are seen alone.

Templates are connected components of two or more colours, among them their body: the most common colour of the largest
one. Colours that occur outside of templates as well are anchors: wherever all anchor cells of a view of a
template lie on such loose cells, the whole view is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from submission.arc.tasks import Task
from submission.deadline import Deadline
from submission.programs.grid_language.components import components
from submission.programs.grid_language.values import Cells, NotApplicable, Part, require, symmetric_views
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.solution import Solution

VARIANTS = tuple(product((True, False), ("same", "all"), (True, False)))
"""Whether diagonal neighbours are connected; under which symmetries templates are drawn, as they are or all eight; and
whether the templates themselves stay."""
Variant = tuple[bool, str, bool]

COST = 2.0
"""Of such a program."""


def stamped(cells: Cells, diagonal: bool, views: str, kept: bool) -> Cells:
    """Draw the templates at their anchors, see VARIANTS; NotApplicable where there is none, or no place for one."""
    mixed = [part for part in components(cells, False, diagonal).items if len(set(part.cells.flat) - {0}) > 1]
    require(bool(mixed))
    largest = max(mixed, key=lambda part: int((part.cells > 0).sum()))
    body = np.bincount(largest.cells.ravel(), minlength=10)[1:].argmax() + 1
    templates = [part for part in mixed if (part.cells == body).any()]
    loose = cells.copy()
    for part in templates:
        _at(loose, part)[part.cells > 0] = 0
    require(bool(loose.any()))
    result = cells.copy() if kept else loose.copy()
    placed = [_placed(result, loose, view) for part in templates for view in _views(part, views)]
    require(any(placed))
    return result


def _at(cells: Cells, part: Part) -> Cells:
    """The rectangle of a grid that a part was cut from, as a view of it."""
    return cells[part.top : part.top + part.cells.shape[0], part.left : part.left + part.cells.shape[1]]


def _views(template: Part, views: str) -> list[Cells]:
    return symmetric_views(template.cells)[: 8 if views == "all" else 1]


def _placed(result: Cells, loose: Cells, view: Cells) -> bool:
    """Draw one view of a template into `result` at all its places; whether there is any."""
    anchors = np.isin(view, loose[loose > 0]) & (view > 0)
    if not anchors.any() or (anchors == (view > 0)).all():
        return False
    h, w = view.shape
    first_row, first_column = (int(each[0]) for each in np.nonzero(anchors))
    padded = np.pad(loose, ((h, h), (w, w)))
    onto = np.pad(result, ((h, h), (w, w)))
    found = False
    for row, column in zip(*np.nonzero(padded == view[first_row, first_column]), strict=True):
        at = np.s_[row - first_row : row - first_row + h, column - first_column : column - first_column + w]
        if (padded[at][anchors] == view[anchors]).all():
            np.copyto(onto[at], view, where=view > 0)
            found = True
    result[:] = onto[h:-h, w:-w]
    return found


def templates(task: Task, until: Deadline, seed: int = 0) -> Iterator[Solution]:
    """Yield the variants of `stamped` that give all outputs; nothing is drawn by lot, so that no seed matters.

    Stability: a demonstration can be left out unless an earlier variant fits all others, but not this one.
    """
    count = len(task.demonstrations)
    rivals = [False] * count
    for number, variant in enumerate(VARIANTS):
        if until.passed():
            return
        right = [_gives(pair.input, pair.output, variant) for pair in task.demonstrations]
        if all(right):
            try:
                answers = tuple(stamped(cells, *variant) for cells in task.tests)
            except NotApplicable:
                continue
            stability = rivals.count(False) / count
            build = partial(_expression, variant)
            yield Solution(build, answers, COST + 0.1 * number, stability, "template")
        elif right.count(False) == 1 and count > 1:
            rivals[right.index(False)] = True


def _gives(cells: Cells, output: Cells, variant: Variant) -> bool:
    """Whether a variant gives this output."""
    try:
        return np.array_equal(stamped(cells, *variant), output)
    except NotApplicable:
        return False


def _expression(variant: Variant, root: Expression) -> Expression:
    return Call(stamped, (root, *variant))
