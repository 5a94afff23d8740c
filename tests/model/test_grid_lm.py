"""The embedded model's architecture: positions on a grid, weights that come from the seed alone."""

from __future__ import annotations

import torch

from submission.arc.layouts import CHAT16
from submission.model.grid_lm import configuration, fresh


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = fresh(64, 1, 5)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), fresh(64, 1, 5).parameters(), strict=True))
    assert not torch.equal(one.lm_head.weight, fresh(64, 1, 6).lm_head.weight)


def test_every_axis_of_the_position_matters_and_all_matrices_fit_four_bit_blocks() -> None:
    model = fresh(64, 2, 0).eval()
    ids = torch.arange(10)[None]
    where = torch.stack([torch.arange(10) // k for k in (1, 2, 3)])[:, None]
    with torch.no_grad():
        plain = model(input_ids=ids, position_ids=where).logits
        for axis in range(3):
            moved = where.clone()
            moved[axis] = 0
            assert (model(input_ids=ids, position_ids=moved).logits - plain).abs().max() > 1e-3
    for hidden in (64, 256, 384, 512):
        assert configuration(hidden, 1).intermediate_size % 64 == 0


def test_running_numbers_are_positions_too_in_a_batch_of_any_size() -> None:
    """Three rows of running numbers are not taken for one row of three axes."""
    model = fresh(64, 1, 0, CHAT16).eval()
    ids = torch.arange(30).reshape(3, 10) % 10
    where = torch.arange(10).expand(3, 10)
    with torch.no_grad():
        together = model(input_ids=ids, position_ids=where, use_cache=False).logits
        alone = model(input_ids=ids[:1], position_ids=where[:1], use_cache=False).logits
    torch.testing.assert_close(together[:1], alone)


def test_segments_do_not_hide_each_other() -> None:
    """Positions that begin anew are not taken for packed sequences: the first token still reaches the last."""
    model = fresh(64, 2, 0).eval()
    where = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [0, 0, 0, 0, 0, 0]])[:, None]
    with torch.no_grad():
        logits = [
            model(input_ids=torch.tensor([[k, 1, 2, 3, 4, 5]]), position_ids=where, use_cache=False).logits
            for k in (0, 9)
        ]
    assert (logits[0][0, -1] - logits[1][0, -1]).abs().max() > 1e-4
