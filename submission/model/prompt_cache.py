"""Which prompt has which row of the KV cache: least recently used out first, with offload to host RAM."""

from __future__ import annotations

from collections.abc import Sequence

from submission.model.kv_cache import KVBuffer
from submission.model.kv_offload import KVOffload
from submission.model.search_memory import CacheCapacity


class PromptCache:
    """The cache rows of prompts, which are named by their number. A prompt without a row has to be prefilled."""

    def __init__(self, capacity: CacheCapacity, blocks: int, slot_bytes: int, offload: bool) -> None:
        """Empty. `slot_bytes` are those of one slot in all blocks; with `offload` evicted rows are copied to RAM."""
        self.capacity = capacity
        self.buffers = [KVBuffer(capacity.parallel_prompts, capacity.slots_per_prompt) for _ in range(blocks)]
        self.offload = KVOffload(self.buffers, slot_bytes) if offload else None
        self._rows: dict[int, int] = {}
        """Prompt -> its cache row, the least recently used first."""
        self.used_by_row = [0] * capacity.parallel_prompts
        """Slots taken in each cache row."""

    def __contains__(self, prompt: int) -> bool:
        return prompt in self._rows

    def row(self, prompt: int) -> int:
        """The prompt's cache row."""
        return self._rows[prompt]

    def used(self, prompt: int) -> int:
        """Slots taken in the prompt's cache row."""
        return self.used_by_row[self._rows[prompt]]

    def set_used(self, prompt: int, slots: int) -> None:
        """Note that the first `slots` of its cache row are taken, and the others free."""
        self.used_by_row[self._rows[prompt]] = slots

    def touch(self, prompt: int) -> None:
        """Make the prompt the most recently used one."""
        self._rows[prompt] = self._rows.pop(prompt)

    def add(self, prompts: Sequence[int]) -> None:
        """Give each of the prompts a free row; `evict` has to make enough of them free before."""
        free = [row for row in range(self.capacity.parallel_prompts) if row not in self._rows.values()]
        self._rows |= dict(zip(prompts, free, strict=False))

    def evict(self, rows: int, keep: Sequence[int]) -> list[int]:
        """Make `rows` cache rows free, never those of the prompts in `keep`; returns evicted prompts without a copy."""
        spare = [prompt for prompt in self._rows if prompt not in keep]
        lost = []
        for prompt in spare[: max(0, len(self._rows) + rows - self.capacity.parallel_prompts)]:
            if self.offload is None or not self.offload.store(prompt, self.row(prompt), self.used(prompt)):
                lost.append(prompt)
            del self._rows[prompt]
        return lost

    def restore(self, prompts: Sequence[int]) -> list[int]:
        """Load those of the prompts that were offloaded; returns prompts that this evicted without a copy."""
        if self.offload is None:
            return []
        offloaded = [prompt for prompt in prompts if prompt in self.offload]
        lost = self.evict(len(offloaded), keep=prompts)
        self.add(offloaded)
        for prompt in offloaded:
            self.set_used(prompt, self.offload.load(prompt, self.row(prompt)))
        return lost
