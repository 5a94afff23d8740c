"""The operations that the search may use for a task, and the cost of each.

Costs add up to the length of a program's description: the search explores expressions in ascending order of cost, and
of two programs that fit the cheaper one is trusted more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from submission.programs.grid_language import assembly, colours, drawing, part_selection, patterns, segmentation, shapes
from submission.programs.grid_language.values import Value

Kind = Literal["grid", "parts", "canvas"]
"""The types of the language; a canvas is an empty grid of the predicted output size."""

Entry = tuple[float, Callable[..., Value], *tuple[tuple[object, ...], ...]]
"""Cost, function, and each choice of its constants."""


@dataclass(frozen=True, eq=False)
class Operation:
    """A function of the language together with its constants."""

    function: Callable[..., Value]
    """Its arguments: a value, then (if `on_canvas`) a canvas, then the constants."""
    takes: Kind
    gives: Kind
    cost: float
    """What it adds to the cost of a program; a common operation costs 1."""
    constants: tuple[object, ...] = ()
    """Strings and numbers; for `each`, a function of the language followed by that function's constants."""
    on_canvas: bool = False
    """Whether the second argument is a canvas."""


def operations(used: tuple[int, ...]) -> tuple[Operation, ...]:
    """Return all operations for a task with these colours (without the background), in a fixed order."""
    return (*_on_grids(used), *_to_parts(used), *_on_parts(used), *_from_parts())


def _on_grids(used: tuple[int, ...]) -> Iterator[Operation]:
    """Yield the operations from a grid to a grid."""
    entries = (*_shapes(), *_colours(used), *_drawing(), *_patterns(used))
    for cost, function, *choices in entries:
        for constants in choices:
            yield Operation(function, "grid", "grid", cost, constants)
    for cost, function in (
        (0.7, shapes.tile_over),
        (0.8, shapes.mirror_over),
        (0.7, shapes.stretch_over),
        (0.8, shapes.place_over),
    ):
        yield Operation(function, "grid", "grid", cost, on_canvas=True)
    for where in ("centre", "top right", "bottom left", "bottom right"):
        yield Operation(shapes.place_in, "grid", "grid", 0.9, (where,), on_canvas=True)


def _shapes() -> tuple[Entry, ...]:
    """Return the entries of `shapes`."""
    return (
        (1.0, shapes.turn, (1,), (2,), (3,)),
        (1.0, shapes.mirror_rows, ()),
        (1.0, shapes.mirror_columns, ()),
        (1.0, shapes.transpose, ()),
        (1.0, shapes.anti_transpose, ()),
        (0.8, shapes.crop, ()),
        (1.2, shapes.peel, ()),
        (1.0, shapes.half, ("upper",), ("lower",), ("left",), ("right",)),
        (1.3, shapes.third, *((across, k) for across in (False, True) for k in range(3))),
        (1.2, shapes.upscale, (2,), (3,)),
        (1.0, shapes.downscale, ()),
        (1.4, shapes.tile, (1, 2), (2, 1), (2, 2)),
        (1.0, shapes.self_tile, (False,), (True,)),
        (1.2, shapes.self_tile_at, (False,), (True,)),
        (1.0, shapes.without_repeats, ()),
        (1.0, shapes.without_blanks, ()),
        (1.2, shapes.smallest_tile, ()),
        (1.5, shapes.sort_rows, ()),
        (1.4, shapes.roll, (1, 0), (-1, 0), (0, 1), (0, -1)),
        (1.3, shapes.shift, (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)),
    )


