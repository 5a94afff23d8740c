"""Muon: momentum whose update is made orthogonal (K. Jordan, 2024, kellerjordan.github.io/posts/muon).

The same step as torch.optim.Muon with its defaults. Two things differ: matrices of one shape are iterated together, and
the iteration may run in float32, which torch's does in bfloat16 even on CPUs that have to emulate it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
STEPS = 5
"""Newton-Schulz iterations."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5 in one iteration. Singular values end near 1, at about 0.7 to 1.2, in few iterations."""
SMALLEST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, with decoupled weight decay; for matrices [outputs, inputs] alone."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, dtype: torch.dtype) -> None:
        """`dtype` is what Newton-Schulz is computed in; weights and momentum stay in their own."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype
        for group in self.param_groups:
            if wrong := [tuple(each.shape) for each in group["params"] if each.ndim != 2]:
                raise ValueError(f"Muon is for matrices, not for a weight of shape {wrong[0]}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step for all matrices that have a gradient; a closure is not supported."""
        assert closure is None
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[tuple(weight.shape)].append(weight)
            for (outputs, inputs), weights in alike.items():
                updates = orthogonalized(torch.stack([self._nesterov(each) for each in weights]), self.dtype)
                rate = group["lr"] * math.sqrt(max(1.0, outputs / inputs))
                for weight, update in zip(weights, updates, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _nesterov(self, weight: Tensor) -> Tensor:
        """The gradient, with its running mean brought up to date and mixed in."""
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        assert weight.grad is not None
        mean: Tensor = state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(mean, MOMENTUM)


def orthogonalized(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrices [n, a, b] with their singular values brought near 1 (about 0.7 to 1.2, tiny ones less), in `dtype`.

    Newton-Schulz: x <- c0 x + c1 (x x') x + c2 (x x')^2 x, from a Frobenius norm of 1, on the smaller side.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.to(dtype)
    x = x.mT.contiguous() if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x.mT if tall else x
