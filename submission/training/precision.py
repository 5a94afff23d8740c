"""What a training computes in: float32, or bfloat16 where a short measurement shows that this device is faster in it.

Trained weights, momentum and loss stay in float32 either way; autocast runs the matrix products and the attention in
bfloat16.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from submission.arc.layouts import NAMED
from submission.model.speed_probe import Work, block_step, faster, product, speedup
from submission.training.muon import orthogonalized
from submission.training.settings import Pretraining, Training

logger = logging.getLogger(__name__)

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
    of_product, step, iteration = (speedup(of) for of in (product, _block_step(settings), _iteration(settings)))
    precision = Precision(faster(min(of_product, step)), faster(iteration))
    logger.info(
        "bfloat16 is %.2f times as fast as float32 in a matrix product, %.2f in a block's forward and backward pass, "
        "%.2f in Newton-Schulz: products in %s, Newton-Schulz in %s",
        of_product, step, iteration, *precision.names().values(),
    )  # fmt: skip
    return precision


def chosen_for_base(settings: Training) -> torch.dtype:
    """What the fine-tuning of a large base computes in: `Precision.products` as `chosen` finds them.

    The block that is measured is one of this package's own, of BASE_HIDDEN channels.
    """
    if (known := _known(settings)) is not None:
        return known
    block = Pretraining(steps=1, hidden=BASE_HIDDEN, positions="line", limit=settings.limit, seed=settings.seed)
    of_product, step = speedup(product), speedup(_block_step(block))
    products = faster(min(of_product, step))
    logger.info(
        "bfloat16 is %.2f times as fast as float32 in a matrix product, %.2f in a block's forward and backward pass: "
        "products in %s",
        of_product, step, str(products)[6:],
    )  # fmt: skip
    return products


def _known(settings: Training) -> torch.dtype | None:
    """The type that the settings name, or that a GPU has; None where a measurement has to tell."""
    if settings.dtype != "auto":
        return torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
    return torch.bfloat16 if settings.device == "cuda" else None


def _block_step(settings: Pretraining) -> Work:
    """A block of the model that is trained, over one of its rows."""
    return block_step(settings.hidden, settings.limit, NAMED[settings.layout], settings.seed)


def _iteration(settings: Pretraining) -> Work:
    """Newton-Schulz over the attention matrices of one block."""
    matrices = torch.eye(settings.hidden).expand(4, -1, -1)
    return lambda dtype: orthogonalized(matrices, dtype)
