"""What a training computes in: float32, or bfloat16 where a short measurement shows that this device is faster in it.

Trained weights, momentum and loss stay in float32 either way; autocast runs the matrix products and the attention in
bfloat16.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from submission.arc.layouts import NAMED
from submission.model.grid_lm import fresh
from submission.training.muon import orthogonalized
from submission.training.settings import Pretraining, Training

logger = logging.getLogger(__name__)

MIN_SPEEDUP = 1.1
"""How many times as fast as float32 bfloat16 must be to be chosen: for less, its rounding is not worth it."""

TRIES = 3
"""Measurements of each, of which the fastest counts: other processes share the machine."""

SIDE, TOKENS = 1024, 768
"""Side of the matrices and tokens of the row by which it is measured."""

BASE_HIDDEN = 512
"""Channels of the block by which it is measured for a large base: the smallest bases have about as many."""


@dataclass(frozen=True)
class Precision:
    """The types of numbers of a training."""

    products: torch.dtype
    """Of the matrix products in the forward and the backward pass."""
    newton_schulz: torch.dtype
    """Of Muon's iteration."""

    def names(self) -> dict[str, str]:
        """Both by name, for training.json and the log."""
        return {"products": str(self.products)[6:], "newton_schulz": str(self.newton_schulz)[6:]}


def chosen(settings: Pretraining) -> Precision:
    """The precision of the settings; for "auto" bfloat16 on a GPU, and what a measurement finds faster on a CPU."""
    if (known := _known(settings)) is not None:
        return Precision(known, known)
    product, step, iteration = (speedup(of) for of in (_product, _block_step(settings), _iteration(settings)))
    precision = Precision(_faster(min(product, step)), _faster(iteration))
    logger.info(
        "bfloat16 is %.2f times as fast as float32 in a matrix product, %.2f in a block's forward and backward pass, "
        "%.2f in Newton-Schulz: products in %s, Newton-Schulz in %s",
        product, step, iteration, *precision.names().values(),
    )  # fmt: skip
    return precision


def chosen_for_base(settings: Training) -> torch.dtype:
    """What the fine-tuning of a large base computes in: `Precision.products` as `chosen` finds them.

    The block that is measured is one of this package's own, of BASE_HIDDEN channels.
    """
    if (known := _known(settings)) is not None:
        return known
    block = Pretraining(steps=1, hidden=BASE_HIDDEN, positions="line", limit=settings.limit, seed=settings.seed)
    product, step = speedup(_product), speedup(_block_step(block))
    products = _faster(min(product, step))
    logger.info(
        "bfloat16 is %.2f times as fast as float32 in a matrix product, %.2f in a block's forward and backward pass: "
        "products in %s",
        product, step, str(products)[6:],
    )  # fmt: skip
    return products


def _known(settings: Training) -> torch.dtype | None:
    """The type that the settings name, or that a GPU has; None where a measurement has to tell."""
    if settings.dtype != "auto":
        return torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
    return torch.bfloat16 if settings.device == "cuda" else None


def _faster(times: float) -> torch.dtype:
    return torch.bfloat16 if times >= MIN_SPEEDUP else torch.float32


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


def _product(dtype: torch.dtype) -> object:
    one = torch.ones(SIDE, SIDE, dtype=dtype)
    return one @ one


def _block_step(settings: Pretraining) -> Work:
    """The forward and the backward pass of a model of one block over one row."""
    layout = NAMED[settings.layout]
    model = fresh(settings.hidden, 1, settings.seed, layout)
    ids = torch.arange(min(TOKENS, settings.limit))[None] % 10
    positions = torch.arange(ids.shape[1]).expand(layout.axes, *ids.shape)

    def work(dtype: torch.dtype) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(
                input_ids=ids, position_ids=positions[0] if layout.axes == 1 else positions, use_cache=False
            ).logits
        logits.float().logsumexp(-1).sum().backward()  # a loss that needs no targets
        return model.zero_grad(set_to_none=True)

    return work


def _iteration(settings: Pretraining) -> Work:
    """Newton-Schulz over the attention matrices of one block."""
    matrices = torch.eye(settings.hidden).expand(4, -1, -1)
    return lambda dtype: orthogonalized(matrices, dtype)
