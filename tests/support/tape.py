"""What a CUDA graph does, on a CPU: the operations of a computation are noted down, and done again without its Python.

As with CUDA, each operation finds its inputs and puts its outputs where they were the first time, and what Python
decided then is decided for good. Whatever asks a tensor for its contents is refused, as CUDA refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from submission.inference.node_passes import CudaGraphs

REFUSED = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "lift_fresh"}
"""Operations that wait for the GPU, or copy from the host's memory."""


class Tape(TorchDispatchMode):
    """Notes down all operations while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in REFUSED:
            raise RuntimeError(f"{name}: operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, _tensors(made)))
        return made

    def play(self) -> None:
        """Do all of it again."""
        for function, args, kwargs, made in self.operations:
            if function._schema.is_mutable:
                function(*args, **kwargs)
                continue
            held = {each.untyped_storage()._cdata for each in _tensors((args, kwargs))}
            if any(each.untyped_storage()._cdata in held for each in made):
                continue  # A view: what it shows has been done again already.
            for there, here in zip(made, _tensors(function(*args, **kwargs)), strict=True):
                there.copy_(here)


class TapedGraphs(CudaGraphs):
    """Tapes in place of CUDA graphs."""

    def __init__(self) -> None:
        super().__init__(on=True)
        self.tapes: list[Tape] = []

    def __call__(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        tape = Tape()
        with tape:
            made = compute()
        self.tapes.append(tape)

        def replay() -> Tensor:
            tape.play()
            return made.clone()  # From a GPU it is copied in any case.

        return replay


def _tensors(tree: Any) -> list[Tensor]:
    return [each for each in tree_leaves(tree) if isinstance(each, Tensor)]
