"""What the rules are made of: components, neighbours, blobs, and pieces that keep apart."""

from __future__ import annotations

import numpy as np
import pytest

from submission.training.generators.canvas import Unfit, blank, blob, components, neighbours, placed
from tests.support.drawn import drawn, text


def test_components_come_in_reading_order_and_may_hang_together_at_corners() -> None:
    cells = drawn("..1 22. ...")
    assert [text(part.astype(np.uint8)) for part in components(cells)] == ["..1 11. ..."]
    apart = [text(part.astype(np.uint8)) for part in components(cells, diagonal=False)]
    assert apart == ["..1 ... ...", "... 11. ..."]


def test_components_do_not_reach_around_the_sides() -> None:
    assert len(components(drawn("..1 1.. ..1"))) == 3


def test_neighbours_are_counted_beside_and_at_corners() -> None:
    mask = drawn("11. ..1") > 0
    assert neighbours(mask, diagonal=False).tolist() == [[1, 1, 2], [1, 2, 0]]
    assert neighbours(mask, diagonal=True).tolist() == [[1, 2, 2], [2, 3, 1]]


def test_placed_pieces_keep_apart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        cells = placed(rng, blank(rng, (7, 9)), [blob(1, 4)(rng) * np.uint8(ink) for ink in (1, 2, 3)])
        assert len(components(cells)) == 3


def test_a_piece_without_room_is_unfit() -> None:
    with pytest.raises(Unfit):
        placed(np.random.default_rng(0), drawn("..1 ...").copy(), [drawn("22 22")])
    with pytest.raises(Unfit):
        placed(np.random.default_rng(0), drawn("...").copy(), [drawn("22 22")])


def test_blobs_have_so_many_cells_in_one_part() -> None:
    rng = np.random.default_rng(0)
    forms = [blob(2, 5)(rng) for _ in range(100)]
    assert {int(form.sum()) for form in forms} == {2, 3, 4, 5}
    assert all(len(components(form, diagonal=False)) == 1 for form in forms)
