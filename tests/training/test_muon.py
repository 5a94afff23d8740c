"""Our Muon: torch's own step, for stacks of matrices and in float32 as well."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from submission.training.muon import Muon, orthogonalized

SHAPES = [(48, 32), (32, 48), (32, 32)]


def matrices(shapes: list[tuple[int, int]], seed: int = 0) -> list[nn.Parameter]:
    made = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=made)) for shape in shapes]


def trained(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int = 6) -> list[Tensor]:
    """The weights after steps on gradients that are the same for whatever optimizer."""
    made = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=made)
        optimizer.step()
    return [weight.detach() for weight in weights]


def test_in_bfloat16_a_matrix_alone_is_stepped_as_torch_steps_it() -> None:
    """One matrix of each shape, so nothing is batched; over several steps, with momentum and weight decay."""
    ours, theirs = matrices(SHAPES), matrices(SHAPES)
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    after = trained(ours, Muon(ours, lr=0.02, weight_decay=0.1, dtype=torch.bfloat16))
    for mine, its, begun in zip(after, trained(theirs, reference), matrices(SHAPES), strict=True):
        moved = (its - begun).norm()
        assert moved > 0.1
        assert (mine - its).norm() < 0.01 * moved


def test_matrices_of_one_shape_do_not_influence_each_other() -> None:
    together = matrices([(32, 48)] * 3 + [(48, 32)] * 2)
    apart = matrices([(32, 48)] * 3 + [(48, 32)] * 2)
    one = Muon(together, lr=0.02, weight_decay=0.01, dtype=torch.float32)
    after = trained(together, one)

    class OneByOne(torch.optim.SGD):
        def __init__(self) -> None:
            super().__init__(apart, lr=1.0)
            self.each = [Muon([weight], lr=0.02, weight_decay=0.01, dtype=torch.float32) for weight in apart]

        def step(self, closure: object = None) -> None:  # type: ignore[override]
            for optimizer in self.each:
                optimizer.step()

    for a, b in zip(after, trained(apart, OneByOne()), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(4, 40, 96), (4, 96, 40), (4, 64, 64)])
def test_in_float32_the_update_is_the_polar_factor_but_for_its_singular_values(shape: tuple[int, int, int]) -> None:
    """It has the singular vectors of the matrix, and singular values that the coefficients bring to 0.7 to 1.2."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    left, values, right = torch.linalg.svd(made, full_matrices=False)
    made = left @ torch.diag_embed(values.clamp(min=0.1 * values.max())) @ right
    update = orthogonalized(made, torch.float32)
    inner = left.mT @ update @ right.mT
    diagonal = torch.diagonal(inner, dim1=1, dim2=2)
    assert diagonal.min() > 0.6 and diagonal.max() < 1.25
    assert (inner - torch.diag_embed(diagonal)).abs().max() < 1e-4, "the singular vectors stay"


def test_a_gradient_of_zeros_moves_nothing_and_gives_no_nan() -> None:
    assert torch.equal(orthogonalized(torch.zeros(2, 8, 4), torch.float32), torch.zeros(2, 8, 4))


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not for a weight of shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1, weight_decay=0.0, dtype=torch.float32)
