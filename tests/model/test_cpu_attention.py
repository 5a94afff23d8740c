"""Causal attention in blocks: torch's own results and gradients, and used only where it is faster."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from submission.model import cpu_attention as module
from submission.model.cpu_attention import (
    BLOCK,
    WIDE,
    causal_attention,
    in_blocks,
    masked_attention,
    takes_products,
)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Query, key, value, and a gradient of what they give."""
    chance = torch.Generator().manual_seed(sum(shape))
    made = [torch.randn(*shape, generator=chance, dtype=torch.float32).to(dtype) for _ in range(4)]
    return [*(each.requires_grad_(True) for each in made[:3]), made[3]]


def of_torch(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)


@pytest.fixture(autouse=True, params=[False, True], ids=["products", "amx"])
def amx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both kinds of CPU; what is computed is the same."""
    monkeypatch.setattr(module, "has_amx", lambda: request.param)
    return bool(request.param)


SHAPES = [
    (1, 1, 2, 8), (2, 3, 5, 8), (1, 4, BLOCK, 16), (1, 4, BLOCK + 1, 16), (19, 1, 40, 8), (3, 16, 200, 8),
    (1, 2, 3 * BLOCK - 7, 64),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_and_gradients_are_those_of_torch(shape: tuple[int, ...]) -> None:
    *inputs, gradient = drawn(*shape)
    for scale in (shape[-1] ** -0.5, 0.3):
        ours, theirs = in_blocks(*inputs, scale), of_torch(*inputs, scale)
        assert torch.allclose(ours, theirs, atol=1e-5)
        for own, other in zip(
            torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
        ):
            assert torch.allclose(own, other, atol=2e-5)


def test_the_gradient_is_that_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)
    monkeypatch.setattr(module, "SCORES", 2 * 3 * 7)
    inputs = [each.double().detach().requires_grad_(True) for each in drawn(1, 3, 7, 2)[:3]]
    # The sums over blocks are in float32.
    assert torch.autograd.gradcheck(lambda *each: in_blocks(*each, 0.7), inputs, eps=1e-4, atol=1e-4)


def test_no_token_sees_a_later_one() -> None:
    query, key, value, _ = (each.detach() for each in drawn(1, 2, 2 * BLOCK + 5, 8))
    whole = in_blocks(query, key, value, 0.35)
    for end in (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 4):
        short = in_blocks(query[:, :, :end], key[:, :, :end], value[:, :, :end], 0.35)
        assert torch.allclose(short, whole[:, :, :end], atol=1e-6)


def test_in_bfloat16_it_is_about_as_exact_as_torch() -> None:
    *exact, gradient = drawn(2, 4, 300, 64)
    wanted = of_torch(*exact)
    wanted_gradients = torch.autograd.grad(wanted, exact, gradient)

    def off(attend: object) -> list[float]:
        inputs = [each.detach().bfloat16().requires_grad_(True) for each in exact]
        given = attend(*inputs)  # type: ignore[operator]
        found = [given.detach(), *torch.autograd.grad(given, inputs, gradient.bfloat16())]
        return [
            float((a.float() - b).norm() / b.norm())
            for a, b in zip(found, [wanted.detach(), *wanted_gradients], strict=True)
        ]

    ours, theirs = off(causal_attention), off(of_torch)
    assert max(ours) < 0.02
    assert all(own < 2 * other for own, other in zip(ours, theirs, strict=True)), (ours, theirs)


@pytest.mark.parametrize(
    ("dtype", "length", "autocast", "blocks"),
    [
        (torch.bfloat16, 40, False, True), (torch.float32, 40, False, False), (torch.float32, 40, True, True),
        (torch.float16, 40, False, False), (torch.bfloat16, 1, False, False),
    ],
)  # fmt: skip
def test_blocks_are_for_rows_in_bfloat16(
    dtype: torch.dtype, length: int, autocast: bool, blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(module, "in_blocks", lambda *each: taken.append(each) or in_blocks(*each))
    query, key, value, _ = drawn(1, 2, length, 8, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        given = causal_attention(query, key, value)
    assert bool(taken) == blocks
    assert given.dtype == (torch.bfloat16 if autocast else dtype)


def test_attention_with_a_mask_is_that_of_torch_and_finite_where_nothing_is_seen() -> None:
    query, _, _, _ = (each.detach() for each in drawn(1, 4, 2 * BLOCK + 5, 16))
    key, value, _, _ = (each.detach() for each in drawn(1, 4, 300, 16))
    seen = torch.rand(1, 1, 2 * BLOCK + 5, 300, generator=torch.Generator().manual_seed(0)) < 0.3
    seen[..., 5, :] = False
    mask = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    ours = masked_attention(query, key, value, mask)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    at = torch.arange(2 * BLOCK + 5) != 5
    assert torch.allclose(ours[:, :, at], theirs[:, :, at], atol=1e-5) and bool(ours.isfinite().all())


@pytest.mark.parametrize(
    ("queries", "heads", "dtype", "grad", "expected"),
    [
        (WIDE, 4, torch.bfloat16, False, True), (WIDE - 1, 4, torch.bfloat16, False, False),
        (WIDE, 2, torch.bfloat16, False, False), (WIDE, 4, torch.float32, False, False),
        (WIDE, 4, torch.bfloat16, True, False),
    ],
)  # fmt: skip
def test_products_are_for_many_queries_in_bfloat16(
    queries: int, heads: int, dtype: torch.dtype, grad: bool, expected: bool, amx: bool
) -> None:
    query, key = torch.zeros(1, 4, queries, 8, dtype=dtype), torch.zeros(1, heads, 100, 8, dtype=dtype)
    with torch.set_grad_enabled(grad):
        assert takes_products(query, key) == (expected and not amx)


def test_scores_computed_together_are_bounded() -> None:
    for length in (1, 100, 1024, 6500, 100_000):
        together = module._together(length)
        assert together == 1 or together * BLOCK * length <= module.SCORES
    assert module._together(1024) > 1
