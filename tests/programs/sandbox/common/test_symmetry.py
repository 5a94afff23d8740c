"""Symmetries: the maps, the orbits, and what is found in grids whose symmetry is known."""

from __future__ import annotations

import numpy as np
import pytest

from submission.programs.sandbox.common.symmetry import (
    MirrorSymmetry,
    RotationalSymmetry,
    Symmetry,
    TranslationalSymmetry,
    detect_mirror_symmetry,
    detect_rotational_symmetry,
    detect_translational_symmetry,
    orbit,
)
from tests.support.cases import cases
from tests.support.library_grids import drawn


@cases(
    ("symmetry", "times", "image"),
    [
        (TranslationalSymmetry(2, -1), 1, (5, 3)), (TranslationalSymmetry(2, -1), 3, (9, 1)),
        (TranslationalSymmetry(2, -1), -1, (1, 5)), (TranslationalSymmetry(0.5, 0), 2, (4, 4)),
        (MirrorSymmetry(5, None), 1, (7, 4)), (MirrorSymmetry(None, 4.5), 1, (3, 5)),
        (MirrorSymmetry(3.5, 4.5), 1, (4, 5)), (MirrorSymmetry(5, None), 2, (3, 4)),
        (RotationalSymmetry(3, 3), 1, (4, 3)), (RotationalSymmetry(3, 3), 2, (3, 2)),
        (RotationalSymmetry(3, 3), -1, (2, 3)), (RotationalSymmetry(2.5, 2.5), 1, (4, 2)),
        (RotationalSymmetry(2.5, 2.5), 4, (3, 4)),
    ],
)  # fmt: skip
def test_a_cell_is_mapped(symmetry: Symmetry, times: int, image: tuple[int, int]) -> None:
    """The cell is (3, 4). Clockwise is (dx, dy) -> (dy, -dx)."""
    assert symmetry.apply(3, 4, times) == image
    xs, ys = symmetry.apply(np.array([3, 3]), np.array([4, 4]), iters=times)
    assert (xs.tolist(), ys.tolist()) == ([image[0]] * 2, [image[1]] * 2)
    assert all(isinstance(each, int) for each in symmetry.apply(3, 4, times))


def test_an_orbit_is_all_images_in_the_grid() -> None:
    grid = np.zeros((4, 6), dtype=int)
    assert sorted(orbit(grid, 1, 1, [TranslationalSymmetry(0, 2)])) == [(1, 1), (1, 3), (1, 5)]
    assert sorted(orbit(grid, 3, 4, [TranslationalSymmetry(-2, 0)])) == [(1, 4), (3, 4)]
    both = [TranslationalSymmetry(2, 0), TranslationalSymmetry(0, 3)]
    assert sorted(orbit(grid, 0, 1, both)) == [(0, 1), (0, 4), (2, 1), (2, 4)]
    mirrors = [MirrorSymmetry(1.5, None), MirrorSymmetry(None, 2.5)]
    assert sorted(orbit(grid, 0, 0, mirrors)) == [(0, 0), (0, 5), (3, 0), (3, 5)]
    assert sorted(orbit(grid, 0, 1, RotationalSymmetry(1, 1))) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert orbit(grid, 2, 2, []) == [(2, 2)]
    assert orbit(grid, 2, 2, [TranslationalSymmetry(0, 0)]) == [(2, 2)]


@cases(
    ("grid", "how", "found"),
    [
        ("123123 456456 123123 456456", {}, [(-2, 0), (0, -3)]),
        ("123412 341234 123412 341234", {}, [(-2, 0), (0, -4)]),
        ("12.12. .33.33", {}, [(0, -3)]),
        ("123 231 312", {}, [(1, 2)]),
        ("7127 7777 7127 7777", {"ignore_colors": [], "background": 7}, [(-2, 0)]),
        ("12 34", {}, []),
        ("1..1 .22. .33. 4..4", {"ignore_colors": []}, [(0, -3)]),
    ],
)
def test_translations_are_found(grid: str, how: dict[str, int], found: list[tuple[int, int]]) -> None:
    """Along x and y, or failing that along both; of k and -k, which say the same, the negative one."""
    symmetries = detect_translational_symmetry(drawn(grid), **how)  # type: ignore[arg-type]
    assert [(each.translate_x, each.translate_y) for each in symmetries] == found  # type: ignore[attr-defined]


def test_a_hidden_part_does_not_hide_a_translation_and_can_be_restored() -> None:
    whole = np.tile(drawn("123 456"), (4, 4))
    hidden = whole.copy()
    hidden[2:5, 3:6] = 0
    for x, y in np.argwhere(hidden == 0):
        seen = {int(hidden[each]) for each in orbit(hidden, x, y, detect_translational_symmetry(hidden))} - {0}
        assert seen == {int(whole[x, y])}


@cases(
    ("grid", "how", "found"),
    [
        ("1221 3443", {}, [(None, 1.5)]),
        ("12 34 12", {}, [(1, None)]),
        ("..... .1.1. .252. .1.1. .....", {}, [(2, None), (None, 2), (2, 2)]),
        ("123 231 312", {}, [(0, None), (2, None), (None, 0), (None, 2)]),
        ("1231 4..4 1.31", {"ignore_colors": [0]}, [(1, None)]),
        ("12 21", {}, [(0.5, 0.5)]),
    ],
)
def test_mirrors_are_found(grid: str, how: dict[str, int], found: list[tuple[float | None, float | None]]) -> None:
    symmetries = detect_mirror_symmetry(drawn(grid), **how)  # type: ignore[arg-type]
    assert [(each.mirror_x, each.mirror_y) for each in symmetries] == found  # type: ignore[attr-defined]


@cases(
    ("grid", "how", "found"),
    [
        (".1. 121 .1.", {}, (1, 1)),
        ("12 21", {"ignore_colors": [1]}, None),
        ("11 11", {}, (0.5, 0.5)),
        ("..... .3.4. ..... .4.3. .....", {"ignore_colors": []}, None),
        ("...... ..13.. .3551. .1553. ..31..", {"background": 0}, (2.5, 2.5)),
        ("..... ..1.. .121. ..... .....", {}, (2, 2)),
        ("777 717 777", {"ignore_colors": [], "background": 7}, (1, 1)),
    ],
)
def test_a_quarter_turn_is_found(grid: str, how: dict[str, int], found: tuple[float, float] | None) -> None:
    symmetry = detect_rotational_symmetry(drawn(grid), **how)  # type: ignore[arg-type]
    assert (None if symmetry is None else (symmetry.center_x, symmetry.center_y)) == found


@pytest.mark.parametrize("seed", range(3))
def test_the_symmetry_of_a_grid_that_was_made_with_one_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tile = rng.integers(1, 10, (3, 4))
    (x, y) = detect_translational_symmetry(np.tile(tile, (4, 4)))
    assert abs(x.translate_x) == 3 and abs(y.translate_y) == 4  # type: ignore[attr-defined]
    half = rng.integers(1, 10, (4, 5))
    (mirror,) = detect_mirror_symmetry(np.concatenate([half, half[::-1]]))
    assert (mirror.mirror_x, mirror.mirror_y) == (3.5, None)  # type: ignore[attr-defined]
    quarter = rng.integers(1, 10, (4, 4))
    upper = np.concatenate([quarter, np.rot90(quarter, -1)], axis=1)
    turned = detect_rotational_symmetry(np.concatenate([upper, upper[::-1, ::-1]]))
    assert turned is not None and (turned.center_x, turned.center_y) == (3.5, 3.5)
