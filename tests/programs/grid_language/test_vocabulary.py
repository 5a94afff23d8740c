"""Every operation of the grid language on an example that can be worked out by eye ('.' is background)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from submission.programs.grid_language import (
    assembly,
    colours,
    drawing,
    part_selection,
    patterns,
    segmentation,
    shapes,
)
from submission.programs.grid_language.values import Cells, NotApplicable, Parts
from submission.programs.grid_language.vocabulary import operations
from tests.support.cases import cases
from tests.support.drawn import cells, text


def pieces(found: Parts) -> list[tuple[str, int, int]]:
    return [(text(part.cells), part.top, part.left) for part in found.items]


GRIDS = [
    (shapes.turn, (1,), "12 34", "24 13"),
    (shapes.mirror_rows, (), "12 34", "34 12"),
    (shapes.mirror_columns, (), "12 34", "21 43"),
    (shapes.transpose, (), "12 34", "13 24"),
    (shapes.anti_transpose, (), "12 34", "42 31"),
    (shapes.crop, (), "... .12 ...", "12"),
    (shapes.peel, (), "111 121 111", "2"),
    (shapes.half, ("left",), "12.34", "12"),
    (shapes.third, (True, 1), "1.2.3", "2"),
    (shapes.upscale, (2,), "12", "1122 1122"),
    (shapes.downscale, (), "1122 1122", "12"),
    (shapes.tile, (1, 2), "12", "1212"),
    (shapes.self_tile, (False,), "1. .1", "1... .1.. ..1. ...1"),
    (shapes.self_tile_at, (True,), "12 11", "12.. 11.. 1212 1111"),
    (shapes.without_repeats, (), "112 112 333", "12 33"),
    (shapes.without_blanks, (), "1.2 ... 3.4", "12 34"),
    (shapes.smallest_tile, (), "1212 1212", "12"),
    (shapes.sort_rows, (), "11 .1 ..", ".. .1 11"),
    (shapes.roll, (0, 1), "123", "312"),
    (shapes.shift, (0, 1), "123", ".12"),
    (colours.crop_to, (1, False), "1.. .2. ..1 3..", "1.. .2. ..1"),
    (colours.crop_to, (1, True), "1.. .2. ..1 3..", "2"),
    (colours.crop_to_ranked, (True, False), "22.. 2131 2222", "3"),
    (patterns.continued, (False,), "1. .2 1. .. ..", "1. .2 1. .2 1."),
    (patterns.continued, (True,), "12.12.... 3..3.....", "12.12.12. 3..3..3.."),
    (colours.keep_colour, (1,), "12 21", "1. .1"),
    (colours.drop_colour, (1,), "12 21", ".2 2."),
    (colours.paint_all, (3,), "12 .1", "33 .3"),
    (colours.fill_background, (3,), "1. .1", "13 31"),
    (colours.where_empty, (3,), "1. .1", ".3 3."),
    (colours.swap_with_background, (), "11 1.", ".. .1"),
    (colours.keep_ranked, (True,), "112", "..2"),
    (colours.drop_ranked, (True,), "112", "11."),
    (colours.paint_ranked, (False,), "112 ...", "111 ..."),
    (colours.flood_ranked, (False,), "112 ...", "111 111"),
    (colours.ranked_cell, (True,), "112", "2"),
    (colours.histogram, (), "112 .3.", "1.. 123"),
    (colours.colours_by_count, (), "122 .3.", "2 1 3"),
    (colours.count_row, (), "1.1 .1.", "111"),
    (drawing.inside, (), "222 2.2 222", "... .1. ..."),
    (drawing.fill_holes, (), "222 2.2 222", "222 222 222"),
    (drawing.boxes, (False, True), "1.. .1. ...", "11. 11. ..."),
    (drawing.box_fill, (), "1.. .1. ...", ".1. 1.. ..."),
    (drawing.outline, (False,), "... .2. ...", ".1. 1.1 .1."),
    (drawing.edge, (False,), "222 222 222", "222 2.2 222"),
    (drawing.core, (), "222 232 222", "... .3. ..."),
    (drawing.frame, (), "222 232 222", "222 2.2 222"),
    (drawing.halo, (False,), "... .2. ...", ".2. 222 .2."),
    (drawing.extend, ("right",), "1..2.", "11122"),
    (drawing.extend, ("down-right",), "1.. ... ...", "1.. .1. ..1"),
    (drawing.connect, (True, False), "1..1", "1111"),
    (drawing.connect, (False, False, True), "1.. ... ..1", "1.. .1. ..1"),
    (drawing.gravity, ("down",), "1. .2 ..", ".. .. 12"),
    (drawing.gravity_parts, ("down",), "11. 1.. ... ...", "... ... 11. 1.."),
    (drawing.nearest_colour, (), "1..2", "1122"),
    (drawing.full_lines, (True, True), ".1. ... 2..", "211 21. 212"),
    (drawing.crossings, (), ".1. ... 2..", "11. ... 11."),
    (drawing.uniform_lines, (), "12 11", "1. 11"),
    (drawing.without_specks, (), "11. ..1", "11. ..."),
    (drawing.denoised, (), "111 121 111", "111 111 111"),
    (drawing.rings, (), "111 121 111", "222 212 222"),
    (patterns.hide, (3,), "13 31", "1. .1"),
    (patterns.uncovered, (9, "symmetry"), "12.21 34.43 34.99 12.21", "12.21 34.43 34.43 12.21"),
    (patterns.revealed, (9, "symmetry"), "12.21 34.43 34.99 12.21", "43"),
    (patterns.complete_symmetry, (), "1221 3443 344. 1221", "1221 3443 3443 1221"),
    (patterns.complete_repetition, (), "1212 212. 1212", "1212 2121 1212"),
    (patterns.symmetrised, ("columns",), "1.. .2.", "1.1 .2."),
    (patterns.symmetrised_about, (True, "both"), "1.... .1... ..2.. ..... .....", "1...1 .1.1. ..2.. .1.1. 1...1"),
]

ON_CANVAS = [
    (shapes.tile_over, (), "12", "... ...", "121 121"),
    (shapes.mirror_over, (), "12", "....", "1221"),
    (shapes.stretch_over, (), "12", "....", "1122"),
    (shapes.place_over, (), "12", "... ...", "12. ..."),
    (shapes.place_in, ("centre",), "1", "... ... ...", "... .1. ..."),
    (shapes.place_in, ("top right",), "12", "... ...", ".12 ..."),
    (shapes.place_in, ("bottom left",), "12", "... ...", "... 12."),
    (shapes.place_in, ("bottom right",), "12", "... ...", "... .12"),
]

CUTS = [
    (segmentation.components, (True, False), "11.2 ...2", [("11", 0, 0), ("2 2", 0, 3)]),
    (segmentation.components, (False, True), "11.2 ..1.", [("11.2 ..1.", 0, 0)]),
    (segmentation.holes, (), "222 2.2 222", [("1", 1, 1)]),
    (segmentation.layers, (), "112", [("11.", 0, 0), ("..2", 0, 0)]),
    (segmentation.cropped_layers, (), "1.21", [("1.21", 0, 0), ("2", 0, 2)]),
    (
        segmentation.between_lines,
        (),
        "1.52. 3.5.4 55555 ..5..",
        [("1. 3.", 0, 0), ("2. .4", 0, 3), ("..", 3, 0), ("..", 3, 3)],
    ),
    (segmentation.equal_pieces, (1, 2), "1234", [("12", 0, 0), ("34", 0, 2)]),
    (segmentation.squares, (), "1234 5678", [("12 56", 0, 0), ("34 78", 0, 2)]),
    (segmentation.rows, (), "12 .. 34", [("12", 0, 0), ("34", 2, 0)]),
    (segmentation.columns, (), "1.2 3.4", [("1 3", 0, 0), ("2 4", 0, 2)]),
    (segmentation.around, (5, 1), "5.. .12 .34", [("... .5. ..1", 0, 0)]),
    (segmentation.framed, (), "1111 1231 1111", [("23", 1, 1)]),
    (segmentation.boxed, (True,), "11. 1.1 ...", [("11. 1.1", 0, 0)]),
]

THREE = segmentation.components(cells("11.2.3. 11....."), True, False)
LISTS = [
    (part_selection.keep_most, ("cells",), ["11 11"]),
    (part_selection.drop_most, ("cells",), ["2", "3"]),
    (part_selection.keep_least, ("cells",), ["2", "3"]),
    (part_selection.drop_least, ("cells",), ["11 11"]),
    (part_selection.keep_unique, ("size",), ["11 11"]),
    (part_selection.keep_repeated, ("size",), ["2", "3"]),
    (part_selection.ordered, ("cells",), ["2", "3", "11 11"]),
    (part_selection.reverse, (), ["3", "2", "11 11"]),
    (part_selection.distinct, (), ["11 11", "2", "3"]),
    (part_selection.keep_at_border, (True,), ["11 11", "2", "3"]),
    (part_selection.keep_with, (3, True), ["3"]),
    (part_selection.each, (colours.paint_all, 5), ["55 55", "5", "5"]),
]
PICKS = [
    (part_selection.most, ("cells",), "11 11"),
    (part_selection.least, ("cells",), "2"),
    (part_selection.unique, ("shape",), "11 11"),
    (part_selection.typical, ("size",), "2"),
]
JOINTS = [
    (assembly.overlay, "13"),
    (assembly.overlay_growing, "13"),
    (assembly.all_of, "1."),
    (assembly.odd_one, ".3"),
    (assembly.in_row, "1.2.23"),
    (assembly.in_column, "1. 2. 23"),
    (assembly.count_in_row, "122"),
    (assembly.count_on_diagonal, "1.. .2. ..2"),
    (assembly.abstract, "122"),
    (assembly.abstract_by_count, "..2"),
]


@cases(("function", "constants", "before", "after"), GRIDS)
def test_a_grid_operation(function: Callable[..., Cells], constants: tuple[Any, ...], before: str, after: str) -> None:
    assert text(function(cells(before), *constants)) == after


@cases(("function", "constants", "before", "canvas", "after"), ON_CANVAS)
def test_an_operation_over_a_canvas(
    function: Callable[..., Cells], constants: tuple[Any, ...], before: str, canvas: str, after: str
) -> None:
    assert text(function(cells(before), cells(canvas), *constants)) == after


@cases(("function", "constants", "before", "after"), CUTS)
def test_a_cut(
    function: Callable[..., Parts], constants: tuple[Any, ...], before: str, after: list[tuple[str, int, int]]
) -> None:
    assert pieces(function(cells(before), *constants)) == after


def test_cuts_as_large_as_a_canvas() -> None:
    assert [p[0] for p in pieces(segmentation.windows_like(cells("1234"), cells("..")))] == ["12", "34"]
    corners = pieces(segmentation.corners_like(cells("123 456 789"), cells(".. ..")))
    assert [p[0] for p in corners] == ["12 45", "23 56", "45 78", "56 89"]


@cases(("function", "constants", "after"), LISTS)
def test_an_operation_on_a_list(function: Callable[..., Parts], constants: tuple[Any, ...], after: list[str]) -> None:
    assert [text(part.cells) for part in function(THREE, *constants).items] == after


@cases(("function", "constants", "after"), PICKS)
def test_a_pick(function: Callable[..., Cells], constants: tuple[Any, ...], after: str) -> None:
    assert text(function(THREE, *constants)) == after


@cases(("function", "after"), JOINTS)
def test_a_joint(function: Callable[[Parts], Cells], after: str) -> None:
    assert text(function(segmentation.equal_pieces(cells("1.2.23"), 1, 3))) == after


def test_parts_are_composed_where_they_were() -> None:
    assert text(assembly.compose(THREE)) == "11.2.3. 11....."


def test_parts_are_counted_on_a_canvas() -> None:
    assert text(assembly.count_over(THREE, cells("... ..."))) == "111 ..."


def test_every_operation_of_the_vocabulary_has_an_example() -> None:
    shown = {each[0] for each in (*GRIDS, *ON_CANVAS, *CUTS, *LISTS, *PICKS, *JOINTS)}
    shown |= {segmentation.windows_like, segmentation.corners_like, assembly.compose, assembly.count_over}
    assert {operation.function for operation in operations((1, 2))} == shown


def test_no_operation_makes_more_than_30x30_or_writes_to_its_input() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 30), (1, 1), (7, 30)):
        grid = (rng.integers(10, size=shape) * (rng.random(shape) < 0.2)).astype(np.uint8)
        grid.setflags(write=False)
        canvas = np.zeros((10, 10), np.uint8)
        for operation in operations((1, 2)):
            if operation.takes == "grid":
                try:
                    made = operation.function(grid, *([canvas] if operation.on_canvas else []), *operation.constants)
                except NotApplicable:
                    continue
                if not isinstance(made, Parts):
                    assert made.dtype == np.uint8
                    assert 1 <= min(made.shape) <= max(made.shape) <= 30, operation
                    assert made.max() <= 9
