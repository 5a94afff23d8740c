"""The grid language: every operation on an example that can be worked out by eye ('.' is background)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from submission.programs.grid_language import (
    assembly,
    colours,
    drawing,
    part_selection,
    patterns,
    segmentation,
    shapes,
    sizes,
)
from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.values import Cells, NotApplicable, Parts, value_key
from submission.programs.grid_language.vocabulary import operations
from submission.programs.synthesis.features import FEATURES, feature
from submission.programs.synthesis.learned_steps import KEEP, PAINT, by_table, by_trees, layered, mosaic
from submission.programs.synthesis.scans import scan


def cells(text: str) -> Cells:
    return np.array([[0 if each == "." else int(each) for each in row] for row in text.split()], np.uint8)


def text(grid: Cells) -> str:
    return " ".join("".join("." if cell == 0 else str(cell) for cell in row) for row in grid.tolist())


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
    (shapes.tile_over, "12", "... ...", "121 121"),
    (shapes.mirror_over, "12", "....", "1221"),
    (shapes.stretch_over, "12", "....", "1122"),
    (shapes.place_over, "12", "... ...", "12. ..."),
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


@pytest.mark.parametrize(("function", "constants", "before", "after"), GRIDS)
def test_a_grid_operation(function: Callable[..., Cells], constants: tuple[Any, ...], before: str, after: str) -> None:
    assert text(function(cells(before), *constants)) == after


@pytest.mark.parametrize(("function", "before", "canvas", "after"), ON_CANVAS)
def test_an_operation_over_a_canvas(function: Callable[..., Cells], before: str, canvas: str, after: str) -> None:
    assert text(function(cells(before), cells(canvas))) == after


@pytest.mark.parametrize(("function", "constants", "before", "after"), CUTS)
def test_a_cut(
    function: Callable[..., Parts], constants: tuple[Any, ...], before: str, after: list[tuple[str, int, int]]
) -> None:
    assert pieces(function(cells(before), *constants)) == after


def test_cuts_as_large_as_a_canvas() -> None:
    assert [p[0] for p in pieces(segmentation.windows_like(cells("1234"), cells("..")))] == ["12", "34"]
    corners = pieces(segmentation.corners_like(cells("123 456 789"), cells(".. ..")))
    assert [p[0] for p in corners] == ["12 45", "23 56", "45 78", "56 89"]


@pytest.mark.parametrize(("function", "constants", "after"), LISTS)
def test_an_operation_on_a_list(function: Callable[..., Parts], constants: tuple[Any, ...], after: list[str]) -> None:
    assert [text(part.cells) for part in function(THREE, *constants).items] == after


@pytest.mark.parametrize(("function", "constants", "after"), PICKS)
def test_a_pick(function: Callable[..., Cells], constants: tuple[Any, ...], after: str) -> None:
    assert text(function(THREE, *constants)) == after


@pytest.mark.parametrize(("function", "after"), JOINTS)
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


def test_components_may_touch_in_corners_or_not() -> None:
    grid = cells("1.. .1. ..1")
    assert len(labelled(grid, True, True)[1]) == 1
    assert len(labelled(grid, True, False)[1]) == 3


def test_values_differ_in_shape_and_place_too() -> None:
    assert value_key(cells("12")) != value_key(cells("1 2"))
    left, right = (segmentation.components(cells(t), True, False) for t in ("1..", "..1"))
    assert value_key(left) != value_key(right)


@pytest.mark.parametrize(
    ("function", "constants", "shape"),
    [
        (sizes.canvas_like, (), (2, 3)),
        (sizes.canvas_of, (4, 5), (4, 5)),
        (sizes.canvas_scaled, ((3, 1), (2, 3)), (6, 2)),
        (sizes.canvas_times_sides, (), (4, 9)),
        (sizes.canvas_times_colours, (), (4, 6)),
    ],
)
def test_a_canvas(function: Callable[..., Cells], constants: tuple[Any, ...], shape: tuple[int, int]) -> None:
    assert function(cells("1.. ..2"), *constants).shape == shape


FEATURES_SHOWN = [
    ("colour", "12 .1", "12 .1"),
    ("neighbour right", "12", "2 10"),
    ("seen right", "1..2", "222."),
    ("between left and right", "1.1", ".1."),
    ("coloured sides", "1.1", ".2."),
    ("enclosed", "222 2.2 222", "... .1. ..."),
    ("mirrored left-right", "12.", ".21"),
    ("chequer", "... ...", ".1. 1.1"),
    ("depth", "... ... ...", "... .1. ..."),
    ("row's first", "1.. 2..", "111 222"),
    ("object's size", "11. ..3", "33. ..3"),
    ("patch's size", "11. ..3", "22. ..1"),
    ("patch's largest", "11. ..3", "22. ..1"),
    ("gap's size", "222 2.2 222", "... .1. ..."),
    ("panel's index", "1.5.", "11.2"),
    ("colour's rank", "112", "112"),
    ("2 at sides", "1.2", ".1."),
    ("2 in row", "1.2 ...", "111 ..."),
    ("2 in object", "12. ..1", "22. ..2"),
]


@pytest.mark.parametrize(("name", "before", "after"), FEATURES_SHOWN)
def test_a_feature(name: str, before: str, after: str) -> None:
    seen = feature(cells(before), name)
    if name == "neighbour right":
        assert seen.tolist() == [[2, 10]]
    else:
        assert text(seen) == after


def test_every_feature_is_a_small_number_for_every_cell() -> None:
    rng = np.random.default_rng(1)
    for shape in ((30, 30), (1, 1), (5, 9)):
        grid = (rng.integers(10, size=shape) * (rng.random(shape) < 0.4)).astype(np.uint8)
        for name in FEATURES:
            try:
                seen = feature(grid, name)
            except NotApplicable:
                continue
            assert seen.shape == shape, name
            assert seen.dtype == np.uint8, name
            assert seen.max() < 64, name


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


def test_a_scan_draws_from_line_to_line() -> None:
    table = {(0, 10): 0, (1, 10): 1, (0, 0): 0, (0, 1): 1}
    assert text(scan(cells("1. .. .."), 0, ["input 0 0", "before 0"], table)) == "1. 1. 1."
