"""unsloth's own Triton kernels on a CPU, in Triton's interpreter: for tests without a GPU.

    pip install --no-deps -r tests/kernels.txt
    TRITON_INTERPRET=1 UNSLOTH_ALLOW_CPU=1 pytest tests/kernels

Both variables have to be set before Triton is imported, so these tests have a process of their own. The interpreter has
no bfloat16: there every kernel gives NaN.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import torch

from submission.model.unsloth_import import Kernels, load_kernels

ENVIRONMENT = ("TRITON_INTERPRET", "UNSLOTH_ALLOW_CPU")
"""Variables that are "1": Triton computes on the CPU, and unsloth, by the switch of its own tests, wants no GPU."""

PACKAGES = ("triton", "unsloth", "unsloth_zoo")


def lacking() -> str:
    """The first package that is not installed; empty where all are."""
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            return name
    return ""


def reason() -> str:
    """Why the kernels cannot run in this process; empty where they can."""
    if name := lacking():
        return f"{name} is not installed: pip install --no-deps -r tests/kernels.txt"
    missing = [f"{name}=1" for name in ENVIRONMENT if os.environ.get(name) != "1"]
    return f"needs {' '.join(missing)} in the environment" if missing else ""


def kernels() -> Kernels:
    """The kernels, with answers to three questions that they ask of a GPU's driver."""
    loaded = load_kernels("cpu")
    loaded.state._can_use_scratch = lambda device: False
    import_module("unsloth.kernels.nf4")._CONFIG_OVERRIDE = (1024, 2, False, False, 0)
    torch.cuda.current_device = lambda: None  # type: ignore[assignment, return-value]
    return loaded
