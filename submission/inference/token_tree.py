"""Token trees of answers, one behind each prompt, evaluated in batched forward passes over a KV cache.

A prompt is prefilled once. Its answers grow behind it as a tree of tokens, in which answers share their prefixes. Each
node is evaluated once: a decode pass takes many nodes of many prompts, under a mask by which a node attends to its
prompt, its ancestors and itself (tree attention, as in SpecInfer, arXiv 2305.09781). Search and scoring use the same
trees, so what one has evaluated costs the other nothing.

The KV cache keeps to a memory budget. Where not all prompts fit, they take turns: the least recently used prompt is
evicted, and prefilled again when its turn comes, unless it was offloaded to host RAM (`model.prompt_cache`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from submission.arc.layouts import AnswerState, Layout, successors
from submission.arc.prompts import Prompt
from submission.deadline import Deadline
from submission.inference.node_passes import CudaGraphs, NodeBatch, NodePasses, frame_of
from submission.model.kv_cache import block_count
from submission.model.pass_cost import PassCost, pass_cost
from submission.model.prompt_cache import PromptCache
from submission.model.search_memory import NODES_PER_PROMPT, CacheCapacity, TokenBytes

Tokens = tuple[int, ...]


@dataclass(eq=False, slots=True)
class Node:
    """One token of an answer, after the tokens of its ancestors; a root stands for the end of its prompt."""

    token: int
    parent: Node | None
    state: AnswerState
    position: tuple[int, ...]
    """Its position on each axis of the layout."""
    nll: float = math.nan
    """-log p of the answer up to and with this token, in nats; NaN until its parent is evaluated."""
    log_p: NDArray[np.float32] | None = None
    """log p of each id of the layout's alphabet as the next token: float32 [alphabet]; None until evaluated."""
    slot: int = -1
    """Where its keys and values are in its prompt's cache row; -1 where they are not."""
    children: dict[int, Node] = field(default_factory=dict)

    def tokens(self) -> Tokens:
        """The answer up to and with this token."""
        node, reverse = self, list[int]()
        while node.parent is not None:
            reverse.append(node.token)
            node = node.parent
        return tuple(reversed(reverse))


