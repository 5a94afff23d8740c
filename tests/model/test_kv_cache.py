"""The cache: each row fills up at its own slots, grows with need, and shows a pass what it may look at."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from submission.arc.layouts import GRID16
from submission.checkpoint.families import FAMILIES
from submission.deadline import NEVER
from submission.inference.token_tree import TokenForest
from submission.model.grid_lm import GridLM
from submission.model.kv_cache import CACHE, KVBuffer, SlotPlan, block_count, pass_cache
from submission.model.search_memory import TokenBytes
from tests.support.exact_search import prompts

HEADS, CHANNELS = 2, 4


def states(plan: SlotPlan, value: float) -> Tensor:
    """Keys or values of a pass, [rows, heads, width, channels]: `value` + the place of each token."""
    return (value + torch.arange(plan.width, dtype=torch.float32))[None, None, :, None].expand(
        len(plan.rows), HEADS, plan.width, CHANNELS
    )


def passed(buffer: KVBuffer, plan: SlotPlan, value: float) -> tuple[Tensor, Tensor]:
    """What one pass that goes by this plan may attend to; its values are the negatives of its keys."""
    layer = pass_cache([buffer], plan, torch.device("cpu")).layers[0]
    assert layer.get_seq_length() == max(plan.used), "slots before the tokens of the pass"
    return layer.update(states(plan, value), -states(plan, value))


def first_channel(seen: Tensor, row: int) -> list[float]:
    return seen[row, 0, :, 0].tolist()


def test_a_plan_says_the_slot_of_every_token_and_where_the_longest_row_ends() -> None:
    plan = SlotPlan(rows=[0, 2], used=[3, 5], width=2, prefill=False)
    assert plan.slots.tolist() == [[3, 4], [5, 6]]
    assert plan.end == 7


def test_a_first_pass_looks_at_itself_and_later_ones_at_all_that_their_rows_hold() -> None:
    layer = KVBuffer(rows=3, max_slots=100)
    keys, values = passed(layer, SlotPlan([0, 1, 2], [0, 0, 0], 3, prefill=True), 10.0)
    assert first_channel(keys, 0) == [10, 11, 12]
    assert torch.equal(values, -keys)
    keys, values = passed(layer, SlotPlan([0, 2], [3, 3], 2, prefill=False), 20.0)
    assert (first_channel(keys, 0), first_channel(keys, 1)) == ([10, 11, 12, 20, 21], [10, 11, 12, 20, 21])
    assert torch.equal(values, -keys)


def test_rows_of_unlike_length_keep_to_their_own_slots() -> None:
    layer = KVBuffer(rows=2, max_slots=100)
    passed(layer, SlotPlan([0, 1], [0, 0], 2, prefill=True), 10.0)
    passed(layer, SlotPlan([1], [2], 2, prefill=False), 20.0)
    keys, _ = passed(layer, SlotPlan([0, 1], [2, 4], 1, prefill=False), 30.0)
    assert first_channel(keys, 0)[:3] == [10, 11, 30]
    assert first_channel(keys, 1) == [10, 11, 20, 21, 30]


def test_a_token_that_is_put_to_a_slot_again_takes_its_place() -> None:
    layer = KVBuffer(rows=1, max_slots=100)
    passed(layer, SlotPlan([0], [0], 3, prefill=True), 10.0)
    keys, _ = passed(layer, SlotPlan([0], [1], 1, prefill=False), 50.0)
    assert first_channel(keys, 0) == [10, 50]


def test_where_attention_takes_each_row_apart_it_gets_the_whole_cache() -> None:
    layer = KVBuffer(rows=3, max_slots=8)
    passed(layer, SlotPlan([0, 1, 2], [0, 0, 0], 2, prefill=True, by_row=True), 10.0)
    keys, _ = passed(layer, SlotPlan([1], [2], 1, prefill=False, by_row=True), 20.0)
    assert len(keys) == 3
    assert first_channel(keys, 1)[:3] == [10, 11, 20]


@pytest.mark.parametrize("most", [40, 10_000])
def test_a_cache_grows_with_need_keeps_what_it_holds_and_never_exceeds_its_bound(most: int) -> None:
    layer = KVBuffer(rows=1, max_slots=most)
    passed(layer, SlotPlan([0], [0], 20, prefill=True), 100.0)
    for used in range(20, 40):
        keys, _ = passed(layer, SlotPlan([0], [used], 1, prefill=False), 7.0)
        assert first_channel(keys, 0) == [*range(100, 120), *[7] * (used - 19)]
        assert layer.tensors is not None
        assert used < layer.tensors[0].shape[2] <= most


def test_the_sizes_of_a_model_are_those_of_the_cache_that_it_fills(tiny_grid_model: Path) -> None:
    model = GridLM.from_pretrained(tiny_grid_model)
    asked = prompts(np.random.default_rng(0), 2)
    forest = TokenForest(model, GRID16, asked)
    assert forest.evaluate({0: [(1,)], 1: [(2,)]}, NEVER)
    held = [each for buffer in forest.cache.buffers for each in buffer.tensors or ()]
    slots = held[0].shape[0] * held[0].shape[2]
    token = TokenBytes.of(model)
    assert block_count(model) == len(forest.cache.buffers) == 2
    assert token.kv * slots == sum(each.nbytes for each in held)
    assert token.logits >= 4 * model.config.vocab_size, "float32 at least"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_takes_the_cache_by_its_name_in_this_transformers(family: str) -> None:
    """A name that a model does not have would be ignored in silence."""
    kind = GridLM if family == "qwen3_vl_text" else getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family])
    assert CACHE in inspect.signature(kind.forward).parameters


def test_the_embedded_architectures_own_model_takes_it_as_well() -> None:
    assert CACHE in inspect.signature(Qwen3VLTextModel.forward).parameters
