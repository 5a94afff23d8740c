"""Levels of checkpointing: the same gradient, and no product with a base weight twice where it is selective."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from submission.config import Adapt, Model, Search
from submission.model.checkpointing import ATTENTION, set_level
from submission.model.memory_plan import LEVELS, Level
from tests.support.counted import Counting
from tests.support.engines import loaded
from tests.support.families import FAMILIES, miniature

RANK = 8
PRODUCTS = 14
"""Of the base's weights, in a forward pass through the two blocks of a miniature."""


def step(model: Any, base: Any, level: Level) -> tuple[list[Tensor], Counting]:
    """The gradients of one row, and the operations that they took."""
    set_level(base, level)
    model.train()
    ids = torch.arange(48)[None] % 13
    with Counting() as counting:
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        torch.nn.functional.cross_entropy(logits, ids[0, 1:]).backward()
    gradients = []
    for each in model.parameters():
        if each.requires_grad:
            gradients.append(each.grad)
            each.grad = None
    return gradients, counting


@pytest.mark.parametrize("four_bit", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_level_has_the_same_gradient_to_the_last_bit(
    family: str, dtype: Any, four_bit: bool, tmp_path: Path
) -> None:
    model = Model(device="cpu", dtype=dtype, four_bit=four_bit, dense_megabytes=0)
    engine = loaded(miniature(tmp_path, family), model, Adapt(rank=RANK), Search())
    torch.manual_seed(1)
    for name, weight in engine.model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.1)
    gradients = {level: step(engine.model, engine.base, level)[0] for level in LEVELS}
    assert any(bool(each.any()) for each in gradients["keep"])
    for level in LEVELS[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients["keep"], gradients[level], strict=True)), level


def test_selective_computes_no_product_of_the_base_and_no_attention_twice(tmp_path: Path) -> None:
    model = Model(device="cpu", dtype="bfloat16", dense_megabytes=0)
    engine = loaded(miniature(tmp_path, "llama-3.1"), model, Adapt(rank=RANK), Search())
    products, attention, all_operations = {}, {}, {}
    for level in LEVELS:
        operations = step(engine.model, engine.base, level)[1].operations
        products[level] = operations["bitsandbytes::gemm_4bit"]
        attention[level] = sum(operations[each.name()] for each in ATTENTION)
        all_operations[level] = sum(operations.values())
    assert products == {"keep": PRODUCTS, "selective": PRODUCTS, "recompute": 2 * PRODUCTS - 2}
    assert attention == {"keep": 2, "selective": 2, "recompute": 4}
    assert all_operations["selective"] > all_operations["keep"], "the cheap operations are computed again"


def test_products_of_a_base_in_16_bits_are_told_from_those_of_the_lora(tmp_path: Path) -> None:
    model = Model(device="cpu", dtype="bfloat16", four_bit=False, dense_megabytes=0)
    engine = loaded(miniature(tmp_path, "qwen3"), model, Adapt(rank=RANK), Search())
    products = {level: step(engine.model, engine.base, level)[1].operations["aten::mm"] for level in LEVELS}
    again = {level: count - products["keep"] for level, count in products.items()}
    assert again["recompute"] - again["selective"] >= PRODUCTS - 2
