"""unsloth's Triton kernels, imported without the rest of unsloth.

`import unsloth` replaces functions of transformers, peft, bitsandbytes and torch in the whole process. Its kernels need
none of that: here they are imported without the code of the packages around them.

Of unsloth functions are called, and nothing is copied (unsloth is Apache-2.0, unsloth_zoo LGPL-3.0).
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from submission.errors import BadInput
from submission.versions import KNOWN_UNSLOTH

PACKAGES = ("unsloth", "unsloth.kernels", "unsloth_zoo", "unsloth_zoo.temporary_patches")
"""Packages whose own code, which changes other packages, is not run."""

INTERPRETER = "TRITON_INTERPRET"
"""The environment variable with which Triton computes kernels on the CPU, for tests: "1"."""

CHANGED = (
    ("torch._inductor.async_compile", "tqdm"),
    ("transformers.integrations.finegrained_fp8", "FP8Linear", "forward"),
    ("transformers.integrations.finegrained_fp8", "FP8GroupedLinear", "forward"),
    ("transformers.integrations.fbgemm_fp8", "FbgemmFp8Linear", "forward"),
)
"""What the modules of the kernels replace in other packages while they are imported: it is put back."""


@dataclass(frozen=True)
class Kernels:
    """The functions of `unsloth.kernels` that are called."""

    lora: Any
    """The module fast_lora: q, k and v in one function, the output projection, the gated MLP."""
    norm: Callable[..., Tensor]
    """(norm, x): the RMS norm of x."""
    rope: Callable[..., tuple[Tensor, Tensor]]
    """(queries, keys, cos, sin, rows of cos and sin): queries and keys, rotated."""
    state: Any
    """The module utils, which knows whether NF4 weights are dequantized by Triton."""

    @property
    def dequantizes(self) -> bool:
        """Whether NF4 weights are dequantized by unsloth's kernel; False where it has fallen back to bitsandbytes."""
        return bool(self.state._USE_NF4_KERNELS)


def load_kernels(device: str) -> Kernels:
    """Import the kernels; BadInput without a GPU, without unsloth, or with a version of it that is not known.

    In Triton's interpreter they run on a CPU as well. The packages of `PACKAGES` stay empty for the process.
    """
    if device != "cuda" and os.environ.get(INTERPRETER) != "1":
        raise BadInput("model.backend=unsloth needs a CUDA GPU; model.backend=native does without one")
    found = {name: installed_version(name) for name in ("unsloth", "unsloth_zoo")}
    try:
        unknown = sorted(set(found.values()) - set(KNOWN_UNSLOTH))
        if unknown:
            raise ImportError(f"version {unknown[0]} was not tried")
        _add_empty_packages()
        with _unchanged():
            lora, norm, rope, state = (
                importlib.import_module(f"unsloth.kernels.{name}")
                for name in ("fast_lora", "rms_layernorm", "rope_embedding", "utils")
            )
        for name in ("apply_lora_qkv", "apply_lora_o", "apply_lora_mlp_swiglu", "matmul_lora"):
            getattr(lora, name)
        return Kernels(lora, norm.fast_rms_layernorm, rope.fast_rope_embedding, state)
    except Exception as error:  # Whatever the code of a package raises while it is imported.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(
            f"model.backend=unsloth: the kernels of unsloth {found['unsloth']} cannot be had here ({reason}); known "
            f"are {', '.join(KNOWN_UNSLOTH)}"
        ) from error


def installed_version(name: str) -> str:
    """The version of an installed package; BadInput where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise BadInput(
            f"model.backend=unsloth: {name} is not installed; the wheels of profile unsloth are needed"
        ) from error


def _add_empty_packages() -> None:
    """Enter unsloth's packages into `sys.modules` with their folders, so that modules in them can be imported."""
    for name in PACKAGES:
        if name in sys.modules:
            continue
        parent, _, child = name.rpartition(".")
        if parent:
            folder = Path(sys.modules[parent].__path__[0], child)
        else:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:
                raise ImportError(f"{name} has no folder")
            folder = Path(spec.origin).parent
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package


@contextmanager
def _unchanged() -> Iterator[None]:
    """Put back, at the end, what is named in `CHANGED`."""
    first: list[tuple[Any, str, Any]] = []
    for module, *names, last in CHANGED:
        try:
            holder: Any = importlib.import_module(module)
        except ImportError:  # Then it is not there to be changed.
            continue
        for name in names:
            holder = vars(holder).get(name)
        if holder is not None and last in vars(holder):
            first.append((holder, last, vars(holder)[last]))
    try:
        yield
    finally:
        for holder, name, value in first:
            setattr(holder, name, value)
