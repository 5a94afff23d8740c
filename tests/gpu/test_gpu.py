"""An 8B's shape on a GPU, within the memory of Kaggle's: the sections of `check --gpu`, one task at its full size.

    pytest tests/gpu -m gpu -s -n 0

The weights are random, so the search runs through scripted logits: every pass is computed whole. On a CPU the sections
are tested in miniature, in `tests/benchmarks/test_gpu_sections.py`.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.benchmarks import kernel_comparison
from submission.benchmarks.gpu_check import Order, Workload
from submission.benchmarks.gpu_sections import judged_peaks, outcome_of, peak_at
from submission.benchmarks.gpu_subject import Subject, one_task
from submission.benchmarks.synthetic_checkpoint import build
from submission.cli.commands import main
from submission.config import Settings, with_changes
from submission.deadline import NEVER
from submission.model import memory_plan
from submission.presets import card_of, preset

pytestmark = [
    pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]  # fmt: skip

GB = 1e9


@pytest.fixture(scope="session")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama 3.1 8B's shape over the 16 ids of chat16, random, in NF4: 4 GB on disk."""
    folder = tmp_path_factory.mktemp("big") / "model"
    build(folder, 32, CHAT16)
    return folder


def fitting_preset() -> str:
    return "poe-l4x4" if torch.cuda.get_device_capability()[0] >= 8 else "poe-t4x2"


def on_gpu(model: Path, settings: Settings, workload: Workload | None = None) -> Subject:
    return Subject(Order(model, with_changes(settings, ["model.device=cuda"]), workload=workload or Workload()))


@pytest.mark.parametrize(("name", "dtype"), [("poe-t4x2", "float16"), ("poe-l4x4", "auto")])
def test_an_8b_does_a_task_within_the_memory_of_the_card(eight: Path, name: str, dtype: str) -> None:
    room, there = memory_plan.CARDS[card_of(name) or ""], torch.cuda.get_device_properties(0).total_memory
    if there < room:
        pytest.skip(f"this GPU has {there / GB:.1f} GB, fewer than the {room / GB:.1f} GB to be kept within")
    settings = with_changes(preset(name), [f"model.gigabytes={room / GB}", f"model.dtype={dtype}"])
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room / there)
    torch.cuda.reset_peak_memory_stats()
    try:
        took = one_task(on_gpu(eight, settings, Workload(rows=64, views=16)), NEVER)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    peak = torch.cuda.max_memory_reserved()
    print(f"\n{name}: {took}, peak {peak / GB:.1f} GB reserved")
    assert peak <= room


@pytest.mark.parametrize("level", memory_plan.LEVELS)
def test_the_plan_holds_what_training_takes(eight: Path, level: memory_plan.Level) -> None:
    peak = peak_at(level, on_gpu(eight, preset(fitting_preset())), NEVER)
    assert peak is not None and judged_peaks([peak]).status == "ok"
    assert 0.5 * peak.planned_bytes < peak.allocated_bytes


@pytest.mark.parametrize("name", ["attention", "embedded"])
def test_no_attention_needs_the_math_kernel_and_real_weights_say_what_they_say_on_a_cpu(eight: Path, name: str) -> None:
    told = outcome_of(name, on_gpu(eight, preset(fitting_preset())), NEVER).outcome
    print(f"\n{told}")
    assert told.status == "ok"


@pytest.mark.skipif(find_spec("unsloth") is None, reason="unsloth is not installed: tests/kernels.txt")
def test_unsloth_s_kernels_train_as_native_training_does(eight: Path) -> None:
    told = kernel_comparison.compare(eight, preset(fitting_preset()), [1024, 4096], NEVER)
    print(f"\n{told}")
    assert told.problems() == []


def test_the_command_reports_within_its_time(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    status = main(["check", "--gpu", "--out", str(out)])
    told = json.loads(out.read_text())
    print(f"\n{out.read_text()}")
    assert told["seconds"] < 540
    assert (status, told["status"]) == (0, "ok")
