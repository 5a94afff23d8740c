"""The training loop: its schedule ends on time and at a rate of zero, and its figures are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from submission.arc.layouts import CHAT16
from submission.cli.commands import main
from submission.errors import BadInput
from submission.model.forward import predictions
from submission.model.grid_lm import fresh
from submission.training.batches import loader
from submission.training.loop import (  # fmt: skip
    Learner,
    Progress,
    flops_per_token,
    peak_flops,
    require_device,
    require_finite_evaluation,
    share_left,
    train,
)
from submission.training.settings import Training, TrainingFailed
from tests.training.families import families


class Rates(torch.optim.SGD):
    """Plain gradient descent that notes the rate of each step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), lr=0.5)
        self.seen: list[float] = []

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.seen.append(self.param_groups[0]["lr"])
        super().step()


SETTINGS = Training(steps=20, tokens=256, limit=80, warmup=4, anneal=0.5, new_rules=0.0)


def test_the_rate_warms_up_stays_and_falls_to_zero_and_the_checkpoint_is_saved_before_the_fall() -> None:
    model = fresh(64, 1, 0, CHAT16)
    rates = Rates(model)
    saved: list[Progress] = []
    source = loader(families(), SETTINGS, 0)
    done = train(Learner(model, [rates], torch.float32), source, SETTINGS, Progress(100, 1000), saved.append)
    assert rates.seen[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert rates.seen[4:11] == pytest.approx([0.5] * 7)
    assert rates.seen[11:] == pytest.approx([0.5 * (20 - k) / 10 for k in range(11, 20)])
    assert [each.step for each in saved] == [110]
    assert done.step == 120
    assert done.tokens > 1000 + 20 * 100
    assert np.isfinite(done.loss)


def test_the_clock_ends_a_training_as_the_steps_do() -> None:
    timed = Training(minutes=2)
    assert share_left(timed, 10**6, 0) == 1
    assert share_left(timed, 0, 90) == pytest.approx(0.25)
    assert share_left(Training(minutes=2, steps=10), 9, 0) == pytest.approx(0.1)
    assert share_left(Training(steps=10), 0, 10**9) == 1


def test_a_training_without_an_end_or_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="needs an end"):
        Training()
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="no GPU"):
            require_device("cuda")


def test_the_arithmetic_of_a_token_is_counted() -> None:
    model = fresh(64, 2, 0)
    block = 4 * 64 * 64 + 3 * 64 * 192
    assert flops_per_token(model, 0) == 6 * (2 * block + 16 * 64)
    assert flops_per_token(model, 100) == 6 * (2 * block + 16 * 64) + 6 * 2 * 64 * 100
    model.requires_grad_(False)
    assert flops_per_token(model, 0) == 4 * (2 * block + 16 * 64)
    assert 1e8 < peak_flops("cpu", torch.float32) < 1e14


class SometimesNaN:
    """A forward pass whose loss is not a number at the steps named."""

    def __init__(self, steps: set[int]) -> None:
        self.steps, self.step = steps, -1

    def __call__(self, model: Any, ids: Tensor, learn: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        self.step += 1
        logits, targets = predictions(model, ids, learn, positions)
        return (logits * float("nan") if self.step in self.steps else logits), targets


def test_a_step_whose_loss_is_not_a_number_changes_nothing() -> None:
    model = fresh(64, 1, 0, CHAT16)
    forward = SometimesNaN({3, 4})
    done = train(
        Learner(model, [Rates(model)], torch.float32, forward), loader(families(), SETTINGS, 0), SETTINGS, Progress(),
        lambda _: None,
    )  # fmt: skip
    assert all(bool(weight.isfinite().all()) for weight in model.parameters())
    assert np.isfinite(done.loss)
    assert (done.step, done.left_out) == (20, 2), "they are counted, and made up for"


def test_a_training_whose_loss_is_no_number_for_ten_steps_ends_and_saves_nothing() -> None:
    model = fresh(64, 1, 0, CHAT16)
    before = [weight.clone() for weight in model.parameters()]
    saved: list[Progress] = []
    forward = SometimesNaN(set(range(1000)))
    with pytest.raises(TrainingFailed, match="for 10 steps in a row"):
        train(
            Learner(model, [Rates(model)], torch.float32, forward), loader(families(), SETTINGS, 0), SETTINGS,
            Progress(), saved.append,
        )  # fmt: skip
    assert forward.step == 9
    assert not saved
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_the_command_says_so_in_a_sentence_and_keeps_what_was_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["pretrain", "--hidden", "64", "--layers", "1", "--generated", "0", "--out", str(tmp_path), "--limit", "120"]
    assert main([*out, "--steps", "5"]) == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main([*out, "--resume", "--steps", "40", "--rate", "1e30"]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert "not a finite number" in told[-1]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 70_000.0])
def test_weights_that_no_model_file_can_hold_are_never_saved(value: float) -> None:
    """The last step may destroy the weights: no loss tells it. 70,000 is more than float16 holds."""
    model = fresh(64, 1, 0, CHAT16)
    saved: list[Progress] = []

    class Destroying(Rates):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            with torch.no_grad():
                next(iter(model.parameters())).view(-1)[3] = value

    def forward(*_: object) -> tuple[Tensor, Tensor]:
        return torch.zeros(1, 16, requires_grad=True), torch.zeros(1, dtype=torch.int64)

    for settings in (replace(SETTINGS, steps=1, anneal=0.1), replace(SETTINGS, steps=2, anneal=0.9)):
        with pytest.raises(TrainingFailed, match=r"after step 1 the weights .* are not finite in 16 bits"):
            train(
                Learner(model, [Destroying(model)], torch.float32, forward),
                loader(families(), settings, 0), settings, Progress(), saved.append,
            )  # fmt: skip
        assert not saved


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_held_out_loss_that_is_no_number_ends_a_training(loss: float) -> None:
    require_finite_evaluation(2.7)
    with pytest.raises(TrainingFailed, match="held-out loss is not a finite number"):
        require_finite_evaluation(loss)
