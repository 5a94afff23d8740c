"""What a forward pass over a few tokens costs, in tokens of a large pass.

A pass reads every weight, be it for one token or a hundred. On a CPU that is a fixed cost beside that of the tokens. On
a GPU it goes by steps: bitsandbytes multiplies few tokens by weights in NF4 in one kernel, and for more it first
dequantizes the weights, which moves eight times the bytes. Where that changes depends on the card and on the matrix;
bitsandbytes is asked for it, so that a search can fill a pass up to a step, and stay below the next one.

A product takes the longer of its arithmetic and its memory traffic (a roofline, Williams et al. 2009).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bitsandbytes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from submission.model.memory_plan import NF4, SIXTEEN_BITS

logger = logging.getLogger(__name__)

Costs = NDArray[np.float64]

CPU_OVERHEAD = 32.0
"""Fixed cost of a pass on a CPU, in tokens. Measured with the embedded model."""

FLOPS_A_BYTE = {(7, 5): 94, (8, 9): 229, (9, 0): 179}
"""Operations of a large 16-bit product in the time of a byte from memory, by compute capability: T4, L4, H100."""

OTHER_GPU = 150
"""The same of a GPU that is not in the table."""

Fused = Callable[[int, int, int], bool]
"""Whether bitsandbytes multiplies M tokens by NF4 weights [N, K] in one kernel: of M, N, K."""


@dataclass(frozen=True)
class PassCost:
    """The cost of a pass, in tokens of a large pass."""

    fixed: float
    """What is added to the number of tokens, above those in `few`."""
    few: tuple[float, ...] = ()
    """The cost of passes of 1, 2, ... tokens, where it is another one."""

    def of(self, tokens: NDArray[np.int64] | int) -> Costs:
        """The cost of passes of so many tokens, padding included; at least 1."""
        counts = np.asarray(tokens)
        costs = counts + self.fixed
        if not self.few:
            return costs
        return np.where(counts <= len(self.few), np.array(self.few)[np.minimum(counts, len(self.few)) - 1], costs)

    def each(self, paths: int, longest: int) -> Costs:
        """A path's share of a pass over so many paths, if each has 0, 1, ... `longest` drafted tokens."""
        return self.of(paths * np.arange(1, longest + 2)) / paths


def pass_cost(model: nn.Module) -> PassCost:
    """The cost of passes of this model where its weights lie."""
    weight = next(model.parameters())
    if weight.device.type == "cpu":
        return PassCost(CPU_OVERHEAD)
    capability = torch.cuda.get_device_capability(weight.device)
    intensity = FLOPS_A_BYTE.get(capability, OTHER_GPU)
    layers = [each for each in model.modules() if isinstance(each, bitsandbytes.nn.Linear4bit)]
    fused = fused_by_bitsandbytes(weight.device.index or 0, layers[0].compute_dtype) if layers else None
    if fused is None:
        return PassCost(float(intensity * SIXTEEN_BITS / 2))
    return stepped_cost(Counter((each.out_features, each.in_features) for each in layers), fused, intensity)


def fused_by_bitsandbytes(device: int, dtype: torch.dtype) -> Fused | None:
    """What this version of bitsandbytes does on a GPU; None, with a line in the log, where it does not say."""
    try:
        from bitsandbytes.backends.cuda import ops

        decides: Any = ops._gemm_4bit_use_custom_fn
        most: int = ops._gemm_4bit_custom_max_m
    except (ImportError, AttributeError) as error:
        logger.info("bitsandbytes does not tell which products are one kernel (%s): passes cost the same up to a size",
                    error)  # fmt: skip
        return None
    return lambda m, n, k: m <= most and bool(decides(device, dtype, m, n, k))


MOST_FEW = 1536
"""Tokens above which bitsandbytes always dequantizes."""


def stepped_cost(shapes: Counter[tuple[int, int]], fused: Fused, intensity: float) -> PassCost:
    """The cost of passes over layers in NF4 of these shapes [N, K], so many of each.

    `intensity`: operations in the time of a byte, see `FLOPS_A_BYTE`. A token takes two operations a weight.
    """
    tokens = np.arange(1, MOST_FEW + 1)
    weights = sum(n * k * count for (n, k), count in shapes.items())
    unpack = (NF4 + SIXTEEN_BITS) * intensity / 2
    dense = unpack + np.maximum(tokens, SIXTEEN_BITS * intensity / 2)
    packed = np.maximum(tokens, NF4 * intensity / 2)
    costs = np.zeros(MOST_FEW)
    for (n, k), count in shapes.items():
        one_kernel = np.array([fused(int(m), n, k) for m in tokens])
        costs += n * k * count / weights * np.where(one_kernel, packed, dense)
    return PassCost(float(unpack), tuple(costs.tolist()))