class TokenForest:
    """The token trees behind a list of prompts, which are named by their index."""

    def __init__(
        self, model: nn.Module, layout: Layout, prompts: Sequence[Prompt], megabytes: float = 4096,
        graphs: CudaGraphs | None = None,
    ) -> None:  # fmt: skip
        """Nothing is evaluated yet. Cache and activations stay within `megabytes` (10^6 bytes).

        One prompt with its longest answer is always held, whatever the budget. On a GPU evicted prompts go to host RAM.
        `graphs` record small passes, if given.
        """
        self.model, self.layout, self.prompts = model, layout, prompts
        self.passes = 0
        """Forward passes so far."""
        self.prompt_tokens = 0
        """Prompt tokens prefilled."""
        self.prefilled_again = 0
        """Of these, tokens of prompts that had been prefilled before and evicted."""
        self.nodes = 0
        """Nodes that went through a decode pass."""
        self.padding = 0
        """Padding tokens in decode passes."""
        self.cost = pass_cost(model)
        self._column = {token: k for k, token in enumerate(layout.alphabet)}
        ends = [tuple(layout.positions_of(each.ids)[:, -1].tolist()) for each in prompts]
        self.roots = [Node(-1, None, AnswerState(), end, nll=0.0) for end in ends]
        longest = max((len(each.ids) for each in prompts), default=0) + layout.longest_answer
        token = TokenBytes.of(model)
        self.capacity = CacheCapacity.plan(token, len(prompts), longest, NODES_PER_PROMPT, megabytes)
        on_gpu = next(model.parameters()).device.type != "cpu"
        self.cache = PromptCache(self.capacity, block_count(model), token.kv, offload=on_gpu)
        self.node_passes = NodePasses(model, layout, self.cache.buffers, graphs)

    # -- the trees ---------------------------------------------------------------------------------------------------

    def log_p(self, node: Node, token: int) -> float:
        """log p, in nats, of a token after an evaluated node."""
        assert node.log_p is not None
        return float(node.log_p[self._column[token]])

    def child(self, node: Node, token: int) -> Node:
        """The child with this token, created if need be; the token must be legal and not complete the answer."""
        known = node.children.get(token)
        if known is None:
            state = successors(self.layout, node.state)[token]
            assert state is not None, "the last token of an answer is predicted, never evaluated"
            known = node.children[token] = Node(token, node, state, self.layout.next_position(node.position, token))
            if node.log_p is not None:
                known.nll = node.nll - self.log_p(node, token)
        return known

    def path(self, prompt: int, tokens: Tokens) -> list[Node]:
        """The root and the node of each of these tokens, created if need be."""
        nodes = [self.roots[prompt]]
        for token in tokens:
            nodes.append(nodes[-1].children.get(token) or self.child(nodes[-1], token))
        return nodes

    @torch.no_grad()
    def evaluate(self, prefixes: Mapping[int, Sequence[Tokens]], until: Deadline) -> bool:
        """Run passes until these prefixes of answers, by prompt, are evaluated; False if the deadline came first.

        What is evaluated already costs nothing. The empty prefix stands for the prompt alone. FloatingPointError where
        the model computes NaN.
        """
        queues = {k: list(paths) for k, paths in prefixes.items()}
        while True:
            for k in [k for k, queue in queues.items() if not self._drop_evaluated(k, queue)]:
                del queues[k]
            turn = sorted(queues, key=lambda k: k not in self.cache)[: self.capacity.parallel_prompts]
            if not turn:
                return True
            self._lose_slots(self.cache.restore(turn))
            for batch in self._prefill_batches(turn):
                if until.passed():
                    return False
                self._lose_slots(self.cache.evict(len(batch), keep=turn))
                self._prefill(batch)
            nodes = {k: following for k in turn if (following := self._next_nodes(k, queues[k]))}
            for batch in self._decode_batches(nodes):
                if until.passed():
                    return False
                self._decode({k: nodes[k] for k in batch})

    # -- what the next passes take -----------------------------------------------------------------------------------

    def _drop_evaluated(self, prompt: int, queue: list[Tokens]) -> bool:
        """Drop evaluated prefixes from the front of the queue; returns whether any prefix is left."""
        while queue and self.path(prompt, queue[0])[-1].log_p is not None:
            queue.pop(0)
        return bool(queue)

    def _prefill_batches(self, prompts: Sequence[int]) -> list[list[int]]:
        """The prompts that are not in the cache, in batches of equal length that each make a pass."""
        batches: dict[int, list[list[int]]] = {}
        for k in prompts:
            if k not in self.cache:
                length = len(self.prompts[k].ids)
                same = batches.setdefault(length, [[]])
                if same[-1] and (len(same[-1]) + 1) * length > self.capacity.tokens_per_pass:
                    same.append([])
                same[-1].append(k)
        return [batch for same in batches.values() for batch in same]

    def _next_nodes(self, prompt: int, queue: Sequence[Tokens]) -> list[Node]:
        """The prompt's nodes for the next pass, parents first; if its cache row is full, the tree loses its slots."""
        nodes = self._missing(prompt, queue)
        if self.cache.used(prompt) + len(nodes) > self.capacity.slots_per_prompt:
            self._lose_slots([prompt])
            length = len(self.prompts[prompt].ids)
            self.cache.set_used(prompt, length)
            nodes = self._missing(prompt, queue)[: self.capacity.slots_per_prompt - length]
        return nodes

    def _missing(self, prompt: int, prefixes: Sequence[Tokens]) -> list[Node]:
        """Nodes without a slot that these prefixes need, parents first, at most `NODES_PER_PROMPT`.

        That includes evaluated ancestors, of unevaluated nodes, that have lost their slots.
        """
        missing: dict[int, Node] = {}
        for prefix in prefixes:
            nodes = self.path(prompt, prefix)[1:]
            while nodes and nodes[-1].log_p is not None:
                nodes.pop()
            missing |= {id(each): each for each in nodes if each.slot < 0}
            if len(missing) >= NODES_PER_PROMPT:
                break
        return list(missing.values())[:NODES_PER_PROMPT]

    def _decode_batches(self, nodes: Mapping[int, Sequence[Node]]) -> list[list[int]]:
        """Prompts that share a pass: the cheapest way to share, padding included.

        Each batch starts with the prompt that has the most nodes, to which the others are padded: not beyond the end of
        their cache rows.
        """
        prompts = sorted(nodes, key=lambda k: -len(nodes[k]))
        room = [self.capacity.slots_per_prompt - self.cache.used(k) for k in prompts]
        widths = [len(nodes[k]) for k in prompts]
        ends = cheapest_batches(widths, room, self.capacity.tokens_per_pass, self.cost)
        return [prompts[first:end] for first, end in pairwise([0, *ends])]

    def _lose_slots(self, prompts: Sequence[int]) -> None:
        """Note that the keys and values of these prompts' nodes are not in the cache any more; they stay evaluated."""
        stack = [self.roots[k] for k in prompts]
        while stack:
            node = stack.pop()
            node.slot = -1
            stack.extend(node.children.values())

    # -- passes ------------------------------------------------------------------------------------------------------

    def _prefill(self, prompts: Sequence[int]) -> None:
        """One pass over whole prompts of equal length: no padding, so no mask."""
        self.cache.add(prompts)
        ids = np.stack([self.prompts[k].ids for k in prompts])
        positions = np.stack([self.layout.positions_of(each) for each in ids], axis=1)
        self.passes += 1
        log_p = self.node_passes.prefill(ids, positions, [self.cache.row(k) for k in prompts])
        for at, k in enumerate(prompts):
            self.prefilled_again += 0 if self.roots[k].log_p is None else ids.shape[1]
            self._set_log_p(self.roots[k], log_p[at])
            self.cache.set_used(k, ids.shape[1])
        self.prompt_tokens += ids.size

    def _decode(self, nodes: Mapping[int, Sequence[Node]]) -> None:
        """One pass over nodes whose ancestors are in the cache, or earlier in the same row of the pass."""
        cost = self.cost if self.node_passes.recording else None
        rows, width = sorted(map(self.cache.row, nodes)), max(map(len, nodes.values()))
        frame = frame_of(rows, self.cache.used_by_row, width, self.capacity.slots_per_prompt, cost)
        at = {row: index for index, row in enumerate(frame.rows)}
        used = [self.cache.used_by_row[row] for row in frame.rows]
        ids = np.full((len(frame.rows), frame.width), self.layout.pad, np.int64)
        positions = np.zeros((self.layout.axes, len(frame.rows), frame.width), np.int64)
        mask = np.zeros((len(frame.rows), frame.width, frame.slots), bool)
        in_row = {at[self.cache.row(k)]: k for k in nodes}
        for r, taken in enumerate(used):
            here = nodes[in_row[r]] if r in in_row else ()
            for i, node in enumerate(here):
                ids[r, i], positions[:, r, i], node.slot = node.token, node.position, taken + i
            fill_tree_mask(mask[r], here, len(self.prompts[in_row[r]].ids) if here else 0, taken)
        self.passes += 1
        self.padding += ids.size - sum(map(len, nodes.values()))
        log_p = self.node_passes.decode(frame, NodeBatch(ids, positions, mask, used))
        for r, k in in_row.items():
            for i, node in enumerate(nodes[k]):
                self._set_log_p(node, log_p[r, i])
            self.cache.set_used(k, used[r] + len(nodes[k]))
            self.cache.touch(k)
            self.nodes += len(nodes[k])

    def _set_log_p(self, node: Node, log_p: NDArray[np.float32]) -> None:
        """Mark a node as evaluated, and compute the NLL of its children."""
        node.log_p = log_p
        for token, child in node.children.items():
            child.nll = node.nll - self.log_p(node, token)


