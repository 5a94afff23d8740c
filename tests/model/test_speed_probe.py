"""bfloat16 is chosen on a CPU where a measurement finds it faster."""

from __future__ import annotations

import time

import pytest
import torch

from submission.model import loading, speed_probe
from submission.model.speed_probe import block_step, cpu_speedup, faster, product, speedup

FLOAT, BRAIN = torch.float32, torch.bfloat16


def test_the_speedup_is_that_of_the_fastest_tries() -> None:
    def work(dtype: torch.dtype) -> None:
        time.sleep(0.03 if dtype == FLOAT else 0.01)

    assert speedup(work) == pytest.approx(3, rel=0.4)


@pytest.mark.parametrize(("times", "dtype"), [(0.6, FLOAT), (1.05, FLOAT), (1.5, BRAIN)])
def test_auto_on_a_cpu_is_what_is_faster(times: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cpu_speedup", lambda: times)
    assert faster(times) is dtype
    assert loading.compute_dtype("auto", "cpu") is dtype
    assert loading.compute_dtype("float32", "cpu") is FLOAT, "a named type is taken"


def test_a_machine_is_measured_once_and_the_lesser_gain_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([4.0, 1.3])
    monkeypatch.setattr(speed_probe, "speedup", lambda work: next(measured))
    cpu_speedup.cache_clear()
    try:
        assert cpu_speedup() == cpu_speedup() == 1.3
    finally:
        cpu_speedup.cache_clear()


@pytest.mark.parametrize("dtype", [FLOAT, BRAIN])
def test_what_is_measured_computes_in_that_type(dtype: torch.dtype) -> None:
    assert product(dtype).dtype is dtype  # type: ignore[attr-defined]
    kinds: set[torch.dtype] = set()
    linear = torch.nn.functional.linear

    def noted(*args: torch.Tensor) -> torch.Tensor:
        kinds.add((made := linear(*args)).dtype)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", noted)
        block_step(64, 32)(dtype)
    assert kinds == {dtype}
