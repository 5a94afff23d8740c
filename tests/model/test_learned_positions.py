"""The last block where it is learned alone: the same loss and gradient as the whole pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from submission.arc.layouts import CHAT16, GRID16, Layout
from submission.arc.prompts import padded, row
from submission.arc.tasks import Pair, grid
from submission.model import forward, learned_positions
from submission.model.grid_lm import GridLM, fresh

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def batch(layout: Layout) -> list[Tensor]:
    """Rows of different lengths, so with padding, of which the first pair's output is not learned."""
    rng = np.random.default_rng(0)
    rows = []
    for number in (2, 3, 4):
        grids = [grid(rng.integers(10, size=rng.integers(1, 6, size=2))) for _ in range(2 * number)]
        pairs = [Pair(i, o) for i, o in zip(grids[::2], grids[1::2], strict=True)]
        rows.append(row(layout, pairs, 1000, first_learned=1))
    return [torch.from_numpy(part) for part in padded(layout, rows)]


@pytest.mark.parametrize("layout", [GRID16, CHAT16])
@pytest.mark.parametrize("layers", [1, 3])
def test_loss_and_gradients_are_those_of_the_whole_pass(layout: Layout, layers: int) -> None:
    ids, learn, where = batch(layout)
    models = [fresh(64, layers, 0, layout) for _ in range(2)]

    def lean(model: GridLM) -> tuple[Tensor, Tensor]:
        return learned_positions.predictions(model, ids, learn, where, learned_positions.block_at)

    whole, targets = forward.predictions(models[0], ids, learn, where)
    part, same_targets = lean(models[1])
    assert torch.equal(targets, same_targets)
    torch.testing.assert_close(part, whole, **TOLERANCE)
    for logits, model in ((whole, models[0]), (part, models[1])):
        F.cross_entropy(logits, targets).backward()
        assert model.model.layers[0].self_attn.k_proj.weight.grad is not None
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(other.grad, one.grad, **TOLERANCE)
