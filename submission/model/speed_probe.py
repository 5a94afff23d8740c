"""Whether this machine computes bfloat16 faster than float32, measured in about a second.

CPUs differ both ways: of those that were tried, one with AMX and a Zen 5 are faster in bfloat16, an Intel Xeon whose
guests do not see AMX is slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

from submission.arc.layouts import GRID16, Layout
from submission.model.grid_lm import fresh

MIN_SPEEDUP = 1.1
"""How many times as fast as float32 bfloat16 must be to be chosen: for less, its rounding is not worth it."""

TRIES = 3
"""Measurements of each, of which the fastest counts: other processes share the machine."""

SIDE, TOKENS = 1024, 768
"""Side of the matrices and tokens of the row by which it is measured."""

HIDDEN = 256
"""Channels of the block by which it is measured, unless it is said: those of the embedded model."""

Work = Callable[[torch.dtype], object]
"""A computation in a type of numbers, to be timed."""


def speedup(work: Work) -> float:
    """How many times as fast the work is in bfloat16 as in float32."""
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    for dtype in (*best, *(list(best) * TRIES)):
        began = time.perf_counter()
        work(dtype)
        best[dtype] = min(best[dtype], time.perf_counter() - began)
    return best[torch.float32] / best[torch.bfloat16]


def faster(times: float) -> torch.dtype:
    """The type to compute in, where bfloat16 is so many times as fast as float32."""
    return torch.bfloat16 if times >= MIN_SPEEDUP else torch.float32


@cache
def cpu_speedup() -> float:
    """How many times as fast bfloat16 is on this CPU, in a product and in a block's two passes, whichever gains less.

    Measured once in a process, with the threads that torch has then.
    """
    return min(speedup(product), speedup(block_step(HIDDEN, TOKENS)))


def product(dtype: torch.dtype) -> object:
    """A product of two matrices."""
    one = torch.ones(SIDE, SIDE, dtype=dtype)
    return one @ one


def block_step(hidden: int, tokens: int, layout: Layout = GRID16, seed: int = 0) -> Work:
    """The forward and the backward pass of a model of one block over one row."""
    model = fresh(hidden, 1, seed, layout)
    ids = torch.arange(min(TOKENS, tokens))[None] % 10
    positions = torch.arange(ids.shape[1]).expand(layout.axes, *ids.shape)

    def work(dtype: torch.dtype) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(
                input_ids=ids, position_ids=positions[0] if layout.axes == 1 else positions, use_cache=False
            ).logits
        logits.float().logsumexp(-1).sum().backward()  # a loss that needs no targets
        return model.zero_grad(set_to_none=True)

    return work
