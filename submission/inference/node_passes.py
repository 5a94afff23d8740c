"""Forward passes over prompts and over nodes of their token trees; on a GPU small ones are replayed as CUDA graphs.

A pass of an 8B over a few tokens is some 2,500 kernels, which the CPU launches one by one: that takes longer than the
kernels do. A CUDA graph launches them at once, but it is recorded for one shape and one set of addresses. So small
passes are padded to frames: a block of neighbouring cache rows, a power of two of tokens in each, the cache up to a
multiple of `SLOT_STEP`. Nothing in a frame's pass depends on what the tokens are: they lie in tensors of its own, which
are filled before each replay. What is computed is the same up to the rounding of padded products.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.cache_utils import Cache

from submission.arc.layouts import Ids, Layout
from submission.model.attention import attends_by_row, attention_dtype, pass_mask, query_group
from submission.model.forward import position_ids
from submission.model.kv_cache import CACHE, KVBuffer, SlotPlan, cache_at, pass_cache
from submission.model.pass_cost import PassCost

logger = logging.getLogger(__name__)

SLOT_STEP = 1024
"""Slots to a multiple of which a frame reaches."""

FRAME_TOKENS = 256
"""Tokens of the largest frame: for more of them the kernels take longer than their launches."""

LAUNCHES = 100.0
"""What a frame may cost more than the pass without its padding, in tokens: half of what the launches take on an L4."""

MOST_GRAPHS = 48
"""Graphs that are kept at a time."""

Replay = Callable[[], Tensor]
"""Computes once more what was recorded, from what the tensors hold then; returns the same tensor each time."""

Record = Callable[[Callable[[], Tensor]], Replay]
"""Records a computation whose shapes and addresses stay."""


@dataclass(frozen=True)
class Frame:
    """The shape of a pass over nodes, and the cache rows that it goes over."""

    rows: tuple[int, ...]
    """Cache rows, ascending; a static frame's are neighbours, whether they have nodes or not."""
    width: int
    """Tokens of each row."""
    slots: int
    """Slots of the cache that the pass attends to."""
    static: bool = False
    """Whether passes of this shape are recorded."""

    @property
    def tokens(self) -> int:
        """Tokens of the pass, padding included."""
        return len(self.rows) * self.width


@dataclass(frozen=True)
class NodeBatch:
    """The tokens of a pass over nodes."""

    ids: Ids
    """int64 [rows, width]"""
    positions: Ids
    """int64 [axes, rows, width]"""
    mask: NDArray[np.bool_]
    """Which slots each token attends to: [rows, width, slots]."""
    used: Sequence[int]
    """Slots of each cache row that are taken before the pass."""


