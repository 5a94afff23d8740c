"""A forward pass over a padded batch: what is learned is predicted from the token before it, in float32."""

from __future__ import annotations

import numpy as np
import torch

from submission.arc.layouts import CHAT16, GRID16
from submission.arc.prompts import padded, row
from submission.arc.tasks import Pair, grid
from submission.model.forward import position_ids, predictions
from submission.model.grid_lm import fresh

PAIRS = [Pair(grid([[1, 2], [3, 4]]), grid([[4]])), Pair(grid([[5]]), grid([[6, 7]]))]


def test_the_learned_tokens_of_all_rows_are_predicted_from_those_before_them() -> None:
    for layout in (GRID16, CHAT16):
        model = fresh(64, 2, 3, layout).eval()
        rows = [row(layout, PAIRS, 100), row(layout, PAIRS[:1], 100)]
        with torch.no_grad():
            logits, targets = predictions(model, *(torch.from_numpy(each) for each in padded(layout, rows, 32)))
            expected = []
            for each in rows:
                where = position_ids(torch.from_numpy(layout.positions_of(each.ids))[:, None])
                alone = model(input_ids=torch.from_numpy(each.ids)[None], position_ids=where, use_cache=False).logits[0]
                expected.append(alone[:-1][torch.from_numpy(each.learn[1:])])
        assert targets.tolist() == np.concatenate([each.ids[each.learn] for each in rows]).tolist()
        torch.testing.assert_close(logits, torch.cat(expected), atol=1e-5, rtol=1e-4)
        assert logits.dtype is torch.float32


def test_one_axis_of_positions_is_handed_over_without_its_axis() -> None:
    line, of_grid = torch.arange(6).reshape(1, 2, 3), torch.arange(18).reshape(3, 2, 3)
    assert position_ids(line).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(position_ids(of_grid), of_grid)
