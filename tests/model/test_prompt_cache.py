"""Cache rows of prompts: least recently used out first, and back from host RAM as they were."""

from __future__ import annotations

import math

import pytest
import torch

from submission.model.kv_cache import SlotPlan, pass_cache
from submission.model.kv_offload import KVOffload
from submission.model.prompt_cache import PromptCache
from submission.model.search_memory import CacheCapacity

CAPACITY = CacheCapacity(parallel_prompts=2, slots_per_prompt=8, tokens_per_pass=100)


def filled(free_bytes: float) -> PromptCache:
    """Two rows, taken by the prompts 0 and 1, whose keys and values are 0 and 1 throughout."""
    cache = PromptCache(CAPACITY, blocks=2, slot_bytes=10, offload=False)
    cache.offload = KVOffload(cache.buffers, 10, lambda: free_bytes)
    cache.add([0, 1])
    plan = SlotPlan([cache.row(0), cache.row(1)], [0, 0], 4, prefill=True)
    states = torch.arange(2.0)[:, None, None, None].expand(2, 1, 4, 3)
    for layer in pass_cache(cache.buffers, plan, torch.device("cpu")).layers:
        layer.update(states, states)
    for prompt in (0, 1):
        cache.set_used(prompt, 4)
    return cache


def test_the_least_recently_used_prompt_is_evicted_but_none_that_is_kept() -> None:
    cache = filled(free_bytes=0)
    cache.touch(0)
    assert cache.evict(1, keep=[]) == [1]
    assert 0 in cache and 1 not in cache
    assert cache.evict(1, keep=[0]) == [], "a row is free already"
    cache.add([2])
    assert cache.evict(1, keep=[0]) == [2]


@pytest.mark.parametrize("free_bytes", [math.inf, 39.0])
def test_an_evicted_prompt_comes_back_from_ram_where_there_was_enough(free_bytes: float) -> None:
    cache = filled(free_bytes)
    lost = cache.evict(1, keep=[1])
    assert lost == ([] if free_bytes > 40 else [0])
    cache.add([2])
    for buffer in cache.buffers:
        assert buffer.tensors is not None
        for each in buffer.tensors:
            each[cache.row(2)] = 7.0
    cache.set_used(2, 8)
    assert cache.restore([0]) == [], "the prompt that had to go for it has a copy as well"
    assert (0 in cache) == (not lost)
    if not lost:
        assert cache.used(0) == 4
        for buffer in cache.buffers:
            assert buffer.tensors is not None
            assert all((each[cache.row(0), :, :4] == 0).all() for each in buffer.tensors)
