"""What a training computes in follows the settings, or what a measurement finds."""

from __future__ import annotations

import pytest
import torch

from submission.training import precision
from submission.training.precision import Precision, chosen, chosen_for_base
from submission.training.settings import FineTuning, Pretraining

FLOAT, BRAIN = torch.float32, torch.bfloat16
TINY = Pretraining(steps=1, hidden=64, layers=1, limit=64)


@pytest.mark.parametrize(("name", "dtype"), [("float32", FLOAT), ("bfloat16", BRAIN)])
def test_a_named_type_is_taken_without_a_measurement(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "speedup", None)
    assert chosen(Pretraining(steps=1, dtype=name)) == Precision(dtype, dtype)  # type: ignore[arg-type]


def test_a_gpu_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "speedup", None)
    assert chosen(Pretraining(steps=1, device="cuda")) == Precision(BRAIN, BRAIN)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ((4.0, 1.7, 3.7), Precision(BRAIN, BRAIN)),
        ((4.0, 1.05, 3.7), Precision(FLOAT, BRAIN)),
        ((0.2, 1.5, 0.1), Precision(FLOAT, FLOAT)),
        ((4.0, 1.7, 0.9), Precision(BRAIN, FLOAT)),
    ],
)
def test_on_a_cpu_bfloat16_is_taken_where_it_is_faster_and_the_log_says_so(
    measured: tuple[float, ...],
    expected: Precision,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Products in bfloat16 need both a faster matrix product and a faster step."""
    caplog.set_level("INFO")
    values = iter(measured)
    monkeypatch.setattr(precision, "speedup", lambda work: next(values))
    assert chosen(TINY) == expected
    assert f"{measured[0]:.2f} times as fast as float32 in a matrix product, {measured[1]:.2f} in" in caplog.text
    assert f"products in {expected.names()['products']}" in caplog.text


@pytest.mark.parametrize(
    ("settings", "measured", "expected"),
    [
        (FineTuning(steps=1, dtype="bfloat16"), (), BRAIN),
        (FineTuning(steps=1, dtype="float32"), (), FLOAT),
        (FineTuning(steps=1, device="cuda"), (), BRAIN),
        (FineTuning(steps=1), (4.0, 1.7), BRAIN),
        (FineTuning(steps=1), (0.2, 1.7), FLOAT),
        (FineTuning(steps=1), (4.0, 1.05), FLOAT),
    ],
)
def test_the_fine_tuning_of_a_base_goes_by_the_same_measurements(
    settings: FineTuning, measured: tuple[float, ...], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter(measured)
    monkeypatch.setattr(precision, "speedup", lambda work: next(values))
    assert chosen_for_base(settings) is expected


@pytest.mark.parametrize("positions", ["grid", "line"])
def test_the_measurement_runs_the_real_block(positions: str) -> None:
    """Whichever is faster here, both are types that a training can use."""
    found = chosen(Pretraining(steps=1, hidden=64, layers=1, limit=64, positions=positions))  # type: ignore[arg-type]
    assert {found.products, found.newton_schulz} <= {FLOAT, BRAIN}
