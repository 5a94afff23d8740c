"""The traits of objects, and grids that are redrawn by them."""

from __future__ import annotations

import pytest

from submission.programs.grid_language.object_moves import slide, stay
from submission.programs.grid_language.scenes import Scene
from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.objects import (
    NAMES,
    all_traits,
    by_objects,
    scene_traits,
    trait_names,
)
from submission.programs.synthesis.regions import line_features
from tests.support.cases import cases
from tests.support.drawn import cells, text


@cases(
    ("name", "expected"),
    [
        ("colour", [1, 2, 1]), ("at border", [1, 0, 1]), ("same colour", [2, 1, 2]), ("shares rows", [1, 1, 0]),
        ("shares columns", [0, 0, 0]), ("touching", [1, 1, 0]), ("colour touched", [2, 1, 0]),
        ("upper half", [1, 1, 0]), ("left half", [1, 1, 0]), ("shape in another colour", [0, 1, 1]),
        ("ends", [2, 1, 1]), ("forks", [0, 0, 0]), ("bends", [1, 0, 0]), ("number of cells", [3, 1, 1]),
    ],
)  # fmt: skip
def test_a_trait(name: str, expected: list[int]) -> None:
    scene = Scene(cells("1...... 112.... ....... ......1"), "shapes")
    assert scene_traits(scene)[NAMES.index(name)].tolist() == expected


def test_whether_an_object_can_make_a_move_is_a_trait() -> None:
    scene = Scene(cells("1..2"), "shapes")
    moves = [(stay, ()), (slide, ("right", "border"))]
    known = all_traits(scene, moves)
    assert known.shape == (len(trait_names(2)), 2)
    assert known[trait_names(2).index("can 0")].tolist() == [1, 1]
    assert known[trait_names(2).index("can 1")].tolist() == [1, 0]


@cases(
    ("drawing", "ends", "forks", "bends"),
    [("111", 2, 0, 0), ("11 1.", 2, 0, 1), ("111 .1.", 3, 1, 0), ("1.1 111", 2, 0, 2), ("1", 1, 0, 0)],
)
def test_a_line_has_ends_forks_and_bends(drawing: str, ends: int, forks: int, bends: int) -> None:
    assert line_features(cells(drawing)) == (ends, forks, bends)


def test_without_a_table_all_objects_make_the_first_move() -> None:
    assert text(by_objects(cells("1.2."), "shapes", [("shift", "right", 1)])) == ".1.2"


def test_an_object_that_the_table_does_not_know_is_refused() -> None:
    what = [("stay",), ("recolour", 2)]
    assert text(by_objects(cells("1.3"), "shapes", what, ["colour"], {(1,): 1, (3,): 0})) == "2.3"
    with pytest.raises(NotApplicable):
        by_objects(cells("1.4"), "shapes", what, ["colour"], {(1,): 1, (3,): 0})
