"""What a search takes: within its budget at the true size of an 8B and a 4B, and most of the budget is used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from submission.config import Adapt, Search, Settings
from submission.model.memory_plan import DEVICE_OF, plan
from submission.model.search_memory import CacheCapacity, TokenBytes
from tests.support.counted import TRUE_SIZES, faked
from tests.support.counted_search import Asked, search


@pytest.mark.parametrize("megabytes", [0.0, 0.5, 5.0, 50.0])
@pytest.mark.parametrize("prompts", [1, 16])
def test_a_budget_is_divided_between_cache_and_activations(megabytes: float, prompts: int) -> None:
    token = TokenBytes(kv=1000, activations=100, logits=10, mask=5)
    made = CacheCapacity.plan(token, prompts, longest=1000, nodes_per_prompt=1024, megabytes=megabytes)
    held = made.parallel_prompts * made.slots_per_prompt * token.kv
    assert 1 <= made.parallel_prompts <= prompts
    assert made.slots_per_prompt >= 1000, "one whole prompt with its answer is always held"
    if megabytes >= 50 or made.parallel_prompts > 1:
        assert held + made.tokens_per_pass * token.node(made.slots_per_prompt) <= megabytes * 1e6
    assert (made.parallel_prompts == prompts) == (megabytes >= 50 or prompts == 1)


def test_activations_get_what_the_widest_pass_takes_and_prompts_the_rest() -> None:
    token = TokenBytes.of_sizes(TRUE_SIZES["Minitron-8B"][1], 2)
    made = CacheCapacity.plan(token, 16, longest=8192, nodes_per_prompt=1024, megabytes=16_000)
    assert made.parallel_prompts == 10, "with two fifths of the budget for activations there were 7"
    assert made.tokens_per_pass >= 10 * 1000
    few = CacheCapacity.plan(token, 2, longest=1000, nodes_per_prompt=1024, megabytes=16_000)
    assert few.tokens_per_pass >= 2 * 1000, "many slots for few prompts do not make their passes small"


COUNTED: list[tuple[str, str, int, int, int]] = [
    ("Minitron-8B", "l4", 16_000, 12, 7261), ("Minitron-8B", "t4", 9_000, 12, 4000),
    ("Llama-3-8B", "l4", 12_000, 16, 5000), ("Qwen3-4B", "l4", 10_000, 16, 3000), ("Qwen3-4B", "t4", 8_000, 12, 7261),
]  # fmt: skip
"""Model, GPU, `search.megabytes`, prompts, tokens of each."""

QUICK = ("Minitron-8B", "l4", 720, 2, 1200)
QUICK_BLOCKS = 12


@pytest.mark.parametrize(
    ("name", "card", "megabytes", "prompts", "tokens"),
    [pytest.param(*QUICK), *(pytest.param(*each, marks=pytest.mark.slow) for each in COUNTED)],
)
def test_the_plan_is_what_a_search_of_true_size_takes_and_at_most_an_eighth_more(
    name: str, card: str, megabytes: int, prompts: int, tokens: int
) -> None:
    """Prefill, KV cache, passes of the threshold search with drafts, scores: counted without memory."""
    adapt, shape = Adapt(rank=32), TRUE_SIZES[name][1]
    quick = (name, card, megabytes, prompts, tokens) == QUICK
    blocks = QUICK_BLOCKS if quick else shape.blocks
    with faked(name, blocks, card, adapt) as fake:
        before = fake.counting.living()
        held = search(fake, Asked(prompts, tokens, answers=3), megabytes).capacity.parallel_prompts
        searched = fake.counting.peak - before
    settings = Settings(adapt=adapt, search=Search(megabytes=megabytes))
    settings = replace(settings, model=replace(settings.model, context=tokens + 931))
    made = plan(replace(shape, blocks=blocks), settings, 2, tokens, "keep", DEVICE_OF[card])
    planned = made.weights + made.adapter + made.search
    share, ratio = searched / made.search, planned / fake.counting.peak
    print(f"\n{name} on {card}: {held} prompts at a time, {share:.1%} of the budget, plan / peak {ratio:.3f}")
    assert searched < made.search
    assert fake.counting.peak < planned < 1.125 * fake.counting.peak
