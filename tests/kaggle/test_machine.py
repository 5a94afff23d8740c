"""The GPUs of a Kaggle machine: counted whatever fails, refused where torch cannot use them, compared with the wish."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.gpus import Gpu
from submission.kaggle.machine import gpu_line, gpus_for, other_machine, supported
from submission.kaggle.prepare import model_for
from tests import drill
from tests.support.fake_gpus import BROKEN, L4, P100, T4, fake_torch, program

ATTACHED = [Path("m")]


def test_outside_the_scored_rerun_a_failing_nvidia_smi_is_an_error_for_an_attached_model(tmp_path: Path) -> None:
    environ = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 4)}
    with pytest.raises(
        BadInput, match="m: needs a GPU, but nvidia-smi failed with exit status 9: NVIDIA-SMI has failed"
    ):
        gpus_for(ATTACHED, False, environ)
    gpus, failure = gpus_for([], False, environ)
    assert "NVIDIA-SMI has failed" in failure, "the embedded model needs none, but the failure is reported"
    assert len(gpus) == 4


def test_outside_the_scored_rerun_an_attached_model_without_a_gpu_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="m: needs a GPU, and there is none: .* or detach the model"):
        gpus_for(ATTACHED, False, {"PATH": str(tmp_path)})
    assert gpus_for([], False, {"PATH": str(tmp_path)}) == ([], "")
    assert gpus_for(ATTACHED, False, drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\n")) == ([T4], "")


def test_the_scored_rerun_asks_torch_where_nvidia_smi_fails(tmp_path: Path) -> None:
    failing = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 4)}
    gpus, failure = gpus_for(ATTACHED, True, failing)
    assert [gpu.index for gpu in gpus] == [0, 1, 2, 3]
    assert model_for(gpus, ATTACHED, Path("embedded"))[0] == Path("m")
    assert failure.endswith("torch lists 4 GPUs")
    none = gpus_for(ATTACHED, True, {**failing, "PATH": str(tmp_path / "nowhere")})
    assert len(none[0]) == 4, "a GPU that nvidia-smi lacks as well"


def test_the_scored_rerun_without_any_gpu_runs_the_embedded_model_and_says_so(tmp_path: Path) -> None:
    failing = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 0)}
    gpus, failure = gpus_for(ATTACHED, True, failing)
    assert gpus == []
    assert failure.endswith("torch lists 0 GPUs")
    model, line = model_for(gpus, ATTACHED, Path("embedded"))
    assert model == Path("embedded")
    assert "the embedded model runs instead" in line


def test_a_p100_is_refused_but_in_the_scored_rerun_which_goes_on_without_it() -> None:
    with pytest.raises(BadInput, match="P100.*choose T4 x2 or L4 x4"):
        supported([P100], scored=False)
    left, told = supported([P100], scored=True)
    assert left == []
    assert "P100" in told and "it is not used" in told
    for scored in (False, True):
        assert supported([L4] * 4, scored) == ([L4] * 4, "")


@pytest.mark.parametrize(
    ("asked", "gpus", "told"),
    [
        ("l4x4", [T4] * 2, "asks for 4 L4, but here is 2 x Tesla T4"),
        ("l4x4", [L4], "asks for 4 L4, but here is 1 x NVIDIA L4"),
        ("t4x2", [T4], "asks for 2 T4, but here is 1 x Tesla T4"), ("none", [T4] * 2, ""),
        ("t4x2", [L4] * 4, "asks for 2 T4, but here is 4 x NVIDIA L4"),
        ("l4x4", [L4] * 4, ""), ("t4x2", [T4] * 2, ""), ("t4x2", [], ""), (None, [T4], ""), ([5], [T4], ""),
    ],
)  # fmt: skip
def test_another_machine_than_the_bundle_asks_for_is_told(asked: object, gpus: list[Gpu], told: str) -> None:
    lines = other_machine(asked, gpus)
    assert len(lines) == bool(told)
    assert told in "".join(lines)


def test_the_gpus_are_named() -> None:
    assert gpu_line([L4] * 4) == "GPUs: 4 x NVIDIA L4 (22.5 GiB)"
    assert gpu_line([L4, T4]).count("1 x") == 2
    assert gpu_line([]) == "there is no GPU"
