"""A view is an exact bijection on grids, and the stream of views is fair, reproducible, and starts with the task."""

from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import pytest

from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, grid
from submission.arc.views import (
    COLOURS,
    SYMMETRIES,
    Background,
    View,
    identity,
    leave_out_views,
    recolouring,
    stream,
)

ASYMMETRIC = grid([[1, 2, 3], [4, 5, 6]])
"""No symmetry of the square but the identity leaves it as it is."""


def random_grid(rng: np.random.Generator, height: int, width: int) -> Grid:
    return grid(rng.integers(10, size=(height, width)))


def random_view(rng: np.random.Generator, symmetry: int, demonstrations: int = 1) -> View:
    order = tuple(int(k) for k in rng.permutation(demonstrations))
    return View(symmetry, recolouring(rng, "permute"), order)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_unsee_is_the_inverse_of_see_for_all_shapes(symmetry: int) -> None:
    rng = np.random.default_rng(symmetry)
    for height in range(1, LARGEST_SIDE + 1):
        for width in range(1, LARGEST_SIDE + 1):
            cells, view = random_grid(rng, height, width), random_view(rng, symmetry)
            assert np.array_equal(view.unsee(view.see(cells)), cells)
            assert np.array_equal(view.see(view.unsee(cells)), cells)


def test_the_eight_symmetries_are_the_eight_maps_of_the_square() -> None:
    a = np.array(ASYMMETRIC)
    expected = [a, a[::-1], a[:, ::-1], a[::-1, ::-1], a.T, a.T[::-1], a.T[:, ::-1], a.T[::-1, ::-1]]
    seen = [View(symmetry, COLOURS, ()).see(ASYMMETRIC) for symmetry in range(SYMMETRIES)]
    assert {(each.shape, each.tobytes()) for each in seen} == {(each.shape, each.tobytes()) for each in expected}


def test_a_view_shows_colours_as_its_permutation_says() -> None:
    view = View(0, (3, 0, 1, 2, 4, 5, 6, 7, 9, 8), ())
    assert view.see(grid([[0, 1, 2], [3, 8, 9]])).tolist() == [[3, 0, 1], [2, 9, 8]]


def test_seen_grids_are_read_only_and_the_original_stays() -> None:
    rng = np.random.default_rng(0)
    cells = random_grid(rng, 3, 5)
    before = cells.tolist()
    for symmetry in range(SYMMETRIES):
        view = random_view(rng, symmetry)
        for made in (view.see(cells), view.unsee(cells)):
            assert made.dtype == np.uint8
            assert not made.flags.writeable
            assert made.flags.c_contiguous
    assert cells.tolist() == before


def test_arrange_keeps_pairs_together_and_shows_every_demonstration_once() -> None:
    rng = np.random.default_rng(1)
    demonstrations = tuple(Pair(random_grid(rng, 2, 3 + k), random_grid(rng, 1 + k, 2)) for k in range(5))
    for symmetry in range(SYMMETRIES):
        view = random_view(rng, symmetry, demonstrations=5)
        arranged = view.arrange(demonstrations)
        assert len(arranged) == 5
        for shown, k in zip(arranged, view.order, strict=True):
            assert np.array_equal(view.unsee(shown.input), demonstrations[k].input)
            assert np.array_equal(view.unsee(shown.output), demonstrations[k].output)


def test_the_identity_shows_the_task_as_it_was_given() -> None:
    rng = np.random.default_rng(2)
    demonstrations = tuple(Pair(random_grid(rng, 2, 3), random_grid(rng, 4, 1)) for _ in range(3))
    for shown, given in zip(identity(3).arrange(demonstrations), demonstrations, strict=True):
        assert np.array_equal(shown.input, given.input)
        assert np.array_equal(shown.output, given.output)


@pytest.mark.parametrize("background", ["keep", "permute"])
@pytest.mark.parametrize("demonstrations", [1, 2, 5])
def test_the_stream_starts_with_the_identity(background: Background, demonstrations: int) -> None:
    for seed in range(20):
        first = next(stream(demonstrations, np.random.default_rng(seed), background))
        assert first == View(0, tuple(range(10)), tuple(range(demonstrations)))


def test_the_stream_is_balanced_at_every_prefix() -> None:
    for seed in range(20):
        counts = np.zeros(SYMMETRIES, int)
        for view in islice(stream(3, np.random.default_rng(seed)), 5 * SYMMETRIES):
            counts[view.symmetry] += 1
            assert counts.max() - counts.min() <= 1


