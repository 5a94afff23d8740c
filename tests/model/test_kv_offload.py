"""Keys and values that had to give way come back as they were."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from submission.arc.layouts import GRID16
from submission.deadline import NEVER
from submission.inference.token_tree import TokenForest
from submission.model.grid_lm import GridLM
from submission.model.kv_cache import Layer, SlotPlan, planned
from submission.model.kv_offload import KVOffload, spare_bytes
from tests.support.exact_search import prompts


@pytest.mark.parametrize("spare", [math.inf, 0.0])
def test_prompts_that_give_way_are_brought_back_if_there_is_memory_to_keep_them(
    tiny_grid_model: Path, spare: float
) -> None:
    asked = prompts(np.random.default_rng(0), 6)
    model = GridLM.from_pretrained(tiny_grid_model)
    whole, forest = TokenForest(model, GRID16, asked), TokenForest(model, GRID16, asked, megabytes=0)
    assert (whole.together, forest.together) == (6, 1)
    forest._shelf = KVOffload(forest._layers, 1.0, lambda: spare)
    path = (1, 2, 10, 3, 4, 10, 5, 6)
    for end in range(1, len(path) + 1):
        for each in (whole, forest):
            assert each.read({k: [path[:end]] for k in range(6)}, NEVER)
    for k in range(6):
        assert np.allclose(whole.follow(k, path).log_p, forest.follow(k, path).log_p, atol=1e-4)
    if spare:
        assert (forest.again, forest.nodes) == (0, whole.nodes), "neither prompts nor nodes are read again"
    else:
        assert forest.again > 0 and forest.nodes > whole.nodes


def filled(rows: int, seed: int) -> list[Layer]:
    """Two layers of which every row holds six slots of its own."""
    layers = [Layer(rows, 64) for _ in range(2)]
    plan = SlotPlan(range(rows), [0] * rows, 6, first=True)
    torch.manual_seed(seed)
    for layer in layers:
        planned([layer], plan, torch.device("cpu"))
        layer.update(torch.randn(rows, 2, 6, 4), torch.randn(rows, 2, 6, 4))
    return layers


def row_of(layers: list[Layer], row: int) -> list[torch.Tensor]:
    return [each[row, :, :6].clone() for layer in layers for each in layer.held or ()]


def test_a_prompt_comes_back_to_another_row_bit_for_bit_and_once() -> None:
    layers = filled(3, seed=0)
    offload = KVOffload(layers, 1.0, lambda: math.inf)
    kept, others = row_of(layers, 0), row_of(layers, 1)
    assert offload.put(prompt=7, row=0, used=6)
    assert 7 in offload
    for layer in layers:
        for each in layer.held or ():
            each[0] = torch.nan
    assert offload.take(prompt=7, row=2) == 6
    assert 7 not in offload
    assert all(map(torch.equal, row_of(layers, 2), kept))
    assert all(map(torch.equal, row_of(layers, 1), others)), "no other row is touched"


def test_what_the_machine_cannot_spare_is_not_kept() -> None:
    offload = KVOffload(filled(1, seed=0), slot_bytes=10.0, spare=lambda: 59.0)
    assert not offload.put(prompt=0, row=0, used=6)
    assert 0 not in offload
    assert offload.put(prompt=0, row=0, used=5)


def test_a_part_of_the_machine_is_left_to_others() -> None:
    free = psutil.virtual_memory()
    assert spare_bytes() < free.available
    assert spare_bytes() == pytest.approx(free.available - free.total / 3, abs=0.05 * free.total)
