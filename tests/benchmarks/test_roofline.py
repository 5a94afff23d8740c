"""What the roofline model says of a pass and a step is what is counted, operation by operation, at true sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from torch.utils.flop_counter import FlopCounterMode

from submission.benchmarks import roofline
from submission.benchmarks.rates import SHAPE_8B
from submission.benchmarks.roofline import CARDS, LAUNCH_SECONDS, PASS_KERNELS, STEP_KERNELS
from submission.config import Adapt
from submission.deadline import NEVER
from submission.model.memory_plan import LEVELS, NF4, Level, Shape
from tests.support.counted import TRUE_SIZES, Fake, faked, gradient
from tests.support.counted_search import Asked, forest_on

ADAPT = Adapt(rank=32)
MODELS = [("Minitron-8B", "l4"), ("Minitron-8B", "t4"), ("Qwen3-4B", "l4")]
QUICK_LEVELS: list[tuple[str, str, Level]] = [("Minitron-8B", "l4", "keep"), ("Minitron-8B", "l4", "recompute")]
PROMPT, NODES, ROW = 500, 16, 2000
"""Tokens of a prompt; nodes of a pass; tokens of a training row."""

Run = Callable[[], object]


def of_a_block(name: str, card: str, prepared: Callable[[Fake], Run]) -> tuple[Counter[str], int]:
    """Kernels and floating-point operations of one block: of a model of three less those of one of two."""
    kernels, flops = list[Counter[str]](), list[int]()
    for blocks in (3, 2):
        with faked(name, blocks, card, ADAPT) as fake:
            run = prepared(fake)
            fake.counting.kernels.clear()
            with FlopCounterMode(display=False) as counter:
                run()
            kernels.append(Counter(fake.counting.kernels))
            flops.append(counter.get_total_flops())
    return kernels[0] - kernels[1], flops[0] - flops[1]


def one_block(name: str) -> Shape:
    return replace(TRUE_SIZES[name][1], blocks=1, vocabulary=0)


def prefill(fake: Fake) -> Run:
    forest = forest_on(fake, Asked(1, PROMPT), 1000)
    return lambda: forest.evaluate({0: [()]}, NEVER)


def nodes(fake: Fake) -> Run:
    forest = forest_on(fake, Asked(2, PROMPT), 1000)
    forest.evaluate({0: [()], 1: [()]}, NEVER)
    return lambda: forest.evaluate({k: [(0,) * NODES] for k in range(2)}, NEVER)


@pytest.mark.parametrize(
    ("name", "card"),
    [pytest.param(*each, marks=[] if each[0] == "Qwen3-4B" else pytest.mark.slow) for each in MODELS],
)
def test_a_pass_of_the_search_has_no_more_kernels_and_operations_than_stated(name: str, card: str) -> None:
    kernels, flops = of_a_block(name, card, nodes)
    assert kernels.total() == PASS_KERNELS if name == "Qwen3-4B" else kernels.total() == PASS_KERNELS - 2, kernels
    stated = roofline.forward_flops(one_block(name), ADAPT, PROMPT + NODES)
    assert 2 * NODES * stated == pytest.approx(flops, rel=0.01)
    kernels, flops = of_a_block(name, card, prefill)
    assert kernels.total() <= PASS_KERNELS, kernels
    assert PROMPT * roofline.forward_flops(one_block(name), ADAPT, PROMPT / 2) == pytest.approx(flops, rel=0.01)


@pytest.mark.parametrize(
    ("name", "card", "level"),
    [
        pytest.param(name, card, level, marks=[] if (name, card, level) in QUICK_LEVELS else pytest.mark.slow)
        for name, card in MODELS
        for level in LEVELS
    ],
)
def test_a_training_step_has_no_more_kernels_and_operations_than_stated(name: str, card: str, level: Level) -> None:
    kernels, flops = of_a_block(name, card, lambda fake: lambda: gradient(fake, ROW, level))
    assert STEP_KERNELS[level] - 7 <= kernels.total() <= STEP_KERNELS[level], kernels
    assert ROW * roofline.step_flops(one_block(name), ADAPT, ROW, level) == pytest.approx(flops, rel=0.01)
    again = {"keep": 0, "selective": 0, "recompute": 6}[level]
    assert kernels["bitsandbytes::gemm_4bit"] == 7 + again, "the last product of a block is never computed again"


def test_a_small_pass_takes_as_long_as_memory_or_the_host_whichever_is_slower() -> None:
    shape = TRUE_SIZES["Minitron-8B"][1]
    launching = PASS_KERNELS * 40 * LAUNCH_SECONDS
    seconds = {name: roofline.pass_seconds(shape, card, True, 1.0) for name, card in CARDS.items()}
    assert seconds["l4"] == pytest.approx(0.138, rel=0.01), "33 GB at 240 GB/s"
    assert seconds["h200"] == launching
    assert roofline.pass_seconds(shape, CARDS["l4"], False, 1.0) == pytest.approx(2 * shape.block_weights / 240e9)


def test_a_pass_of_the_search_reads_packed_weights_up_to_the_steps() -> None:
    shape, card = SHAPE_8B, CARDS["l4"]
    few, some, many = (roofline.search_pass_seconds(shape, card, True, 1.0, n) for n in (12, 16, 257))
    assert few == pytest.approx(shape.block_weights * NF4 / card.bandwidth)
    assert few < some < 1.6 * few, "keys and values are dequantized"
    assert many == pytest.approx(roofline.pass_seconds(shape, card, True, 1.0))
    dense = roofline.search_pass_seconds(shape, card, False, 1.0, 257)
    assert dense == pytest.approx(2 * shape.block_weights / card.bandwidth)
