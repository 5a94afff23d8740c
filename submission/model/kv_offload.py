"""Keys and values of prompts that had to give way on a GPU, kept in the memory of the machine until their turn comes.

To bring them back takes a tenth of a second where an 8B would read a long prompt for several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil
from torch import Tensor

from submission.model.kv_cache import Layer

SPARED = 1 / 3
"""Share of the machine's memory that is left to others."""


def spare_bytes() -> float:
    """Memory of this machine that may be taken now."""
    memory = psutil.virtual_memory()
    return float(memory.available - SPARED * memory.total)


class KVOffload:
    """Rows of a cache, by prompt."""

    def __init__(self, layers: Sequence[Layer], slot_bytes: float, spare: Callable[[], float] = spare_bytes) -> None:
        """Nothing is on it yet; a slot of a row takes so many bytes in all layers."""
        self._layers, self._slot_bytes, self._spare = layers, slot_bytes, spare
        self._rows: dict[int, tuple[int, list[list[Tensor]]]] = {}

    def __contains__(self, prompt: int) -> bool:
        return prompt in self._rows

    def put(self, prompt: int, row: int, used: int) -> bool:
        """Copy the first `used` slots of a row; False if there is no memory for them."""
        if used * self._slot_bytes > self._spare():
            return False
        self._rows[prompt] = (
            used,
            [[each[row, :, :used].to("cpu", copy=True) for each in layer.held or ()] for layer in self._layers],
        )
        return True

    def take(self, prompt: int, row: int) -> int:
        """Copy a prompt back, to a row that is free; returns how many of its slots are taken then."""
        used, kept = self._rows.pop(prompt)
        for layer, pair in zip(self._layers, kept, strict=True):
            for there, here in zip(layer.held or (), pair, strict=True):
                there[row, :, :used] = here
        return used
