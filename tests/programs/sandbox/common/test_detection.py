"""Objects by colour, size and predicate, and the choice among those that overlap."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from submission.programs.sandbox.common.detection import detect_objects
from tests.support.cases import cases
from tests.support.library_grids import drawn, text_of

GRID = "11.2 .1.2 3... 3.11"


@cases(
    ("how", "objects"),
    [
        ({"connectivity": 4},
         ["11.. .1.. .... ....", "...2 ...2 .... ....", ".... .... 3... 3...", ".... .... .... ..11"]),
        ({"connectivity": 8}, ["11.. .1.. 3... 3...", "...2 ...2 .... ....", ".... .... .... ..11"]),
        ({"connectivity": 4, "colors": [1]}, ["11.. .1.. .... ....", ".... .... .... ..11"]),
        ({"connectivity": 8, "monochromatic": True, "predicate": lambda sprite: sprite.shape == (2, 1)},
         ["...2 ...2 .... ....", ".... .... 3... 3..."]),
        ({"allowed_dimensions": [(2, 2)], "predicate": lambda sprite: (sprite != 0).sum() == 3},
         ["11.. .1.. .... ...."]),
        ({"allowed_dimensions": [(1, 2)], "colors": [1], "predicate": lambda sprite: bool((sprite != 0).all())},
         ["11.. .... .... ....", ".... .... .... ..11"]),
        ({"colors": [1, 2, 3]}, ["11.. .1.. 3... 3...", "...2 ...2 .... ....", ".... .... .... ..11"]),
        ({"colors": [2, 3], "monochromatic": True}, ["...2 ...2 .... ....", ".... .... 3... 3..."]),
        ({"colors": [7]}, []),
    ],
)  # fmt: skip
def test_objects_are_what_the_arguments_say(how: dict[str, Any], objects: list[str]) -> None:
    assert [text_of(each) for each in detect_objects(drawn(GRID), **how)] == objects


def test_a_component_may_have_several_colours_unless_it_is_said() -> None:
    assert len(detect_objects(drawn("12 ..")[:1], connectivity=4)) == 1
    assert len(detect_objects(drawn("12"), connectivity=4, monochromatic=True)) == 2


def test_overlapping_windows_are_all_found_if_they_may_overlap() -> None:
    how: dict[str, Any] = {"allowed_dimensions": [(1, 2)], "predicate": lambda sprite: bool(sprite.all())}
    assert [text_of(each) for each in detect_objects(drawn("1111"), can_overlap=True, **how)] == [
        "11..",
        ".11.",
        "..11",
    ]
    assert [text_of(each) for each in detect_objects(drawn("1111"), **how)] == ["11..", "..11"]


def test_two_objects_that_cover_one_cell_more_are_better_than_the_largest() -> None:
    chosen = detect_objects(
        drawn("1111"), allowed_dimensions=[(1, 2), (1, 3)], predicate=lambda sprite: bool(sprite.all())
    )
    assert [text_of(each) for each in chosen] == ["11..", "..11"]


def test_a_component_as_large_as_the_grid_is_no_second_object_as_a_window() -> None:
    how: dict[str, Any] = {"connectivity": 4, "allowed_dimensions": [(1, 2)], "can_overlap": True}
    assert [text_of(each) for each in detect_objects(drawn("12"), **how)] == ["12"]


@pytest.mark.parametrize("seed", range(4))
def test_those_are_kept_that_cover_the_most(seed: int) -> None:
    """Against all choices among the windows of three sizes."""
    rng = np.random.default_rng(seed)
    grid = rng.integers(0, 2, (3, 4))
    how: dict[str, Any] = {
        "allowed_dimensions": [(1, 2), (2, 1), (2, 2)],
        "predicate": lambda sprite: bool(sprite.all()),
    }
    every = detect_objects(grid, can_overlap=True, **how)
    chosen = detect_objects(grid, **how)
    choices = (each for k in range(1, len(every) + 1) for each in itertools.combinations(every, k))
    most = max((int(sum(map(np.sum, each))) for each in choices if (sum(map(np.asarray, each)) <= 1).all()), default=0)
    assert not chosen or (sum(chosen) <= 1).all()
    assert int(sum(map(np.sum, chosen))) == most


def test_so_many_choices_that_not_all_can_be_tried_end_all_the_same() -> None:
    grid = np.ones((12, 12), dtype=int)
    grid[::3, ::2] = 0
    chosen = detect_objects(
        grid, allowed_dimensions=[(2, 3), (3, 2), (1, 2)], predicate=lambda sprite: bool(sprite.all())
    )
    assert chosen and int(np.sum(chosen, axis=0).max()) == 1
