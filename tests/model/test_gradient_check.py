"""Gradients of two ways to train a model: how far apart they are, and that the model is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from submission.config import Model, Search
from submission.model.gradient_check import gradient_distance, gradients, random_row, trial_adapter
from tests.support.engines import ADAPT, loaded


def test_the_distance_is_the_length_of_the_difference_as_a_share_of_the_first() -> None:
    one = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    assert gradient_distance(one, one) == 0
    assert gradient_distance(one, {"a": torch.tensor([3.0, 3.0]), "b": torch.tensor([8.0])}) == pytest.approx(1.0)
    assert not gradient_distance(one, one | {"b": torch.tensor([torch.nan])}) <= 1


def test_both_halves_of_the_lora_have_a_gradient_and_the_model_is_left_as_it_was(tiny_line_model: Path) -> None:
    engine = loaded(tiny_line_model, Model(device="cpu"), ADAPT, Search())
    before = {name: weight.clone() for name, weight in engine.model.named_parameters()}
    with trial_adapter(engine.model):
        loss, found = gradients(engine.model, random_row(engine.base, 16))
    assert loss == pytest.approx(2.77, abs=0.5), "a random model is near ln 16"
    assert set(found) == {name for name, weight in engine.model.named_parameters() if weight.requires_grad}
    assert all(bool(each.abs().sum() > 0) for each in found.values())
    assert all(torch.equal(before[name], weight) for name, weight in engine.model.named_parameters())
    assert all(weight.grad is None for weight in engine.model.parameters())
    assert not engine.model.training


def test_float16_gives_the_gradients_of_float32_up_to_its_rounding(tiny_line_model: Path) -> None:
    found = []
    for dtype in ("float32", "float16"):
        engine = loaded(tiny_line_model, Model(device="cpu", dtype=dtype, dense_megabytes=0), ADAPT, Search())
        with trial_adapter(engine.model):
            found.append(gradients(engine.model, random_row(engine.base, 16))[1])
    assert 1e-5 < gradient_distance(*found) < 0.03
