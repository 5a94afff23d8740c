"""A pass is priced as the machine computes it: a fixed cost on a CPU, bitsandbytes' steps on a GPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from submission.benchmarks import roofline
from submission.inference.token_tree import cheapest_batches
from submission.model import pass_cost as costs
from submission.model.grid_lm import GridLM
from submission.model.pass_cost import CPU_OVERHEAD, PassCost, fused_by_bitsandbytes, pass_cost, stepped_cost
from tests.support.pretended_gpu import bitsandbytes_sees

MINITRON = Counter({(4096, 4096): 80, (1024, 4096): 80, (11520, 4096): 80, (4096, 11520): 40})
"""Minitron-8B's projections: outputs, inputs -> how many."""

CARDS = {"t4": (7, 5), "l4": (8, 9), "h100": (9, 0)}
"""Compute capability of each card; device 0 of these tests is a T4, 1 an L4, 2 an H100."""


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Any:
    """bitsandbytes' own rules, which only ask a GPU what it is."""
    return bitsandbytes_sees(monkeypatch, *CARDS.values())


@pytest.mark.parametrize(
    ("card", "dtype", "one_kernel"),
    [("t4", torch.float16, (64, 32, 128, 64)), ("l4", torch.bfloat16, (32, 12, 256, 128)),
     ("h100", torch.bfloat16, (7, 7, 32, 5))],
)  # fmt: skip
@pytest.mark.usefixtures("ops")
def test_the_steps_are_those_at_which_bitsandbytes_dequantizes(
    card: str, dtype: torch.dtype, one_kernel: tuple[int, ...]
) -> None:
    """For each shape of Minitron's: up to how many tokens its weights are not dequantized."""
    device = list(CARDS).index(card)
    fused = fused_by_bitsandbytes(device, dtype)
    assert fused is not None
    for (outputs, inputs), most in zip(MINITRON, one_kernel, strict=True):
        assert [fused(m, outputs, inputs) for m in (most, most + 1)] == [True, False]
    cost = stepped_cost(MINITRON, fused, costs.FLOPS_A_BYTE[CARDS[card]])
    jumps = {n for n in range(1, 600) if cost.of(n + 1) > cost.of(n) + 5}
    assert jumps == set(one_kernel)


@pytest.mark.usefixtures("ops")
def test_the_roofline_of_the_forecast_has_the_same_steps_and_rates() -> None:
    for device, (card, dtype) in enumerate((("t4", torch.float16), ("l4", torch.bfloat16), ("h100", torch.bfloat16))):
        fused = fused_by_bitsandbytes(device, dtype)
        assert fused is not None
        steps = [next(m - 1 for m in range(1, 2000) if not fused(m, *shape)) for shape in MINITRON]
        stated = roofline.CARDS[card]
        assert tuple(steps) == stated.one_kernel
        assert costs.FLOPS_A_BYTE[CARDS[card]] == round(stated.flops / stated.bandwidth)
    assert roofline.CARDS["h200"].one_kernel == roofline.CARDS["h100"].one_kernel


@pytest.mark.usefixtures("ops")
def test_an_l4_takes_the_times_that_were_computed_for_it() -> None:
    """18 ms up to the first step, 45 up to the second, 138 and more where all is dequantized (0.29 ms a token)."""
    fused = fused_by_bitsandbytes(1, torch.bfloat16)
    assert fused is not None
    cost = stepped_cost(MINITRON, fused, costs.FLOPS_A_BYTE[8, 9])
    seconds = {n: 0.29e-3 * float(cost.of(n)) for n in (1, 12, 128, 257, 2000)}
    assert seconds[1] == pytest.approx(0.018, rel=0.1) and seconds[12] == seconds[1]
    assert 0.035 < seconds[128] < 0.09
    assert seconds[257] > 0.138
    assert float(cost.of(2000)) == pytest.approx(2000 + cost.fixed)


def test_a_cost_never_falls_with_more_tokens() -> None:
    for cost in (PassCost(3.0), stepped_cost(MINITRON, lambda m, n, k: m <= 32, 229)):
        assert (np.diff(cost.of(np.arange(1, 3000))) >= 0).all()


def test_a_version_of_bitsandbytes_that_does_not_tell_has_one_price(
    monkeypatch: pytest.MonkeyPatch, ops: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(ops, "_gemm_4bit_custom_max_m")
    with caplog.at_level("INFO"):
        assert fused_by_bitsandbytes(0, torch.float16) is None
    assert "does not tell" in caplog.text


def test_on_a_cpu_a_pass_has_a_fixed_cost(tiny_grid_model: Path) -> None:
    cost = pass_cost(GridLM.from_pretrained(tiny_grid_model))
    assert cost == PassCost(CPU_OVERHEAD)
    assert cost.each(4, 2).tolist() == [(4 + 32) / 4, (8 + 32) / 4, (12 + 32) / 4]


def cut(widths: list[int], cost: PassCost, room: int = 1000, most: int = 10_000) -> list[int]:
    return cheapest_batches(widths, [room] * len(widths), most, cost)


def test_rows_share_a_pass_where_that_is_cheaper() -> None:
    assert cut([], PassCost(1.0)) == []
    assert cut([8, 8, 8], PassCost(1.0)) == [3], "without padding there is no reason to part"
    assert cut([100, 2, 2], PassCost(10.0)) == [1, 3], "98 tokens of padding a row are dearer than a pass"
    assert cut([100, 2, 2], PassCost(1000.0)) == [3]
    assert cut([30, 3, 3, 3], PassCost(500.0, (60.0,) * 32)) == [1, 4], "two passes below the step"
    assert cut([8, 8, 8], PassCost(1.0), most=16) in ([1, 3], [2, 3]), "and never more tokens than a pass may take"
    assert cut([20_000], PassCost(1.0)) == [1], "but for one row"
    assert cheapest_batches([50, 5, 5], [100, 100, 20], 10_000, PassCost(1000.0)) == [1, 3], "the last has no room"


@pytest.mark.parametrize("seed", range(5))
def test_no_other_way_to_share_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = sorted(rng.integers(1, 40, 7).tolist(), reverse=True)
    cost = PassCost(float(rng.integers(1, 60)), (20.0,) * int(rng.integers(0, 40)))

    def total(ends: list[int]) -> float:
        firsts: list[Any] = [0, *ends[:-1]]
        return sum(float(cost.of(widths[a] * (b - a))) for a, b in zip(firsts, ends, strict=True))

    every = [[k + 1 for k in range(6) if bits >> k & 1] + [7] for bits in range(64)]
    assert total(cut(widths, cost)) == min(map(total, every))