def test_views_of_a_stream_permute_colours_and_demonstrations() -> None:
    for background in ("keep", "permute"):
        views = list(islice(stream(4, np.random.default_rng(3), background), 64))
        assert all(sorted(view.colours) == list(range(10)) for view in views)
        assert all(sorted(view.order) == list(range(4)) for view in views)
        assert len({view.colours for view in views}) == 64, "recolourings are drawn anew for each view"
        assert len({view.order for view in views}) > 12, "orders are drawn anew for each view"


def test_keep_keeps_the_background_and_permute_moves_it_like_any_colour() -> None:
    kept = list(islice(stream(2, np.random.default_rng(4), "keep"), 200))
    moved = list(islice(stream(2, np.random.default_rng(4), "permute"), 200))
    assert {view.colours[0] for view in kept} == {0}
    assert {view.colours[1] for view in kept} == set(range(1, 10))
    assert {view.colours[0] for view in moved} == set(range(10))


def test_one_generator_gives_one_stream() -> None:
    def first(seed: int) -> list[View]:
        return list(islice(stream(3, np.random.default_rng(seed)), 40))

    assert first(5) == first(5)
    assert first(5) != first(6)


def test_views_are_plain_values() -> None:
    """They are compared, hashed and written to the journal: Python ints, no numpy scalars."""
    for view in islice(stream(3, np.random.default_rng(7), "permute"), 20):
        assert hash(view) == hash(View(view.symmetry, tuple(view.colours), tuple(view.order)))
        assert {type(number) for number in (view.symmetry, *view.colours, *view.order)} == {int}


@pytest.mark.parametrize(("number", "of_each"), [(16, 2), (8, 1)])
def test_a_stream_without_the_identity_has_poe_s_views(number: int, of_each: int) -> None:
    """The released code: n times all 8 symmetries, each with its own colours of all 10 and its own order."""
    identities = 0
    for seed in range(40):
        views = list(islice(stream(3, np.random.default_rng(seed), "permute", "random"), number))
        assert [sum(view.symmetry == symmetry for view in views) for symmetry in range(SYMMETRIES)] == [of_each] * 8
        identities += sum(view == identity(3) for view in views)
        assert len({view.colours for view in views}) == number
    assert identities == 0, "in the review 0 of 656"


@pytest.mark.parametrize("known", [2, 3, 4, 7])
@pytest.mark.parametrize("left_out", [1, 2])
def test_the_views_that_leave_demonstrations_out_are_the_ttt_paper_s(known: int, left_out: int) -> None:
    """From its code: each context in its order and two others, and five symmetries once, each of one of these."""
    turns = {
        0: lambda g: g, 4: lambda g: g.T, 5: lambda g: g[::-1], 7: lambda g: g[:, ::-1], 1: lambda g: np.rot90(g),
        2: lambda g: np.rot90(g, 2),
    }  # fmt: skip
    shown = max(1, known - left_out)
    contexts = {frozenset(each) for each in combinations(range(known), shown)}
    for seed in range(20):
        views = leave_out_views(known, left_out, np.random.default_rng(seed))
        plain = [view for view in views if view.symmetry == 0]
        assert len(set(views)) == len(views) <= 3 * len(contexts) + 5
        assert sorted(view.symmetry for view in views if view.symmetry) == [1, 2, 4, 5, 7]
        assert all(view.colours == COLOURS for view in views), "no recolouring at inference"
        assert {frozenset(view.order) for view in plain} == contexts
        assert {view.order for view in plain} >= set(combinations(range(known), shown)), "each in its own order"
        assert all(sum(set(view.order) == set(each) for view in plain) <= 3 for each in contexts)
        assert {view.order for view in views} == {view.order for view in plain}
        for view in views:
            assert np.array_equal(view.see(ASYMMETRIC), turns[view.symmetry](ASYMMETRIC))
    if shown > 3:
        assert len(plain) == 3 * len(contexts), "orders of four or more are hardly ever equal"


def test_a_prefix_of_the_views_that_leave_out_has_every_context_and_then_the_symmetries() -> None:
    views = leave_out_views(4, 1, np.random.default_rng(0))
    assert [view.symmetry for view in views[:9]] == [0] * 4 + [4, 5, 7, 1, 2]
    assert len({frozenset(view.order) for view in views[:4]}) == 4


def test_a_demonstration_that_a_view_does_not_name_is_not_shown() -> None:
    rng = np.random.default_rng(3)
    demonstrations = tuple(Pair(random_grid(rng, 2, 3), random_grid(rng, 2, 2)) for _ in range(3))
    [first, second] = View(0, COLOURS, (2, 0)).arrange(demonstrations)
    assert np.array_equal(first.input, demonstrations[2].input)
    assert np.array_equal(second.output, demonstrations[0].output)
    assert leave_out_views(1, 1, rng)[0].order == (0,), "one demonstration stays"
