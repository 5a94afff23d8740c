"""The functions with chance: what holds for whatever they draw, and that a seed decides it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from submission.programs.sandbox.common.chance import (
    generate_position_has_interval,
    random_free_location_for_object,
    random_free_location_for_sprite,
    random_sprite,
    randomly_scatter_points,
    randomly_spaced_indices,
)
from submission.programs.sandbox.common.objects import collision, contact, is_contiguous
from tests.support.cases import cases
from tests.support.library_grids import drawn, text_of

MANY = 60


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    before = random.getstate()
    random.setstate(random.Random(1).getstate())
    yield
    random.setstate(before)


def test_that_share_of_the_cells_is_coloured() -> None:
    grid = np.zeros((4, 5), dtype=int)
    assert randomly_scatter_points(grid, color=3, density=0.25) is grid
    assert (grid == 3).sum() == 5
    randomly_scatter_points(grid, 2, density=0.5, background=3)
    assert ((grid == 2).sum(), (grid == 3).sum()) == (5, 0), "only background, and no more than there is"


def test_indices_keep_their_distance_from_each_other_and_from_the_ends() -> None:
    seen = set()
    for _ in range(MANY):
        indices = randomly_spaced_indices(12, 3, border_size=1, padding=2)
        seen.add(tuple(indices.tolist()))
        assert len(indices) == 3 and indices.min() >= 1 and indices.max() <= 10
        assert np.diff(indices).min() >= 3
    assert len(seen) > 5
    assert randomly_spaced_indices(5, 3, border_size=0, padding=1).tolist() == [0, 2, 4]
    assert randomly_spaced_indices(5, 0).tolist() == []
    with pytest.raises(ValueError, match="3 indices do not fit into 4 places"):
        randomly_spaced_indices(4, 3, border_size=0, padding=1)


def test_positions_of_lines_are_not_next_to_each_other() -> None:
    for _ in range(MANY):
        assert np.diff(generate_position_has_interval(max_len=9, position_num=3)).min() >= 2
        padded = generate_position_has_interval(9, 3, if_padding=True)
        assert padded.min() >= 1 and padded.max() <= 7


def test_a_sprite_gets_a_place_where_nothing_is() -> None:
    grid, sprite = drawn("5.... ..... ....5 ..5.. ....."), drawn("11 .1")
    for _ in range(MANY):
        x, y = random_free_location_for_sprite(grid, sprite)
        assert not collision(object1=grid, object2=sprite, x2=x, y2=y)
        assert 0 <= x <= 3 and 0 <= y <= 3
        x, y = random_free_location_for_object(grid, sprite, border_size=1)
        assert 1 <= x <= 2 and 1 <= y <= 2
        x, y = random_free_location_for_sprite(grid, drawn("1"), padding=1)
        assert not contact(object1=grid, object2=drawn("1"), x2=x, y2=y, connectivity=8)
        x, y = random_free_location_for_sprite(grid, drawn("1"), padding=1, padding_connectivity=4)
        assert not contact(object1=grid, object2=drawn("1"), x2=x, y2=y)
    assert random_free_location_for_sprite(drawn("7787"), drawn("787"), background=7) in [(0, 0)]
    with pytest.raises(ValueError, match="fits nowhere"):
        random_free_location_for_sprite(grid, drawn("111111"))
    with pytest.raises(ValueError, match="fits nowhere"):
        random_free_location_for_sprite(drawn("1.1"), drawn("22"))


TURNED: dict[str, list[Any]] = {
    "horizontal": [lambda sprite: sprite[::-1]],
    "vertical": [lambda sprite: sprite[:, ::-1]],
    "mirror": [lambda sprite: sprite[::-1], lambda sprite: sprite[:, ::-1]],
    "diagonal": [lambda sprite: sprite.T],
    "radial": [np.rot90],
    "not_symmetric": [],
}


@cases("symmetry", list(TURNED))
def test_a_sprite_is_connected_touches_all_edges_and_is_symmetric(symmetry: str) -> None:
    for connectivity in (4, 8):
        for side in (1, 2, 5, 6):
            sprite = random_sprite([side], side, density=0.4, symmetry=symmetry, connectivity=connectivity)
            assert sprite.shape == (side, side)
            assert is_contiguous(sprite, connectivity=connectivity)
            assert all(edge.any() for edge in (sprite[0], sprite[-1], sprite[:, 0], sprite[:, -1]))
            assert all(np.array_equal(sprite, turn(sprite)) for turn in TURNED[symmetry])
            assert (sprite != 0).sum() >= 0.4 * side * side


def test_a_sprite_has_one_of_the_sizes_and_the_colours_of_the_palette() -> None:
    shapes, colours, symmetric = set(), set(), set()
    for _ in range(MANY):
        sprite = random_sprite([2, 3], range(4, 6), color_palette=[3, 7], background=9)
        shapes.add(sprite.shape)
        colours |= set(sprite.flat)
        symmetric.add(np.array_equal(sprite, sprite[::-1]))
        assert random_sprite(3, 4, density=1).min() >= 1
        assert random_sprite([2, 3], [2, 3], symmetry="radial").shape in [(2, 2), (3, 3)]
    assert shapes == {(2, 4), (2, 5), (3, 4), (3, 5)}
    assert colours == {3, 7, 9}
    assert symmetric == {True, False}
    with pytest.raises(ValueError, match="no symmetry 'round'"):
        random_sprite(3, 3, symmetry="round")
    with pytest.raises(IndexError):
        random_sprite(3, 4, symmetry="radial")


def test_a_seed_decides_what_is_drawn() -> None:
    state = random.getstate()
    first = random_sprite([3, 4, 5], [3, 4, 5])
    random.setstate(state)
    assert text_of(first) == text_of(random_sprite([3, 4, 5], [3, 4, 5]))
