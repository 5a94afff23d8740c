"""A GPU that is not there: tensors of the CPU that say they lie on one, and refuse to meet those that do not.

Everything is computed by the CPU. What is told apart is where tensors are made and moved to: an operation on tensors of
both kinds fails, as it would with CUDA, and so does handing one of the GPU's to numpy. So what was forgotten on one
side is found without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")

COPY = {"copy_", "_to_copy"}
"""Operations whose tensors may lie on both sides."""

INDEX = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations whose second argument, the indices, may lie on the CPU in any case."""


PROPERTIES = {(7, 5): (40, 7, 5), (8, 9): (58, 8, 9), (9, 0): (132, 9, 0)}
"""Multiprocessors and compute capability of a T4, an L4 and an H100, by capability, as bitsandbytes asks for them."""


def bitsandbytes_sees(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> Any:
    """bitsandbytes' own module for CUDA, which finds these GPUs as devices 0, 1, ...; nothing is computed there."""
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda device: 0, raising=False)
    from bitsandbytes.backends.cuda import ops

    monkeypatch.setattr(ops, "_gpu_dispatch_props", lambda device: PROPERTIES[capabilities[device]])
    ops._gemm_4bit_use_custom_fn.cache_clear()
    return ops


WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"}
"""Operations on tensors of the GPU for whose result the host waits: a number, or a shape that depends on contents."""


class Marks:
    """Which storages are the GPU's. They are kept, so that no other one comes to their address."""

    def __init__(self) -> None:
        self._storages: dict[int, Any] = {}
        self.waits: list[str] = []
        """What made the host wait for the GPU: names of operations, "to host" for a copy."""

    def put(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage

    def on(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._storages


class _Made(TorchDispatchMode):
    """What an operation makes lies where its tensors do: all on one side, but for single numbers."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        given = _tensors((args[0], *args[2:], kwargs) if name in INDEX else (args, kwargs))
        there = [each for each in given if self.marks.on(each)]
        here = [each for each in given if each.dim() and not self.marks.on(each)]
        if there and here and name not in COPY:
            raise RuntimeError(
                f"{name}: expected all tensors on one device, but {list(here[0].shape)} is on the CPU, "
                f"{list(there[0].shape)} on the GPU"
            )
        by_mask = name in INDEX and any(each.dtype == torch.bool for each in _tensors(args[1]) if self.marks.on(each))
        if by_mask or (there and name in WAITS):
            self.marks.waits.append(name)
        made = function(*args, **(kwargs or {}))
        if there and (there[0] is given[0] or name not in COPY):
            for each in _tensors(made):
                self.marks.put(each)
        return made


class _Told(TorchFunctionMode):
    """Where a tensor lies and is moved to, as Python sees it."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name, first = getattr(function, "__name__", ""), args[0] if args else None
        if name == "__get__" and isinstance(first, Tensor) and self.marks.on(first):
            known = {"device": CUDA, "is_cuda": True, "is_cpu": False}
            if (what := getattr(function.__self__, "__name__", "")) in known:
                return known[what]
        if name in {"numpy", "__array__"} and isinstance(first, Tensor) and self.marks.on(first):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if name in {"to", "cpu", "cuda"} and isinstance(first, Tensor):
            return self._moved(function, name, first, args[1:], kwargs)
        if _is_cuda(kwargs.get("device")):
            made = function(*args, **kwargs | {"device": CPU})
            self.marks.put(made)
            return made
        return function(*args, **kwargs)

    def _moved(self, function: Any, name: str, tensor: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        wishes = [*args, kwargs.get("device"), kwargs.get("other")]
        wishes = [each.device if isinstance(each, Tensor) else each for each in wishes]
        on = was = self.marks.on(tensor)
        if name == "cuda" or any(map(_is_cuda, wishes)):
            on = True
        elif name == "cpu" or any(str(each) == "cpu" for each in wishes if isinstance(each, (str, torch.device))):
            on = False
        args = [CPU if _is_cuda(each) else each for each in args]
        kwargs = {key: CPU if _is_cuda(each) else each for key, each in kwargs.items()}
        moved = function(tensor, *args, **kwargs) if name == "to" else tensor
        if on == was:
            return moved
        with torch.utils._python_dispatch._disable_current_modes():
            moved = moved.clone()
        if on:
            self.marks.put(moved)
        else:
            self.marks.waits.append("to host")
        return moved


def _tensors(of: Any) -> list[Tensor]:
    return [each for each in tree_leaves(of) if isinstance(each, Tensor)]


def _is_cuda(wish: Any) -> bool:
    return isinstance(wish, (str, torch.device)) and str(wish).startswith("cuda")


@contextmanager
def pretended_gpu(marks: Marks | None = None) -> Iterator[None]:
    """While this is entered, "cuda" is a device; `marks` notes what lies there, and when the host waits for it."""
    marks = marks or Marks()
    with _Made(marks), _Told(marks):
        yield
