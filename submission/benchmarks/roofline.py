"""What a language model's passes cost on a GPU: floating-point operations, bytes, kernels, and seconds from these.

Operations are those of the products and of attention; a product of [m, k] and [k, n] has 2 m k n. Tests hold them, and
the kernels, against passes of true size that are counted operation by operation (`tests/support/counted.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from submission.config import Adapt
from submission.model.memory_plan import NF4, SIXTEEN_BITS, Level, Shape


@dataclass(frozen=True)
class Card:
    """What a kind of GPU sustains in large kernels; stated, not measured."""

    flops: float
    """Operations per second of products in 16 bits."""
    bandwidth: float
    """Bytes per second of its memory."""
    one_kernel: tuple[int, int, int, int]
    """Tokens up to which bitsandbytes multiplies by weights in NF4 without dequantizing them first, of an 8B: queries
    and output; keys and values; gate and up; down. `tests/model/test_pass_cost.py` holds them against its rules."""


CARDS = {
    "t4": Card(24e12, 256e9, (64, 32, 128, 64)),
    "l4": Card(55e12, 240e9, (32, 12, 256, 128)),
    "h100": Card(600e12, 3350e9, (7, 7, 32, 5)),
    "h200": Card(600e12, 4000e9, (7, 7, 32, 5)),
}
"""Of their data sheets: products 37, 45, 61 and 61 % (65, 121, 989, 989 TFLOPS), memory 80, 80, 100 and 83 %."""

PASS_KERNELS = 59
"""Kernels of a block with a LoRA in a pass of the search: the most that a model of `memory_plan`'s kind has."""

STEP_KERNELS: dict[Level, int] = {"keep": 184, "selective": 221, "recompute": 235}
"""Kernels of a block in the forward and backward pass of a training step, by level."""

LAUNCH_SECONDS = 17e-6
"""Of the host for a kernel, Python's part included: an estimate for Kaggle's CPUs (50 ms for 2900 launches)."""


def forward_flops(shape: Shape, adapt: Adapt, seen: float) -> float:
    """Operations of a token in a forward pass that attends to `seen` tokens: on average half its row in a prefill.

    The head is left out: it computes the last token of a prompt, and of a node less than a thousandth.
    """
    return 2.0 * (shape.block_weights + shape.lora_weights(adapt)) + attention_flops(shape, seen)


def attention_flops(shape: Shape, seen: float) -> float:
    """Operations of attention for a token that attends to `seen` tokens: two products."""
    return 4.0 * shape.blocks * shape.queries * seen


def step_flops(shape: Shape, adapt: Adapt, row: int, level: Level) -> float:
    """Operations of a token of a training step on rows of `row` tokens.

    Of the base's products the backward pass has those with the gradient, of the LoRA's also those for its weights; of
    attention five products for two, as flash attention computes the scores again. What checkpointing computes again
    comes on top: all of a block up to its last product.
    """
    base, lora = 2.0 * shape.block_weights, 2.0 * shape.lora_weights(adapt)
    attention, head = attention_flops(shape, row / 2), 2.0 * shape.vocabulary * shape.hidden
    last = 2.0 * shape.blocks * shape.intermediate * shape.hidden
    again = {"keep": 0.0, "selective": lora, "recompute": base - last + lora + attention}[level]
    return 2 * base + 3 * lora + 3.5 * attention + 2 * head + again


def dequantizing_bytes(shape: Shape) -> float:
    """Bytes read and written to dequantize the blocks once: what a large pass does before each product in 4 bits."""
    return shape.block_weights * (NF4 + SIXTEEN_BITS)


def pass_seconds(shape: Shape, card: Card, four_bit: bool, efficiency: float) -> float:
    """Seconds of a pass over a few tokens: the weights go through memory, or the host launches its kernels.

    In 4 bits weights are dequantized, written, and read by the product.
    """
    moved = shape.block_weights * SIXTEEN_BITS + (dequantizing_bytes(shape) if four_bit else 0.0)
    return max(moved / card.bandwidth / efficiency, PASS_KERNELS * shape.blocks * LAUNCH_SECONDS)


def search_pass_seconds(shape: Shape, card: Card, four_bit: bool, efficiency: float, tokens: int) -> float:
    """Seconds of a pass of the search over this many tokens, few enough that it is replayed as a CUDA graph.

    In 4 bits a product reads the packed weights, where bitsandbytes has one kernel for so many tokens.
    """
    if not four_bit:
        return shape.block_weights * SIXTEEN_BITS / card.bandwidth / efficiency
    parts = (
        2 * shape.hidden * shape.queries, 2 * shape.hidden * shape.keys, 2 * shape.hidden * shape.intermediate,
        shape.hidden * shape.intermediate,
    )  # fmt: skip
    packed, unpacked = NF4, NF4 + 2 * SIXTEEN_BITS
    moved = [n * (packed if tokens <= most else unpacked) for n, most in zip(parts, card.one_kernel, strict=True)]
    return shape.blocks * sum(moved) / card.bandwidth / efficiency


def step_launch_seconds(shape: Shape, level: Level) -> float:
    """Seconds of the host for a training step: fewer tokens make it no faster."""
    return STEP_KERNELS[level] * shape.blocks * LAUNCH_SECONDS
