"""What objects are, where they are, and how they meet: each worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from submission.programs.sandbox.common.objects import (
    bounding_box,
    bounding_box_mask,
    check_between_objects,
    collision,
    contact,
    crop,
    find_connected_components,
    is_contiguous,
    object_colors,
    object_position,
    translate,
)
from tests.support.cases import cases
from tests.support.library_grids import drawn, text_of

GRID = "11.2 .12. 3..2"


@cases(
    ("how", "objects"),
    [
        ({}, ["11.. .1.. ....", "...2 .... ....", ".... ..2. ....", ".... .... ...2", ".... .... 3..."]),
        ({"connectivity": 8}, ["11.. .1.. ....", "...2 ..2. ...2", ".... .... 3..."]),
        (
            {"monochromatic": False},
            ["11.. .12. ....", "...2 .... ....", ".... .... 3...", ".... .... ...2"],
        ),
        ({"monochromatic": False, "connectivity": 8}, ["11.2 .12. 3..2"]),
        (
            {"background": 2},
            [
                "22.2 2222 2222",
                "2222 .222 2222",
                "2222 222. 2222",
                "2222 2222 2..2",
                "1122 2122 2222",
                "2222 2222 3222",
            ],
        ),
    ],
)
def test_components_are_objects_of_the_grids_size(how: dict[str, int], objects: list[str]) -> None:
    found = find_connected_components(drawn(GRID), **how)  # type: ignore[arg-type]
    assert [text_of(each) for each in found] == objects


def test_a_mask_has_components_too() -> None:
    one, two = find_connected_components(drawn("1.1") != 0)
    assert (text_of(one), text_of(two)) == ("1..", "..1")


def test_contiguous_is_one_component() -> None:
    assert is_contiguous(drawn("12. .3."))
    assert not is_contiguous(drawn("1. .1"))
    assert is_contiguous(drawn("1. .1"), connectivity=8)
    assert not is_contiguous(drawn("...")), "no component is not one"
    assert is_contiguous(drawn("7.7"), background=7)


def test_the_box_and_what_is_in_it() -> None:
    grid = drawn("..... ..1.. .2... .....")
    assert bounding_box(grid) == (1, 1, 2, 2)
    assert text_of(bounding_box_mask(grid)) == "..... .11.. .11.. ....."
    assert text_of(crop(grid)) == ".1 2."
    assert bounding_box(drawn("777 797 777"), background=7) == (1, 1, 1, 1)
    assert bounding_box(drawn("... ...")) == (2, 3, -2, -3)
    assert crop(drawn("... ...")).size == 0
    crop(grid)[0, 0] = 5
    assert grid[1, 1] == 5, "a crop is a part of the grid, not a copy"


BOX = drawn("..... 1.... .11.. ...1. .....")


@cases(
    ("anchor", "position"),
    [
        ("upper left", (1, 0)), ("upper right", (3, 0)), ("lower left", (1, 3)), ("lower right", (3, 3)),
        ("center", (2, 1.5)), ("upper center", (2, 0)), ("lower center", (2, 3)),
        ("left center", (1, 1.5)), ("right center", (3, 1.5)), ("Top Left", (1, 0)), ("bottomright", (3, 3)),
    ],
)  # fmt: skip
def test_an_object_is_where_its_anchor_is(anchor: str, position: tuple[float, float]) -> None:
    """x counts along the first axis: "left" is its least value, "upper" is the least y."""
    found = object_position(BOX, anchor=anchor)
    assert found == position
    assert [type(each) for each in found] == [type(each) for each in position]


def test_an_unknown_anchor_is_refused() -> None:
    with pytest.raises(AssertionError, match="no anchor 'middle'"):
        object_position(BOX, anchor="middle")
    assert object_position(BOX) == (1, 0)
    assert object_position(drawn("33 34"), background=3) == (1, 1)


def test_the_colours_of_an_object() -> None:
    assert sorted(object_colors(drawn("1.3 31."))) == [1, 3]
    assert sorted(object_colors(drawn("1.3"), background=3)) == [0, 1]


@cases(
    ("x", "y", "moved"),
    [(1, 0, "... 12. 3.."), (0, 1, ".12 .3. ..."), (-1, 0, "3.. ... ..."), (0, -1, "2.. ... ..."),
     (3, 0, "... ... ..."), (4, 0, "... ... ..."), (0, -7, "... ... ..."), (0, 0, "12. 3.. ..."),
     (2, 2, "... ... ..1")],
)  # fmt: skip
def test_an_object_is_moved_and_cut(x: int, y: int, moved: str) -> None:
    obj = drawn("12. 3.. ...")
    assert text_of(translate(obj, x, y)) == moved
    assert text_of(obj) == "12. 3.. ..."
    assert text_of(translate(drawn("7877"), x=0, y=2, background=7)) == "7778"


@cases(
    ("x2", "y2", "meets", "touches", "touches_at_corners"),
    [(0, 0, True, True, True), (0, 1, False, True, True), (1, 1, False, False, True), (0, 2, False, False, False),
     (-1, 0, False, True, True), (9, 9, False, False, False)],
)  # fmt: skip
def test_two_cells_meet_touch_or_do_not(x2: int, y2: int, meets: bool, touches: bool, touches_at_corners: bool) -> None:
    one = drawn("1")
    assert collision(object1=one, object2=one, x2=x2, y2=y2) == meets
    assert collision(object1=one, object2=one, x1=-x2, y1=-y2) == meets
    assert contact(object1=one, object2=one, x2=x2, y2=y2) == touches
    assert contact(object1=one, object2=one, x2=x2, y2=y2, connectivity=8) == touches_at_corners


def test_a_sprite_meets_what_is_in_the_grid_and_no_background() -> None:
    grid = drawn("..5 .5. 5..")
    corner = drawn("1. ..")
    assert not collision(object1=grid, object2=corner, x2=0, y2=0)
    assert collision(object1=grid, object2=corner, x2=1, y2=1)
    assert not collision(object1=drawn("3443"), object2=drawn("43"), y2=0, background=4)
    assert collision(object1=drawn("3443"), object2=drawn("43"), y2=2, background=4)
    assert contact(object1=grid, object2=corner, connectivity=4, x2=0, y2=1)
    assert not contact(object1=grid, object2=corner, connectivity=4, x2=0, y2=0)


@cases(("x2", "y2"), [(x, y) for x in (-3, -1, 0, 2) for y in (-2, 0, 1)])
def test_meeting_is_having_a_common_cell(x2: int, y2: int) -> None:
    rng = np.random.default_rng(10 * (x2 + 3) + y2 + 2)
    one, other = rng.integers(0, 2, (4, 3)), rng.integers(0, 2, (3, 4))
    cells = {(x + x2, y + y2) for x, y in np.argwhere(other).tolist()} & {
        tuple(each) for each in np.argwhere(one).tolist()
    }
    assert collision(object1=one, object2=other, x2=x2, y2=y2) == bool(cells)


@cases(
    ("place", "padding", "between"),
    [((1, 1), 0, True), ((1, 0), 0, True), ((1, 3), 0, False), ((1, 1), 1, True), ((1, 0), 1, False),
     ((0, 1), 0, False), ((2, 1), 0, False)],
)  # fmt: skip
def test_a_cell_lies_between_two_objects(place: tuple[int, int], padding: int, between: bool) -> None:
    """The first object is the line x = 0, the second the line x = 2, both from y = 0 to 2."""
    one, other = drawn("111. .... ...."), drawn(".... .... 222.")
    assert check_between_objects(one, other, *place, padding=padding) == between
    assert check_between_objects(other, one, *place, padding=padding) == between
    assert check_between_objects(one.T, other.T, *place[::-1], padding=padding) == between