def cheapest_batches(widths: Sequence[int], room: Sequence[int], most_tokens: int, cost: PassCost) -> list[int]:
    """Where to cut a list of rows, the widest first, into passes that cost the least together: the end of each.

    A pass pads its rows to its first, and takes `most_tokens` at most unless it has one row; no row is padded beyond
    its `room`. Dynamic programming over the ends.
    """
    best, cuts = [0.0] + [math.inf] * len(widths), [0] * (len(widths) + 1)
    for first, width in enumerate(widths):
        costs = cost.of(width * np.arange(1, len(widths) - first + 1)).tolist()
        for end, each in enumerate(costs, first + 1):
            if end > first + 1 and (width * (end - first) > most_tokens or room[end - 1] < width):
                break
            if best[first] + each < best[end]:
                best[end], cuts[end] = best[first] + each, first
    ends = [len(widths)]
    while cuts[ends[0]]:
        ends.insert(0, cuts[ends[0]])
    return ends if widths else []


def fill_tree_mask(mask: NDArray[np.bool_], nodes: Sequence[Node], prompt_length: int, used: int) -> None:
    """Write which slots each token of one row attends to into `mask`, False before: bool [width, slots].

    `nodes`, parents first, have the slots from `used` on: each attends to the prompt, its ancestors and itself. Padding
    attends to itself.
    """
    width = len(mask)
    mask[np.arange(width), used + np.arange(width)] = True
    for i, node in enumerate(nodes):
        parent = node.parent
        if parent is not None and parent.slot >= used:
            mask[i, : used + i] |= mask[parent.slot - used, : used + i]
            continue
        mask[i, :prompt_length] = True
        while parent is not None and parent.slot >= 0:
            mask[i, parent.slot] = True
            parent = parent.parent
