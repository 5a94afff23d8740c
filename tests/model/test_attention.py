"""Each way to attend says what transformers' own says, in every family, with masks and without."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from submission.arc.layouts import CHAT16
from submission.arc.prompts import padded, prompt, row
from submission.arc.tasks import Task, grid
from submission.arc.views import identity, stream
from submission.config import Adapt, Model, Search
from submission.deadline import NEVER
from submission.model.attention import (
    BY_ROW,
    GROUPED,
    REPEATED,
    by_row,
    grouped,
    pass_mask,
    query_group,
    register_backend,
    repeated,
)
from submission.model.kv_cache import SlotPlan
from submission.solver.engine import Question
from tests.support.counted import faked, gradient
from tests.support.counted_search import Asked, forest_on
from tests.support.engines import loaded, scored
from tests.support.families import FAMILIES, miniature
from tests.support.gpu_kernels import fused_kernel


def test_each_kind_of_machine_has_its_way() -> None:
    assert register_backend((8, 0)) == register_backend((8, 9)) == GROUPED
    assert register_backend((7, 5)) == REPEATED
    assert register_backend(None) == BY_ROW


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_the_same(family: str, tmp_path: Path, small_task: Task) -> None:
    """A whole row without a mask, as in training; and prompts and tries with one, as in the search."""
    engine = loaded(miniature(tmp_path, family), Model(device="cpu", dense_megabytes=0), Adapt(rank=0), Search())
    asked = [Question(identity(3), prompt(CHAT16, small_task.demonstrations, each, 4096)) for each in small_task.tests]
    ids, _, where = padded(CHAT16, [row(CHAT16, small_task.demonstrations, 4096)] * 2)
    logits, scores = {}, {}
    for name in ("sdpa", register_backend((8, 9)), register_backend((7, 5)), register_backend(None)):
        engine.base.set_attn_implementation(name)
        with torch.no_grad():
            logits[name] = engine.model(
                input_ids=torch.from_numpy(ids), position_ids=torch.from_numpy(where[0]), use_cache=False
            ).logits
        scores[name] = scored(engine, asked, [grid([[1, 2], [3, 4]]), grid([[5]])], 2, NEVER)
        assert engine.base.config._attn_implementation == name
    for name in (GROUPED, REPEATED, BY_ROW):
        torch.testing.assert_close(logits["sdpa"], logits[name], atol=1e-5, rtol=1e-4)
        assert np.allclose(scores["sdpa"], scores[name], atol=1e-4)


def test_no_slot_of_the_cache_is_looked_at_before_it_is_filled(tmp_path: Path, small_task: Task) -> None:
    settings = Search(threshold=0.001)
    engine = loaded(miniature(tmp_path, "llama-3.1"), Model(device="cpu"), Adapt(rank=0), settings)
    asked = [
        Question(view, prompt(CHAT16, view.arrange(small_task.demonstrations), view.see(small_task.tests[0]), 4096))
        for view in islice(stream(len(small_task.demonstrations), np.random.default_rng(0), "permute"), 6)
    ]
    answers = [grid([[1, 2], [3, 4]]), grid([[5]]), grid([[7] * 30] * 30)]
    true = scored(engine, asked, answers, 3, NEVER)
    torch.use_deterministic_algorithms(True)  # Which fills fresh memory with what is not a number.
    try:
        assert torch.empty(3).isnan().all()
        seen = scored(engine, asked, answers, 3, NEVER)
    finally:
        torch.use_deterministic_algorithms(False)
    assert np.allclose(seen, true, atol=1e-4)


@pytest.mark.parametrize("whole", [sdpa_attention_forward, repeated])
@pytest.mark.parametrize("n", [1, 3, 300])
def test_a_few_tokens_share_the_keys_of_the_cache(whole: Any, n: int) -> None:
    torch.manual_seed(0)
    query, keys, values = torch.randn(2, 6, n, 8), *torch.randn(2, 2, 3, 40, 8)
    mask = torch.rand(2, 1, n, 40) < 0.5
    mask[..., 0] = True
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    seen, _ = grouped(whole)(module, query, keys, values, mask, scaling=0.3)
    every = [each.repeat_interleave(2, dim=1) for each in (keys, values)]
    scores = (0.3 * query @ every[0].transpose(2, 3)).masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(seen, (scores.softmax(-1) @ every[1]).transpose(1, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_is_made_once_a_pass_in_the_form_that_the_kernels_take(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((2, 3, 41)) < 0.5
    added = pass_mask(torch.from_numpy(mask), dtype, group=4)
    assert (added.shape, added.dtype) == ((2, 1, 12, 41), dtype)
    assert all(stride % 8 == 0 for stride in added.stride()[:-1]), "rows begin where the kernels can read them"
    for k in range(4):
        assert np.array_equal(added[:, 0, 3 * k : 3 * k + 3].float().numpy() == 0, mask)
    assert set(added.float().unique().tolist()) == {-np.inf, 0.0}


def test_a_stacked_mask_gives_what_a_plain_one_gives() -> None:
    torch.manual_seed(0)
    query, keys, values = torch.randn(2, 6, 3, 8), *torch.randn(2, 2, 3, 40, 8)
    mask = np.random.default_rng(0).random((2, 3, 40)) < 0.5
    mask[..., 0] = True
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    plain, stacked = (pass_mask(torch.from_numpy(mask), torch.float32, copies) for copies in (1, 2))
    attend = grouped(repeated)
    assert torch.equal(
        attend(module, query, keys, values, plain, scaling=0.3)[0],
        attend(module, query, keys, values, stacked, scaling=0.3)[0],
    )


def test_the_group_is_told_by_the_config(tmp_path: Path) -> None:
    engine = loaded(miniature(tmp_path, "llama-3.1"), Model(device="cpu"), Adapt(rank=0), Search())
    assert query_group(engine.base) == 4


def test_rows_that_lie_apart_and_reach_differently_far_see_their_own_part_of_the_cache() -> None:
    torch.manual_seed(0)
    keys, values = torch.randn(2, 5, 2, 40, 8)
    plan = SlotPlan(rows=[1, 2, 4], used=[10, 30, 7], width=3, prefill=False, by_row=True)
    query = torch.randn(3, 4, 3, 8)
    mask = torch.rand(3, 1, 3, plan.end) < 0.5
    mask[..., 0] = True
    for at, (held, used) in enumerate(zip(plan.rows, plan.used, strict=True)):
        mask[at, :, :, used + plan.width :] = False
        keys[held, :, used + plan.width :] = torch.nan
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    seen, _ = by_row(module, query, keys, values, mask, plan, scaling=0.3)
    for at, held in enumerate(plan.rows):
        for head in range(4):
            scores = 0.3 * query[at, head] @ keys[held, head // 2].T[:, : plan.end]
            weights = scores.masked_fill(~mask[at, 0], -torch.inf).softmax(-1)
            torch.testing.assert_close(seen[at, :, head], weights @ values[held, head // 2, : plan.end])


def tensors(heads: int, dtype: torch.dtype, channels: int = 128) -> list[torch.Tensor]:
    """Four queries of eight heads, keys and values of 16 slots of so many."""
    return [torch.zeros(1, each, n, channels, dtype=dtype) for each, n in ((8, 4), (heads, 16), (heads, 16))]


def test_what_fused_kernels_take_is_told_from_what_the_math_kernel_would_compute() -> None:
    """`fused_kernel` refuses each call that would hold the scores of all pairs of tokens, see torch's sdp_utils.cpp."""
    ampere, turing, half, brain = (8, 9), (7, 5), torch.float16, torch.bfloat16
    shared, whole = tensors(2, brain), tensors(8, brain)
    mask = torch.zeros(1, 1, 4, 16, dtype=brain)
    assert fused_kernel(ampere, *shared, None, True, True) == "flash"
    assert fused_kernel(ampere, *whole, mask, False, False) == "efficient"
    assert fused_kernel(turing, *tensors(8, half), None, True, False) == "efficient"
    refused = {
        "shared keys with a mask": (ampere, *shared, mask, False, True),
        "shared keys before Ampere": (turing, *tensors(2, half), None, True, True),
        "bfloat16 before Ampere": (turing, *whole, None, True, False),
        "float32 queries": (ampere, whole[0].float(), *whole[1:], None, True, False),
        "a mask of another type": (ampere, *whole, mask.float(), False, False),
        "a mask of another shape": (ampere, *whole, mask[..., :8], False, False),
        "a mask and causal": (ampere, *whole, mask, True, False),
        "channels that do not lie together": (ampere, whole[0].mT.contiguous().mT, *whole[1:], None, True, False),
        "heads of 100 channels": (ampere, *tensors(8, brain, channels=100), None, True, False),
    }  # fmt: skip
    assert {why for why, call in refused.items() if fused_kernel(*call) is None} == set(refused)


@pytest.mark.parametrize("card", ["t4", "l4"])
def test_no_call_of_a_step_or_a_search_of_true_size_falls_to_the_math_kernel(card: str) -> None:
    """Stand-ins refuse what no fused kernel takes, and masks whose rows a kernel would copy to align them."""
    with faked("Qwen3-4B", 1, card, Adapt(rank=32)) as fake:
        gradient(fake, 96, "recompute")
        forest = forest_on(fake, Asked(2, 37), 1000)
        forest.evaluate({0: [(1,), (2, 3)], 1: [(1,) * 29]}, NEVER)
        forest.evaluate({0: [(1,) * 30 + (10,) + (1,) * 20], 1: [(2,)]}, NEVER)
    assert fake.stand_ins.kernels == ({"flash", "efficient"} if card == "l4" else {"efficient"})
