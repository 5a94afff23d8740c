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
from submission.model.kv_cache import KVBuffer, SlotPlan, pass_cache
from submission.model.kv_offload import KVOffload, free_ram_bytes
from tests.support.exact_search import prompts


@pytest.mark.parametrize("spare", [math.inf, 0.0])
def test_prompts_that_give_way_are_brought_back_if_there_is_memory_to_keep_them(
    tiny_grid_model: Path, spare: float
) -> None:
    asked = prompts(np.random.default_rng(0), 6)
    model = GridLM.from_pretrained(tiny_grid_model)
    whole, forest = TokenForest(model, GRID16, asked), TokenForest(model, GRID16, asked, megabytes=0)
    assert (whole.capacity.parallel_prompts, forest.capacity.parallel_prompts) == (6, 1)
    forest.cache.offload = KVOffload(forest.cache.buffers, 1.0, lambda: spare)
    path = (1, 2, 10, 3, 4, 10, 5, 6)
    for end in range(1, len(path) + 1):
        for each in (whole, forest):
            assert each.evaluate({k: [path[:end]] for k in range(6)}, NEVER)
    for k in range(6):
        assert np.allclose(whole.path(k, path)[-1].log_p, forest.path(k, path)[-1].log_p, atol=1e-4)
    if spare:
        assert (forest.prefilled_again, forest.nodes) == (0, whole.nodes), "neither prompts nor nodes are read again"
    else:
        assert forest.prefilled_again > 0 and forest.nodes > whole.nodes


def filled(rows: int, seed: int) -> list[KVBuffer]:
    """The buffers of two blocks of which every row holds six slots of its own."""
    layers = [KVBuffer(rows, 64) for _ in range(2)]
    plan = SlotPlan(range(rows), [0] * rows, 6, prefill=True)
    torch.manual_seed(seed)
    for layer in layers:
        seen = pass_cache([layer], plan, torch.device("cpu")).layers[0]
        seen.update(torch.randn(rows, 2, 6, 4), torch.randn(rows, 2, 6, 4))
    return layers


def row_of(layers: list[KVBuffer], row: int) -> list[torch.Tensor]:
    return [each[row, :, :6].clone() for layer in layers for each in layer.tensors or ()]


def test_a_prompt_comes_back_to_another_row_bit_for_bit_and_once() -> None:
    layers = filled(3, seed=0)
    offload = KVOffload(layers, 1.0, lambda: math.inf)
    kept, others = row_of(layers, 0), row_of(layers, 1)
    assert offload.store(prompt=7, row=0, used=6)
    assert 7 in offload
    for layer in layers:
        for each in layer.tensors or ():
            each[0] = torch.nan
    assert offload.load(prompt=7, row=2) == 6
    assert 7 not in offload
    assert all(map(torch.equal, row_of(layers, 2), kept))
    assert all(map(torch.equal, row_of(layers, 1), others)), "no other row is touched"


def test_what_the_machine_cannot_spare_is_not_kept() -> None:
    offload = KVOffload(filled(1, seed=0), slot_bytes=10.0, free_bytes=lambda: 59.0)
    assert not offload.store(prompt=0, row=0, used=6)
    assert 0 not in offload
    assert offload.store(prompt=0, row=0, used=5)


def test_a_part_of_the_machine_is_left_to_others() -> None:
    free = psutil.virtual_memory()
    assert free_ram_bytes() < free.available
    assert free_ram_bytes() == pytest.approx(free.available - free.total / 3, abs=0.05 * free.total)