def _colours(used: tuple[int, ...]) -> tuple[Entry, ...]:
    """Return the entries of `colours`, with these colours as constants."""
    return (
        (1.0, colours.keep_colour, *((c,) for c in used)),
        (1.0, colours.drop_colour, *((c,) for c in used)),
        (1.3, colours.paint_all, *((c,) for c in used)),
        (1.5, colours.fill_background, *((c,) for c in used)),
        (1.5, colours.where_empty, *((c,) for c in used)),
        (1.2, colours.swap_with_background, ()),
        (1.1, colours.keep_ranked, (False,), (True,)),
        (1.1, colours.drop_ranked, (False,), (True,)),
        (1.2, colours.paint_ranked, (False,), (True,)),
        (1.3, colours.flood_ranked, (False,), (True,)),
        (1.2, colours.ranked_cell, (False,), (True,)),
        (1.1, colours.crop_to, *((c, inside) for c in used for inside in (False, True))),
        (1.0, colours.crop_to_ranked, *((rarest, inside) for rarest in (False, True) for inside in (False, True))),
        (1.3, colours.histogram, ()),
        (1.2, colours.colours_by_count, ()),
        (1.4, colours.count_row, ()),
    )


def _drawing() -> tuple[Entry, ...]:
    """Return the entries of `drawing`."""
    return (
        (1.0, drawing.inside, ()),
        (1.0, drawing.fill_holes, ()),
        (1.2, drawing.boxes, (False, True), (True, True), (True, False)),
        (1.2, drawing.box_fill, ()),
        (1.2, drawing.outline, (False,), (True,)),
        (1.2, drawing.edge, (False,), (True,)),
        (1.2, drawing.core, ()),
        (1.2, drawing.frame, ()),
        (1.2, drawing.halo, (False,), (True,)),
        (1.1, drawing.extend, *((name,) for name in drawing.DIRECTIONS)),
        (1.2, drawing.extend, ("right", "left"), ("down", "up"), ("right", "left", "down", "up")),
        (1.3, drawing.extend, ("down-right", "up-left"), ("down-left", "up-right")),
        (1.3, drawing.extend, ("down-right", "up-left", "down-left", "up-right"), tuple(drawing.DIRECTIONS)),
        (1.0, drawing.connect, (True, False), (False, True), (True, True), (False, False, True)),
        (1.1, drawing.gravity, ("down",), ("up",), ("left",), ("right",)),
        (1.3, drawing.gravity_parts, ("down",), ("up",), ("left",), ("right",)),
        (1.3, drawing.nearest_colour, ()),
        (1.1, drawing.full_lines, (True, False), (False, True), (True, True)),
        (1.3, drawing.crossings, ()),
        (1.2, drawing.uniform_lines, ()),
        (1.2, drawing.without_specks, ()),
        (1.3, drawing.denoised, ()),
        (1.4, drawing.rings, ()),
    )


def _patterns(used: tuple[int, ...]) -> tuple[Entry, ...]:
    """Return the entries of `patterns`, with these colours as constants."""
    return (
        (1.3, patterns.hide, *((c,) for c in used)),
        (1.3, patterns.uncovered, *((c, how) for c in (0, *used) for how in ("symmetry", "repetition"))),
        (1.3, patterns.revealed, *((c, how) for c in (0, *used) for how in ("symmetry", "repetition"))),
        (1.0, patterns.complete_symmetry, ()),
        (1.2, patterns.complete_repetition, ()),
        (1.1, patterns.continued, (False,), (True,)),
        (1.0, patterns.symmetrised, *((axes,) for axes in patterns.AXES)),
        (1.3, patterns.symmetrised_about, *((r, a) for r in (True, False) for a in ("both", "rows", "columns"))),
    )


