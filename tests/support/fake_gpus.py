"""An nvidia-smi and a torch that say what a test wants."""

from __future__ import annotations

from pathlib import Path

from submission.gpus import Gpu
from tests import drill

L4 = Gpu("NVIDIA L4", 23034, (8, 9), 0)
T4 = Gpu("Tesla T4", 15360, (7, 5), 0)
P100 = Gpu("Tesla P100-PCIE-16GB", 16384, (6, 0), 0)

BROKEN = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."

FAKE_TORCH = """
class Properties:
    name, total_memory, major, minor = "NVIDIA L4", 22034 * 2**20, 8, 9
class cuda:
    device_count = staticmethod(lambda: {count})
    get_device_properties = staticmethod(lambda k: Properties)
"""


def program(folder: Path, body: str) -> dict[str, str]:
    """The environment of a machine with this shell script for nvidia-smi."""
    environ = drill.nvidia_smi(folder, "")
    (folder / "driver" / "nvidia-smi").write_text(f"#!/bin/sh\n{body}\n")
    return environ


def fake_torch(folder: Path, count: int) -> dict[str, str]:
    """The environment of an interpreter whose torch sees this many L4."""
    (folder / "fake").mkdir()
    (folder / "fake" / "torch.py").write_text(FAKE_TORCH.format(count=count))
    return {"PYTHONPATH": str(folder / "fake")}
