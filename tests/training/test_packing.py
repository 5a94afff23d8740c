"""Pairs packed two cells a byte come back as they were, one by one and in slices."""

from __future__ import annotations

import numpy as np
import pytest

from submission.arc.tasks import Pair, grid
from submission.training.packing import PackedPairs, packed, starts_of


def pairs(number: int) -> list[Pair]:
    rng = np.random.default_rng(0)
    sides = rng.integers(1, 31, size=(number, 2, 2))
    return [Pair(*(grid(rng.integers(10, size=shape)) for shape in both)) for both in sides]


def cells(pair: Pair) -> tuple[list[list[int]], list[list[int]]]:
    return pair.input.tolist(), pair.output.tolist()


@pytest.mark.parametrize("number", [0, 1, 50])
def test_packed_pairs_are_the_pairs(number: int) -> None:
    """With odd and even numbers of cells, so that pairs begin in either half of a byte."""
    given = pairs(number)
    shapes, data = packed(given)
    starts = starts_of(shapes, data)
    assert number < 2 or {0, 1} == {int(start) % 2 for start in starts}
    back = PackedPairs(shapes, starts, data)
    assert len(back) == number
    assert [cells(pair) for pair in back] == [cells(pair) for pair in given]
    assert [cells(pair) for pair in back[3:9]] == [cells(pair) for pair in given[3:9]]
    if number:
        assert cells(back[-1]) == cells(given[-1])
        assert not back[0].input.flags.writeable
    assert data.nbytes == (sum(pair.input.size + pair.output.size for pair in given) + 1) // 2


def test_cells_that_are_missing_are_noticed() -> None:
    shapes, data = packed(pairs(3))
    with pytest.raises(ValueError, match="cells are there for pairs of"):
        starts_of(shapes, data[:-1])
