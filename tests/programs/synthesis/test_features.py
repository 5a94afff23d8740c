"""What is known of each cell of a grid, on examples that can be worked out by eye ('.' is 0)."""

from __future__ import annotations

import numpy as np

from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.features import FEATURES, feature
from tests.support.cases import cases
from tests.support.drawn import cells, text

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


@cases(("name", "before", "after"), FEATURES_SHOWN)
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
