"""The GPUs of this machine, listed without loading CUDA into this process.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from submission.errors import BadInput

OLDEST_GPU = (7, 0)
"""The lowest compute capability that torch 2.10 has kernels for; a P100 has 6.0."""

NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
NVIDIA_SMI_SECONDS = 120.0

TORCH = """
import json, torch
found = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
print(json.dumps([[each.name, each.total_memory / 2**20, [each.major, each.minor]] for each in found]))
"""
TORCH_SECONDS = 300.0
"""Importing torch from a cold disk takes a minute."""


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    megabytes: float
    """Its memory, in MiB (2^20 bytes): all of it by nvidia-smi, somewhat less by torch."""
    capability: tuple[int, int]
    """CUDA compute capability: (7, 5) for a T4, (8, 9) for an L4."""
    index: int
    """Its number in CUDA_VISIBLE_DEVICES."""

    @property
    def bytes(self) -> float:
        """Its memory in bytes."""
        return self.megabytes * 2**20


def listed(environ: Mapping[str, str], expected: bool = False) -> tuple[list[Gpu], str]:
    """The GPUs that nvidia-smi lists or, where it fails, those that torch lists; and the failure, "" without one.

    Where a GPU is `expected`, it counts as a failure that nvidia-smi is not there or lists none.
    """
    try:
        found = listed_by_nvidia_smi(environ)
        failure = "nvidia-smi lists no GPU" if expected and not found else ""
    except BadInput as error:
        found, failure = [], str(error)
    if not failure:
        return found, ""
    try:
        found = listed_by_torch(environ)
    except BadInput as error:
        return [], f"{failure}; {error}"
    return found, f"{failure}; torch lists {len(found)} GPUs"


def listed_by_nvidia_smi(environ: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that nvidia-smi lists; none where there is no nvidia-smi.

    BadInput, with what nvidia-smi printed, where it is there and fails: GPUs whose driver does not work.
    """
    try:
        done = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, env=dict(environ))
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        raise BadInput(f"nvidia-smi does not answer within {NVIDIA_SMI_SECONDS:.0f} seconds") from None
    except OSError as error:
        raise BadInput(f"nvidia-smi cannot be started ({error})") from error
    printed = " ".join((done.stdout + " " + done.stderr).split())
    if done.returncode != 0:
        raise BadInput(f"nvidia-smi failed with exit status {done.returncode}: {printed or 'it printed nothing'}")
    try:
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith("WARNING")]
        return [_gpu(line, index) for index, line in enumerate(lines)]
    except ValueError as error:
        raise BadInput(f"nvidia-smi printed what cannot be read as a list of GPUs: {printed}") from error


def driver_version(environ: Mapping[str, str]) -> str | None:
    """The version of NVIDIA's driver, such as "580.65.06"; None where nvidia-smi does not tell it."""
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, env=dict(environ))
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[0] if done.returncode == 0 and lines else None


def _gpu(line: str, index: int) -> Gpu:
    """A line such as "Tesla T4, 15360, 7.5"; ValueError for any other."""
    name, megabytes, capability = line.split(", ")
    major, minor = capability.split(".")
    return Gpu(name, float(megabytes), (int(major), int(minor)), index)


def listed_by_torch(environ: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that torch can use, asked in a child process, so that neither torch nor CUDA is loaded here.

    BadInput where torch cannot be imported or its CUDA fails.
    """
    words = [sys.executable, "-P", "-c", TORCH]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TORCH_SECONDS, env=dict(environ))
    except subprocess.TimeoutExpired:
        raise BadInput(f"torch does not list the GPUs within {TORCH_SECONDS:.0f} seconds") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise BadInput(f"torch cannot list the GPUs: {reason}")
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        Gpu(str(name), float(megabytes), (int(major), int(minor)), index)
        for index, (name, megabytes, (major, minor)) in enumerate(found)
    ]