def frame_of(rows: Sequence[int], used: Sequence[int], width: int, most_slots: int, cost: PassCost | None) -> Frame:
    """The frame of a pass over these cache rows with `width` tokens each; `used`: slots taken in *every* cache row.

    Static if `cost` is given, the padded pass costs little more, and no cache row would be written past its end.
    """
    exact = Frame(tuple(rows), width, max(used[row] for row in rows) + width)
    if cost is None:
        return exact
    span = 1
    while rows[0] // span != rows[-1] // span:
        span *= 2
    first = rows[0] // span * span
    block = tuple(range(first, min(first + span, len(used))))
    padded = 1 << (width - 1).bit_length()
    end = max(used[row] for row in block) + padded
    slots = min(most_slots, -(-end // SLOT_STEP) * SLOT_STEP)
    frame = Frame(block, padded, slots, static=True)
    fits = end <= slots and frame.tokens <= FRAME_TOKENS
    return frame if fits and cost.of(frame.tokens) <= cost.of(exact.tokens) + LAUNCHES else exact


class CudaGraphs:
    """Records passes as CUDA graphs, until one cannot be recorded; their memory is shared, as one runs at a time."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._pool: Any = None

    def __call__(self, compute: Callable[[], Tensor]) -> Replay:
        """`Record`."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            made = compute()

        def replay() -> Tensor:
            graph.replay()
            return made

        return replay

    def turn_off(self, error: Exception) -> None:
        """Record nothing any more, and say so."""
        self.on = False
        logger.warning("CUDA graphs are off, as a pass cannot be recorded: %s", str(error).partition("\n")[0])


class NodePasses:
    """The passes of one token forest over one KV cache."""

    def __init__(
        self, model: nn.Module, layout: Layout, buffers: Sequence[KVBuffer], graphs: CudaGraphs | None = None
    ) -> None:
        """`buffers` are the cache, one for each block; without `graphs` nothing is recorded."""
        self.model, self.buffers, self.graphs = model, buffers, graphs
        self.device = next(model.parameters()).device
        self.replays = 0
        """Passes that were replayed."""
        self.axes = layout.axes
        self._alphabet = torch.tensor(layout.alphabet, device=self.device)
        self._by_row = attends_by_row(model)
        self._copies = 1 if self.device.type == "cpu" else query_group(model)
        self._dtype = attention_dtype(model)
        self._seen: Counter[Frame] = Counter()
        self._recorded: dict[Frame, StaticPass] = {}
        self._version = -1
        """The buffers' version of which the recorded passes are."""

    @property
    def recording(self) -> bool:
        """Whether passes over few nodes should come in static frames."""
        return self.graphs is not None and self.graphs.on

    def prefill(self, ids: Ids, positions: Ids, rows: Sequence[int]) -> NDArray[np.float32]:
        """Read whole prompts of equal length into these cache rows: log p after each, float32 [rows, alphabet].

        ids int64 [rows, length]; positions int64 [axes, rows, length]. No padding, so no mask.
        """
        plan = SlotPlan(rows, [0] * len(rows), ids.shape[1], prefill=True, by_row=self._by_row)
        logits = self.model(
            input_ids=self._moved(ids),
            position_ids=position_ids(self._moved(positions)),
            use_cache=True,
            logits_to_keep=1,
            **{CACHE: pass_cache(self.buffers, plan, self.device)},
        ).logits
        return _on_host(self._log_p(logits))[:, 0]

    def decode(self, frame: Frame, batch: NodeBatch) -> NDArray[np.float32]:
        """One pass over nodes: log p of the layout's alphabet after each, float32 [rows, width, alphabet]."""
        recorded = self._static(frame, batch) if frame.static else None
        if recorded is None:
            plan = SlotPlan(frame.rows, batch.used, frame.width, prefill=False, by_row=self._by_row, up_to=frame.slots)
            ids, positions, mask = (self._moved(each) for each in (batch.ids, batch.positions, batch.mask))
            return _on_host(self.log_p_after(ids, positions, mask, pass_cache(self.buffers, plan, self.device), plan))
        self.replays += 1
        return _on_host(recorded.run(batch))

    def _static(self, frame: Frame, batch: NodeBatch) -> StaticPass | None:
        """The recorded pass of this frame; None the first time, in which its kernels are loaded, and where none can be.

        The cache has to be large enough already: the first pass has made it so.
        """
        self._seen[frame] += 1
        if self.buffers[0].version != self._version:
            self._recorded.clear()
            self._version = self.buffers[0].version
        if frame not in self._recorded and self._seen[frame] > 1 and self.graphs is not None and self.graphs.on:
            if len(self._recorded) == MOST_GRAPHS:
                del self._recorded[next(iter(self._recorded))]
            try:
                self._recorded[frame] = StaticPass(self, frame, batch, self.graphs)
            except RuntimeError as error:  # What CUDA refuses; memory that a graph lacks.
                self.graphs.turn_off(error)
                self._recorded.clear()
        return self._recorded.get(frame)

    def log_p_after(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: Cache, plan: SlotPlan) -> Tensor:
        """log p after each token of a pass, [rows, width, alphabet]: nothing but kernels, whatever the tokens are."""
        logits = self.model(
            input_ids=ids,
            position_ids=position_ids(positions),
            attention_mask=pass_mask(mask, self._dtype, self._copies),
            use_cache=True,
            **{CACHE: cache},
            **({"plan": plan} if plan.by_row else {}),
        ).logits
        return self._log_p(logits)

    def _log_p(self, logits: Tensor) -> Tensor:
        """log p of the layout's alphabet, normalised over the whole vocabulary."""
        return torch.log_softmax(logits.float(), -1)[..., self._alphabet]

    def _moved(self, array: NDArray[np.int64] | NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class StaticPass:
    """A recorded pass of one frame, with the tensors from which it reads."""

    def __init__(self, passes: NodePasses, frame: Frame, batch: NodeBatch, record: Record) -> None:
        """Record it, with the first tokens that it is for; RuntimeError where that fails."""
        rows, width, device = len(frame.rows), frame.width, passes.device

        def numbers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        self._ids, self._positions, self._slot = (
            numbers(rows, width),
            numbers(passes.axes, rows, width),
            numbers(rows, width),
        )
        self._mask = torch.ones((rows, width, frame.slots), dtype=torch.bool, device=device)
        plan = SlotPlan(frame.rows, [0] * rows, width, prefill=False, up_to=frame.slots)
        cache = cache_at(passes.buffers, plan, torch.tensor(frame.rows, device=device)[:, None], self._slot)
        self._fill(batch)
        self._replay = record(lambda: passes.log_p_after(self._ids, self._positions, self._mask, cache, plan))

    def run(self, batch: NodeBatch) -> Tensor:
        """Compute the pass for these tokens."""
        self._fill(batch)
        return self._replay()

    def _fill(self, batch: NodeBatch) -> None:
        slot = np.array(batch.used)[:, None] + np.arange(batch.ids.shape[1])
        for tensor, array in (
            (self._ids, batch.ids), (self._positions, batch.positions), (self._mask, batch.mask), (self._slot, slot),
        ):  # fmt: skip
            tensor.copy_(torch.from_numpy(array))


def _on_host(log_p: Tensor) -> NDArray[np.float32]:
    """The tensor as an array; FloatingPointError where the model computed NaN."""
    array: NDArray[np.float32] = log_p.cpu().numpy()
    if np.isnan(array).any():
        raise FloatingPointError("the model's logits are not finite")
    return array
