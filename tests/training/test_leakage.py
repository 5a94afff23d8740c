"""No training task may share a pair with an evaluation set, however it is turned or recoloured."""

from __future__ import annotations

import numpy as np
import pytest

from submission.arc.tasks import Grid, Pair, grid
from submission.arc.views import SYMMETRIES, View, recolouring
from submission.training.leakage import LeakageFilter, fingerprint, outline


def random_pair(rng: np.random.Generator, colours: int = 10, largest: int = 6) -> Pair:
    def cells() -> Grid:
        return grid(rng.integers(colours, size=rng.integers(1, largest + 1, size=2)))

    return Pair(cells(), cells())


def seen(view: View, pair: Pair) -> Pair:
    return Pair(view.see(pair.input), view.see(pair.output))


def random_view(rng: np.random.Generator, symmetry: int) -> View:
    return View(symmetry, recolouring(rng, "permute"), ())


def test_all_symmetric_and_recoloured_forms_of_a_pair_share_its_fingerprint() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        pair = random_pair(rng, colours=int(rng.integers(1, 11)))
        forms = {fingerprint(seen(random_view(rng, symmetry), pair)) for symmetry in range(SYMMETRIES)}
        assert forms == {fingerprint(pair)}


def test_pairs_that_are_no_forms_of_each_other_differ_in_their_fingerprint() -> None:
    """Against brute force over all views: small grids of two colours, in which forms of each other are common."""

    def forms(pair: Pair) -> set[tuple[object, ...]]:
        swapped = (1, 0, *range(2, 10))
        views = [View(symmetry, colours, ()) for symmetry in range(8) for colours in (tuple(range(10)), swapped)]
        made = [seen(view, pair) for view in views]
        return {(each.input.shape, each.input.tobytes(), each.output.shape, each.output.tobytes()) for each in made}

    rng = np.random.default_rng(1)
    pairs = [random_pair(rng, colours=2, largest=2) for _ in range(120)]
    prints, all_forms = [fingerprint(pair) for pair in pairs], [forms(pair) for pair in pairs]
    agreeing = 0
    for i in range(len(pairs)):
        for j in range(i):
            related = not all_forms[i].isdisjoint(all_forms[j])
            # Both colours may occur in one of the pairs only: a single colour can be renamed to any other.
            assert (prints[i] == prints[j]) == related
            agreeing += related
    assert agreeing > 50, "the comparison has something to compare"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (([[1, 2]], [[3]]), ([[1, 2]], [[1]])),  # the output's colour occurs in the input
        (([[1, 2]], [[1]]), ([[1, 2]], [[2, 2]])),  # another shape
        (([[1, 1], [2, 2]], [[1]]), ([[1, 2], [2, 1]], [[1]])),  # another pattern
        (([[1]], [[2, 3]]), ([[2, 3]], [[1]])),  # input and output change places
        (
            ([[1, 2], [3, 4]], [[1, 2]]),
            ([[1, 2], [3, 4]], [[1], [2]]),
        ),  # turned by itself, the output is another rule
    ],
)
def test_fingerprints_tell_like_pairs_apart(one: tuple[object, object], other: tuple[object, object]) -> None:
    assert fingerprint(Pair(*map(grid, one))) != fingerprint(Pair(*map(grid, other)))


def test_a_turned_and_recoloured_leak_is_found_among_families() -> None:
    rng = np.random.default_rng(2)
    evaluation = [random_pair(rng) for _ in range(20)]
    leakage = LeakageFilter(evaluation)
    clean = {f"clean{k}": [random_pair(rng) for _ in range(3)] for k in range(20)}
    leaking = {
        f"leak{k}": [random_pair(rng), seen(random_view(rng, k), evaluation[k]), random_pair(rng)]
        for k in range(SYMMETRIES)
    }
    caught = {name for name, pairs in {**clean, **leaking}.items() if leakage.shares_pair(pairs)}
    assert caught == set(leaking)


def test_joined_filters_refuse_what_each_of_them_refuses_and_nothing_else() -> None:
    rng = np.random.default_rng(4)
    one, other, clean = ([random_pair(rng, largest=9) for _ in range(10)] for _ in range(3))
    parts = [LeakageFilter(one), LeakageFilter(other)]
    whole = LeakageFilter.joined(parts)
    assert all(whole.shares_pair([seen(random_view(rng, k % 8), pair)]) for k, pair in enumerate([*one, *other]))
    assert not whole.shares_pair(clean)
    assert not parts[0].shares_pair(other), "the parts are as they were"


def test_the_quick_look_never_lets_a_leak_through() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        pair = random_pair(rng, colours=int(rng.integers(1, 11)))
        assert outline(seen(random_view(rng, int(rng.integers(SYMMETRIES))), pair)) == outline(pair)
