"""KV-cache offload to host RAM: keys and values of prompts that were evicted from a GPU.

Copying them back takes a tenth of a second where an 8B would prefill a long prompt for several seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil
from torch import Tensor

from submission.model.kv_cache import KVBuffer

RAM_LEFT_FREE = 1 / 3
"""Share of the machine's memory that is never taken."""


def free_ram_bytes() -> float:
    """Bytes of host RAM that may be taken now; negative where less than `RAM_LEFT_FREE` is available."""
    memory = psutil.virtual_memory()
    return float(memory.available - RAM_LEFT_FREE * memory.total)


class KVOffload:
    """Copies of cache rows in host RAM, by prompt."""

    def __init__(
        self, buffers: Sequence[KVBuffer], slot_bytes: float, free_bytes: Callable[[], float] = free_ram_bytes
    ) -> None:
        """`buffers` are the cache, one for each block; `slot_bytes` is what one slot takes in all of them."""
        self._buffers, self._slot_bytes, self._free_bytes = buffers, slot_bytes, free_bytes
        self._copies: dict[int, tuple[int, list[list[Tensor]]]] = {}
        """Prompt -> its number of slots; its keys and values [heads, slots, channels] for each block."""

    def __contains__(self, prompt: int) -> bool:
        return prompt in self._copies

    def store(self, prompt: int, row: int, used: int) -> bool:
        """Copy the first `used` slots of a cache row to RAM; False if there is not enough memory."""
        if used * self._slot_bytes > self._free_bytes():
            return False
        self._copies[prompt] = (
            used,
            [[each[row, :, :used].to("cpu", copy=True) for each in buffer.tensors or ()] for buffer in self._buffers],
        )
        return True

    def load(self, prompt: int, row: int) -> int:
        """Move a prompt's copy back into a free cache row; returns the slots that it takes."""
        used, copies = self._copies.pop(prompt)
        for buffer, pair in zip(self._buffers, copies, strict=True):
            for there, here in zip(buffer.tensors or (), pair, strict=True):
                there[row, :, :used] = here
        return used
