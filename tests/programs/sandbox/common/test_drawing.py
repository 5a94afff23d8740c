"""Fills, lines and sprites, each worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from submission.programs.sandbox.common.drawing import (
    blit,
    blit_object,
    blit_sprite,
    draw_line,
    flood_fill,
    scale_pattern,
    scale_sprite,
    show_colored_grid,
)
from tests.support.cases import cases
from tests.support.library_grids import drawn, text_of


@cases(
    ("connectivity", "filled"),
    [(4, "33. 3.. ..2"), (8, "33. 3.3 .32")],
)
def test_flood_fill_recolours_one_region(connectivity: int, filled: str) -> None:
    grid = drawn("11. 1.1 .12")
    if connectivity == 4:
        grid[1, 2] = grid[2, 1] = 0
    flood_fill(grid, 0, 0, 3, connectivity)
    assert text_of(grid) == filled


def test_flood_fill_fills_the_largest_grid_and_stops_where_nothing_changes() -> None:
    grid = np.zeros((30, 30), dtype=int)
    flood_fill(grid, 15, 15, 4)
    assert (grid == 4).all()
    flood_fill(grid, 0, 0, 4)
    with pytest.raises(ValueError, match="connectivity"):
        flood_fill(grid, 0, 0, 1, connectivity=5)


@cases(
    ("start", "how", "drawn_line", "end"),
    [
        ((0, 0), {"length": 3, "direction": (1, 1)}, "2... .2.. ..2. ....", (2, 2)),
        ((0, 0), {"end_x": 2, "end_y": 2}, "2... .2.. ..2. ....", (2, 2)),
        ((3, 2), {"end_x": 1, "end_y": 2}, ".... ..2. ..2. ..2.", (1, 2)),
        ((1, 3), {"direction": (0, -1)}, ".... 2222 .... ....", (1, 0)),
        ((0, 1), {"direction": (1, 0)}, ".2.. .2.. .2.. .2..", (3, 1)),
        ((2, 1), {"length": 1, "direction": (0, 1)}, ".... .... .2.. ....", (2, 1)),
        ((1, 1), {"length": 5, "direction": (-1, -1)}, "2... .2.. .... ....", (0, 0)),
        ((1.0, 1.0), {"length": 2, "direction": (0, 1)}, ".... .22. .... ....", (1, 2)),
        ((-1, -1), {"length": 3, "direction": (1, 1)}, "2... .2.. .... ....", (1, 1)),
    ],
)
def test_a_line_is_drawn(
    start: tuple[float, float], how: dict[str, int], drawn_line: str, end: tuple[int, int]
) -> None:
    grid = drawn(".... .... .... ....")
    assert draw_line(grid, *start, color=2, **how) == end  # type: ignore[arg-type]
    assert text_of(grid) == drawn_line


def test_a_line_stops_in_front_of_a_colour() -> None:
    grid = drawn("..5.4")
    assert draw_line(grid, 0, 0, direction=(0, 1), color=2, stop_at_color=[4]) == (0, 3)
    assert text_of(grid) == "22224"
    assert draw_line(grid, 0, 0, direction=(0, 1), color=3, stop_at_color=[2]) == (0, 0), "not one cell"


@cases("how", [{"end_x": 1}, {"end_y": 1}])
def test_half_an_end_is_refused(how: dict[str, int]) -> None:
    with pytest.raises(AssertionError, match="both"):
        draw_line(drawn("..."), 0, 0, color=1, **how)  # type: ignore[arg-type]


def test_a_line_without_a_direction_and_from_between_two_cells_is_refused() -> None:
    with pytest.raises(TypeError, match="an end or a direction"):
        draw_line(drawn("..."), 0, 0, color=1)
    with pytest.raises(AssertionError, match="whole numbers"):
        draw_line(drawn("..."), 0, 0.5, color=1, direction=(0, 1))  # type: ignore[arg-type]


@cases(
    ("x", "y", "background", "result"),
    [
        (0, 0, None, "12.7 .3.7"),
        (0, 1, 0, "712. 773."),
        (1, 2, None, "7777 7712"),
        (-1, -1, None, "3.77 7777"),
        (0, 2, 0, "7712 7773"),
        (5, 0, None, "7777 7777"),
        (0, -9, None, "7777 7777"),
        (0.0, 1.0, None, "712. 7.3."),
    ],
)
def test_a_sprite_is_copied_without_its_background_and_cut_at_the_edges(
    x: int, y: int, background: int | None, result: str
) -> None:
    grid = drawn("7777 7777")
    sprite = drawn("12. .3.")
    if background == 0:
        result = result.replace(".", "7")
    assert blit(grid, sprite, x, y, background) is grid
    assert text_of(grid) == result


def test_a_part_of_a_grid_can_be_copied_into_the_grid_itself() -> None:
    grid = drawn("1234")
    blit(grid, grid[:, :3], 0, 1)
    assert text_of(grid) == "1123"


def test_an_object_is_drawn_where_it_is_and_a_sprite_where_it_shall_be() -> None:
    assert text_of(blit_object(drawn("777"), drawn(".1."))) == "717"
    assert text_of(blit_object(drawn("777"), drawn("212"), background=2)) == "717"
    assert text_of(blit_sprite(drawn("7777 7777"), drawn("1. .2"), 0, 2)) == "7717 7772"
    assert text_of(blit_sprite(drawn("7777"), drawn("12"), x=0, y=1, background=1)) == "7727"


def test_a_sprite_is_scaled() -> None:
    assert text_of(scale_sprite(drawn("12 .3"), 2)) == "1122 1122 ..33 ..33"
    assert text_of(scale_pattern(drawn("1"), scale_factor=3)) == "111 111 111"
    assert scale_sprite(drawn("12"), factor=2).dtype == np.int64


def test_showing_a_grid_changes_nothing() -> None:
    grid = drawn("12")
    assert show_colored_grid(grid) is None
    assert text_of(grid) == "12"
