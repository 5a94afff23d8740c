"""Connected components: our own labelling against what connected means, and against scipy's where that is installed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from submission.programs.sandbox.common.labelling import (
    Cells,
    dilated,
    labelled,
    own_label,
    steps,
    structure,
    use_label,
)
from tests.support.library_grids import drawn, text_of


@pytest.fixture
def restored() -> Iterator[None]:
    yield
    use_label(None)


def test_components_are_numbered_by_their_first_cells_in_reading_order() -> None:
    mask = drawn("1.1 .1. 1.1") != 0
    labels, count = labelled(mask, 4)
    assert (text_of(labels), count) == ("1.2 .3. 4.5", 5)
    labels, count = labelled(mask, 8)
    assert (text_of(labels), count) == ("1.1 .1. 1.1", 1)
    assert labelled(drawn("..1 1.1 111") != 0, 4)[1] == 1
    assert labelled(drawn("... ...") != 0, 8)[1] == 0


@pytest.mark.parametrize("connectivity", [4, 8])
def test_two_cells_have_one_label_if_and_only_if_a_path_joins_them(connectivity: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(25):
        mask = rng.random(rng.integers(1, 6, 2)) < 0.6
        places = [tuple(each) for each in np.argwhere(mask).tolist()]
        near = {(a, b) for a in places for b in places if (b[0] - a[0], b[1] - a[1]) in steps(connectivity)}
        joined = near | {(a, a) for a in places}
        for k in places:  # Warshall's closure
            joined |= {(a, b) for a in places for b in places if (a, k) in joined and (k, b) in joined}
        labels, count = own_label(mask, structure(connectivity))
        assert all((labels[a] == labels[b]) == ((a, b) in joined) for a in places for b in places)
        firsts = [int(np.flatnonzero(labels == k + 1)[0]) for k in range(count)]
        assert firsts == sorted(firsts) and not labels[~mask].any()


@pytest.mark.parametrize("connectivity", [4, 8])
def test_our_labels_are_scipys(connectivity: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is not installed", exc_type=ImportError)
    rng = np.random.default_rng(4)
    for _ in range(300):
        mask = rng.random(rng.integers(1, 31, 2)) < rng.random()
        ours, theirs = own_label(mask, structure(connectivity)), ndimage.label(mask, structure(connectivity))
        assert ours[1] == theirs[1]
        assert np.array_equal(ours[0], theirs[0])
        assert ours[0].dtype == theirs[0].dtype


@pytest.mark.usefixtures("restored")
def test_another_function_is_used_if_it_is_given() -> None:
    asked: list[Cells] = []

    def label(mask: Cells, shape: Cells) -> tuple[Cells, int]:
        asked.append(shape)
        return own_label(mask, shape)

    use_label(label)
    assert labelled(drawn("1.1") != 0, 4)[1] == 2
    assert [each.tolist() for each in asked] == [[[0, 1, 0], [1, 1, 1], [0, 1, 0]]]


def test_neighbours_are_added_as_often_as_asked() -> None:
    mask = drawn("1.... ..... ..... .....") != 0
    assert text_of(dilated(mask, 4)) == "11... 1.... ..... ....."
    assert text_of(dilated(mask, 8)) == "11... 11... ..... ....."
    assert text_of(dilated(mask, 4, 2)) == "111.. 11... 1.... ....."
    assert text_of(dilated(mask, 4, 0)) == text_of(mask)


def test_only_4_and_8_are_connectivities() -> None:
    with pytest.raises(ValueError, match="4 or 8, not 6"):
        steps(6)