def _to_parts(used: tuple[int, ...]) -> Iterator[Operation]:
    """Yield the operations from a grid to a list of parts, with these colours as constants."""
    entries: tuple[Entry, ...] = (
        (0.4, segmentation.components, (False, True), (True, True), (True, False), (False, False)),
        (0.7, segmentation.holes, ()),
        (0.7, segmentation.layers, ()),
        (0.7, segmentation.cropped_layers, ()),
        (0.4, segmentation.between_lines, ()),
        (0.8, segmentation.equal_pieces, (1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (3, 3)),
        (0.7, segmentation.squares, ()),
        (0.8, segmentation.rows, ()),
        (0.8, segmentation.columns, ()),
        (0.7, segmentation.framed, ()),
        (0.9, segmentation.around, *((c, radius) for c in used for radius in (1, 2))),
        (0.7, segmentation.boxed, (True,), (False,)),
    )
    for cost, function, *choices in entries:
        for constants in choices:
            yield Operation(function, "grid", "parts", cost, constants)
    yield Operation(segmentation.windows_like, "grid", "parts", 0.7, on_canvas=True)
    yield Operation(segmentation.corners_like, "grid", "parts", 1.0, on_canvas=True)


def _on_parts(used: tuple[int, ...]) -> Iterator[Operation]:
    """Yield the operations from a list of parts to a list of parts."""
    for name in ("cells", "area", "holes", "colours", "symmetric", "fullness", "height", "width"):
        for function in (
            part_selection.keep_most,
            part_selection.drop_most,
            part_selection.keep_least,
            part_selection.drop_least,
        ):
            yield Operation(function, "parts", "parts", 1.0, (name,))
    for name in part_selection.KINDS:
        yield Operation(part_selection.keep_unique, "parts", "parts", 1.0, (name,))
        yield Operation(part_selection.keep_repeated, "parts", "parts", 1.1, (name,))
    for name in ("cells", "area", "top", "left", "height", "width", "holes"):
        yield Operation(part_selection.ordered, "parts", "parts", 0.9, (name,))
    yield Operation(part_selection.reverse, "parts", "parts", 0.7)
    yield Operation(part_selection.distinct, "parts", "parts", 0.8)
    for flag in (True, False):
        yield Operation(part_selection.keep_at_border, "parts", "parts", 0.9, (flag,))
        for colour in used:
            yield Operation(part_selection.keep_with, "parts", "parts", 1.2, (colour, flag))
    changes: tuple[Entry, ...] = (
        (1.0, shapes.mirror_rows, ()),
        (1.0, shapes.mirror_columns, ()),
        (1.0, shapes.turn, (2,)),
        (1.0, shapes.crop, ()),
        (1.1, drawing.inside, ()),
        (1.1, drawing.fill_holes, ()),
        (1.1, drawing.edge, (False,)),
        (1.1, drawing.frame, ()),
        (1.1, colours.paint_ranked, (False,), (True,)),
        (1.1, colours.flood_ranked, (False,), (True,)),
        (1.1, colours.keep_ranked, (False,), (True,)),
        (1.1, colours.swap_with_background, ()),
        (1.1, patterns.symmetrised, ("rows",), ("columns",), ("both",)),
    )
    for cost, change, *choices in changes:
        for constants in choices:
            yield Operation(part_selection.each, "parts", "parts", cost, (change, *constants))


def _from_parts() -> Iterator[Operation]:
    """Yield the operations from a list of parts to a grid."""
    for name in part_selection.PROPERTIES:
        yield Operation(part_selection.most, "parts", "grid", 0.6, (name,))
        yield Operation(part_selection.least, "parts", "grid", 0.6, (name,))
    for name in part_selection.KINDS:
        yield Operation(part_selection.unique, "parts", "grid", 0.6, (name,))
        yield Operation(part_selection.typical, "parts", "grid", 0.7, (name,))
    for cost, function in (
        (0.4, assembly.compose),
        (0.8, assembly.overlay),
        (0.8, assembly.overlay_growing),
        (0.8, assembly.all_of),
        (0.9, assembly.odd_one),
        (0.8, assembly.in_row),
        (0.8, assembly.in_column),
        (0.9, assembly.count_in_row),
        (1.0, assembly.count_on_diagonal),
        (0.9, assembly.abstract),
        (1.0, assembly.abstract_by_count),
    ):
        yield Operation(function, "parts", "grid", cost)
    yield Operation(assembly.count_over, "parts", "grid", 1.0, on_canvas=True)
