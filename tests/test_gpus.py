"""The GPUs: listed by nvidia-smi, by torch where that fails, and never silently none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from submission import gpus
from submission.errors import BadInput
from submission.gpus import Gpu, listed, listed_by_nvidia_smi, listed_by_torch
from tests import drill
from tests.support.fake_gpus import BROKEN, fake_torch, program

T4 = Gpu("Tesla T4", 15360, (7, 5), 0)


def test_nvidia_smi_gives_name_memory_and_capability_of_each_gpu(tmp_path: Path) -> None:
    found = listed_by_nvidia_smi(drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\n" * 2))
    assert found == [T4, Gpu("Tesla T4", 15360, (7, 5), 1)]
    assert found[0].bytes == 15360 * 2**20
    [newer] = listed_by_nvidia_smi(drill.nvidia_smi(tmp_path, "NVIDIA RTX PRO 6000, 97887, 12.0\n"))
    assert newer.capability == (12, 0)


def test_without_nvidia_smi_there_is_no_gpu(tmp_path: Path) -> None:
    assert listed_by_nvidia_smi({"PATH": str(tmp_path / "nowhere")}) == []
    assert listed({"PATH": str(tmp_path / "nowhere")}) == ([], "")


def test_a_warning_of_nvidia_smi_is_not_a_gpu(tmp_path: Path) -> None:
    warned = "Tesla T4, 15360, 7.5\nWARNING: infoROM is corrupted at gpu 0000:00:04.0\n"
    assert listed_by_nvidia_smi(drill.nvidia_smi(tmp_path, warned)) == [T4]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f'echo "{BROKEN}"; exit 9', f"nvidia-smi failed with exit status 9: {BROKEN}"),
        ("exit 1", "it printed nothing"),
        ("echo 'Orin, [N/A], 8.7'", r"cannot be read as a list of GPUs: Orin, \[N/A\], 8.7"),
        ("echo 'Failed to initialize NVML: Unknown Error' >&2; exit 255", "Failed to initialize NVML"),
    ],
)
def test_an_nvidia_smi_that_fails_is_an_error_with_what_it_printed(body: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words) as told:
        listed_by_nvidia_smi(program(tmp_path, body))
    assert len(str(told.value).splitlines()) == 1


def test_an_nvidia_smi_that_hangs_or_cannot_be_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "NVIDIA_SMI_SECONDS", 0.3)
    with pytest.raises(BadInput, match="does not answer"):
        listed_by_nvidia_smi(program(tmp_path, "exec sleep 20"))
    (tmp_path / "driver" / "nvidia-smi").write_text("#!/nowhere/sh\n")
    (tmp_path / "driver" / "nvidia-smi").chmod(0o644)
    with pytest.raises(BadInput, match="cannot be started"):
        listed_by_nvidia_smi({"PATH": str(tmp_path / "driver")})


def test_torch_is_asked_in_a_child_process(tmp_path: Path) -> None:
    found = listed_by_torch({**os.environ, **fake_torch(tmp_path, 2)})
    assert found == [Gpu("NVIDIA L4", 22034, (8, 9), k) for k in (0, 1)]
    code = (
        "import sys, os; from submission.gpus import listed_by_torch as l; l(os.environ); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_torch_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    environ = fake_torch(tmp_path, 1)
    (tmp_path / "fake" / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    with pytest.raises(BadInput, match="torch cannot list the GPUs: OSError: libcudart"):
        listed_by_torch({**os.environ, **environ})


def test_where_nvidia_smi_fails_the_gpus_are_those_of_torch(tmp_path: Path) -> None:
    environ = {**os.environ, **fake_torch(tmp_path, 2), **program(tmp_path, f'echo "{BROKEN}"; exit 9')}
    found, failure = listed(environ)
    assert [gpu.name for gpu in found] == ["NVIDIA L4"] * 2
    assert failure == f"nvidia-smi failed with exit status 9: {BROKEN}; torch lists 2 GPUs"
    (tmp_path / "fake" / "torch.py").write_text("raise ImportError('no CUDA')")
    found, failure = listed(environ)
    assert found == []
    assert BROKEN in failure and "no CUDA" in failure


def test_where_a_gpu_is_expected_torch_is_asked_too(tmp_path: Path) -> None:
    environ = {**os.environ, **fake_torch(tmp_path, 1), "PATH": str(tmp_path / "nowhere")}
    assert listed(environ) == ([], "")
    assert listed(environ, expected=True)[0] == [Gpu("NVIDIA L4", 22034, (8, 9), 0)]
