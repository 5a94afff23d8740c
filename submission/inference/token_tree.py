"""Prompts that a model has read, and the answers that it has been asked about: one trie of tokens behind each prompt.

A prompt is read once. Behind it grows a trie; each node is computed once, in passes that take many nodes of many
prompts together, a mask letting every node see its prompt and its own ancestors only (tree attention). Branches share
their prefix, and what stands in the trie never has to be computed again, neither to search on nor to score.

Keys and values of the prompts and their nodes are kept within a bound of memory. Where not all prompts fit into it,
they take turns, and a prompt whose turn comes again is read again, unless it was kept elsewhere (`shelf`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from submission.arc.layouts import AnswerState, Ids, Layout, successors
from submission.arc.prompts import Prompt
from submission.deadline import Deadline
from submission.model.attention import takes_rows_apart
from submission.model.forward import position_ids
from submission.model.kv_cache import Layer, Sizes, SlotPlan, planned
from submission.model.kv_offload import KVOffload

Tokens = tuple[int, ...]

ROW_NODES = 1024
"""Nodes of one prompt that a pass takes at most."""

WORTH_A_PASS = {"cpu": 32, "cuda": 512}
"""Tokens that cost as much time as a pass does beside its tokens, by device."""


@dataclass(eq=False, slots=True)
class Node:
    """One token of an answer, after the tokens of its ancestors; a root stands for the end of its prompt."""

    token: int
    parent: Node | None
    state: AnswerState
    where: tuple[int, ...]
    """Its position on each axis."""
    cost: float = math.nan
    """-log p of the answer up to here; NaN until its parent has been read."""
    log_p: NDArray[np.float32] | None = None
    """log p of each id of the layout's alphabet as the next token, once this one has been read."""
    slot: int = -1
    """Where its keys and values stand behind its prompt's; -1 if they do not, or not any more."""
    children: dict[int, Node] = field(default_factory=dict)

    def tokens(self) -> Tokens:
        """The answer up to here."""
        node, reverse = self, list[int]()
        while node.parent is not None:
            reverse.append(node.token)
            node = node.parent
        return tuple(reversed(reverse))


class TokenForest:
    """Prompts, and the trie of answers behind each."""

    def __init__(self, model: nn.Module, layout: Layout, prompts: Sequence[Prompt], megabytes: float = 4096) -> None:
        """Nothing is read yet; keys and values, and what a pass needs besides, will stay within so many megabytes.

        One prompt with a whole answer is always held, though, whatever the bound. What gives way on a GPU is kept in
        the machine's memory.
        """
        self.model, self.layout, self.prompts = model, layout, prompts
        self.passes = 0
        """Passes through the model so far."""
        self.prompt_tokens = 0
        """Tokens of prompts that they read; more than the prompts have if these had to take turns."""
        self.again = 0
        """Those of them that had been read before."""
        self.nodes = 0
        """Nodes that they read."""
        self.padding = 0
        """Tokens that they computed for nothing, to make rows of one length."""
        self._device = next(model.parameters()).device
        self.worth_a_pass = WORTH_A_PASS[self._device.type]
        self._alphabet = torch.tensor(layout.alphabet, device=self._device)
        self._column = {token: k for k, token in enumerate(layout.alphabet)}
        ends = [tuple(layout.positions_of(each.ids)[:, -1].tolist()) for each in prompts]
        self.roots = [Node(-1, None, AnswerState(), end, cost=0.0) for end in ends]
        longest = max((len(each.ids) for each in prompts), default=0) + layout.longest_answer
        sizes = Sizes.of(model)
        # What a pass works with, which is enough for one prompt at least, comes first; the rest is for what is kept.
        least = longest * sizes.token + min(longest, ROW_NODES) * sizes.logits
        working = max(least, 0.4 * megabytes * 1e6)
        slots = int(max(0.0, megabytes * 1e6 - working) / sizes.slot)
        self.together = max(1, min(len(prompts), slots // longest))
        """Prompts whose keys and values are held at the same time."""
        self._most = max(longest, slots // self.together)
        self._pass_tokens = int(working / (sizes.token + sizes.logits + 5 * longest))
        self._apart = takes_rows_apart(model)
        self._layers = [Layer(self.together, self._most) for _ in range(sizes.blocks)]
        self._shelf = KVOffload(self._layers, sizes.slot) if self._device.type != "cpu" else None
        self._row: dict[int, int] = {}
        """The row of the cache that holds each prompt, the one touched longest ago first."""
        self._used = [0] * self.together
        """Slots of each row that are taken."""

    def log_p(self, node: Node, token: int) -> float:
        """log p of a token after a node that has been read."""
        assert node.log_p is not None
        return float(node.log_p[self._column[token]])

    def child(self, node: Node, token: int) -> Node:
        """The node after this token, made if need be; the token must be legal and not the last one of an answer."""
        known = node.children.get(token)
        if known is None:
            state = successors(self.layout, node.state)[token]
            assert state is not None, "the last token of an answer is predicted, never read"
            known = node.children[token] = Node(token, node, state, self.layout.next_position(node.where, token))
            if node.log_p is not None:
                known.cost = node.cost - self.log_p(node, token)
        return known

    def follow(self, prompt: int, tokens: Tokens) -> Node:
        """The node at the end of these tokens, made if need be."""
        node = self.roots[prompt]
        for token in tokens:
            node = node.children.get(token) or self.child(node, token)
        return node

    @torch.no_grad()
    def read(self, wanted: Mapping[int, Sequence[Tokens]], until: Deadline) -> bool:
        """Make the model read these beginnings of answers, by prompt; False if time ran out before it had.

        What has been read is not read again. The empty beginning reads the prompt alone.
        """
        queues = {k: list(paths) for k, paths in wanted.items()}
        while True:
            for k in [k for k, queue in queues.items() if not self._due(k, queue)]:
                del queues[k]
            turn = sorted(queues, key=lambda k: k not in self._row)[: self.together]
            if not turn:
                return True
            self._bring_back(turn)
            for group in self._unread(turn):
                if until.passed():
                    return False
                self._make_room(len(group), turn)
                self._read_prompts(group)
            rows = {k: nodes for k in turn if (nodes := self._next_nodes(k, queues[k]))}
            for part in self._alike(rows):
                if until.passed():
                    return False
                self._read_nodes({k: rows[k] for k in part})

    # -- what has to be read ---------------------------------------------------------------------------------------

    def _due(self, prompt: int, queue: list[Tokens]) -> bool:
        """Whether one of these paths has not been read whole; those that have are taken off."""
        while queue and self.follow(prompt, queue[0]).log_p is not None:
            queue.pop(0)
        return bool(queue)

    def _unread(self, prompts: Sequence[int]) -> list[list[int]]:
        """Those of the prompts that the cache does not hold, in groups of one length that make a pass each."""
        groups: dict[int, list[list[int]]] = {}
        for k in prompts:
            if k not in self._row:
                length = len(self.prompts[k].ids)
                same = groups.setdefault(length, [[]])
                if same[-1] and (len(same[-1]) + 1) * length > self._pass_tokens:
                    same.append([])
                same[-1].append(k)
        return [group for same in groups.values() for group in same]

    def _next_nodes(self, prompt: int, queue: Sequence[Tokens]) -> list[Node]:
        """The nodes of one pass, parents first; if the row has no room left for them, its tries give theirs back."""
        nodes = self._missing(prompt, queue)
        if self._used[self._row[prompt]] + len(nodes) > self._most:
            self._forget_nodes(prompt)
            nodes = self._missing(prompt, queue)[: self._most - len(self.prompts[prompt].ids)]
        return nodes

    def _missing(self, prompt: int, paths: Sequence[Tokens]) -> list[Node]:
        """Nodes on these paths that have to be read, parents first; an ancestor that lost its slot is one."""
        missing: dict[int, Node] = {}
        for path in paths:
            node, nodes = self.roots[prompt], list[Node]()
            for token in path:
                node = node.children.get(token) or self.child(node, token)
                nodes.append(node)
            while nodes and nodes[-1].log_p is not None:
                nodes.pop()
            missing |= {id(each): each for each in nodes if each.slot < 0}
            if len(missing) >= ROW_NODES:
                break
        return list(missing.values())[:ROW_NODES]

    def _alike(self, rows: Mapping[int, Sequence[Node]]) -> list[list[int]]:
        """Prompts that are read in one pass: few enough tokens, little padding, and none of it beyond a full row."""
        parts: list[list[int]] = []
        padding = 0
        for k in sorted(rows, key=lambda k: -len(rows[k])):
            widest = len(rows[parts[-1][0]]) if parts else 0
            padding += widest - len(rows[k])
            fits = bool(parts) and widest * (len(parts[-1]) + 1) <= self._pass_tokens
            fits = fits and self._used[self._row[k]] + widest <= self._most
            if not fits or padding > 2 * self.worth_a_pass:
                parts.append([])
                padding = 0
            parts[-1].append(k)
        return parts

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read_prompts(self, prompts: Sequence[int]) -> None:
        """One pass over whole prompts of one length; no padding, so no mask."""
        self._row |= dict(zip(prompts, self._free_rows(), strict=False))
        ids = np.stack([self.prompts[k].ids for k in prompts])
        where = np.stack([self.layout.positions_of(each) for each in ids], axis=1)
        plan = SlotPlan(
            [self._row[k] for k in prompts], [0] * len(prompts), ids.shape[1], first=True, apart=self._apart
        )
        log_p = self._forward(ids, where, None, plan)
        for at, k in enumerate(prompts):
            self.again += 0 if self.roots[k].log_p is None else ids.shape[1]
            self._tell(self.roots[k], log_p[at, 0])
            self._used[self._row[k]] = ids.shape[1]
        self.prompt_tokens += ids.size

    def _make_room(self, rows: int, needed: Sequence[int]) -> None:
        """Let go of the prompts that were touched longest ago; their tries keep what they know, if not the slots."""
        spare = [k for k in self._row if k not in needed]
        for k in spare[: max(0, len(self._row) + rows - self.together)]:
            if self._shelf is None or not self._shelf.put(k, self._row[k], self._used[self._row[k]]):
                self._forget_nodes(k)
            del self._row[k]

    def _bring_back(self, prompts: Sequence[int]) -> None:
        """Put those of the prompts that are on the shelf into the cache again."""
        back = [k for k in prompts if self._shelf is not None and k in self._shelf]
        self._make_room(len(back), prompts)
        for k, row in zip(back, self._free_rows(), strict=False):
            assert self._shelf is not None
            self._row[k] = row
            self._used[row] = self._shelf.take(k, row)

    def _free_rows(self) -> list[int]:
        return [row for row in range(self.together) if row not in self._row.values()]

    def _read_nodes(self, rows: Mapping[int, Sequence[Node]]) -> None:
        """One pass over nodes whose ancestors are in the cache or earlier in the same row."""
        prompts = sorted(rows, key=lambda k: self._row[k])
        width = max(map(len, rows.values()))
        used = [self._used[self._row[k]] for k in prompts]
        ids = np.full((len(prompts), width), self.layout.pad, np.int64)
        where = np.zeros((self.layout.axes, len(prompts), width), np.int64)
        mask = np.zeros((len(prompts), width, max(used) + width), bool)
        for at, k in enumerate(prompts):
            sees, length, first = mask[at], len(self.prompts[k].ids), used[at]
            sees[np.arange(width), first + np.arange(width)] = True
            for i, node in enumerate(rows[k]):
                ids[at, i], where[:, at, i] = node.token, node.where
                node.slot = first + i
                parent = node.parent
                if parent is not None and parent.slot >= first:
                    sees[i, : first + i] |= sees[parent.slot - first, : first + i]
                    continue
                sees[i, :length] = True
                while parent is not None and parent.slot >= 0:
                    sees[i, parent.slot] = True
                    parent = parent.parent
        self.padding += ids.size - sum(map(len, rows.values()))
        plan = SlotPlan([self._row[k] for k in prompts], used, width, first=False, apart=self._apart)
        log_p = self._forward(ids, where, mask, plan)
        for at, k in enumerate(prompts):
            for i, node in enumerate(rows[k]):
                self._tell(node, log_p[at, i])
            self._used[self._row[k]] += len(rows[k])
            self._row[k] = self._row.pop(k)
            self.nodes += len(rows[k])

    def _tell(self, node: Node, log_p: NDArray[np.float32]) -> None:
        """Note what the model says after a node; its children know their costs then."""
        node.log_p = log_p
        for token, child in node.children.items():
            child.cost = node.cost - self.log_p(node, token)

    def _forget_nodes(self, prompt: int) -> None:
        """Give back what a prompt's trie holds of the cache; what was read stays known."""
        stack = [self.roots[prompt]]
        while stack:
            node = stack.pop()
            node.slot = -1
            stack.extend(node.children.values())
        self._used[self._row[prompt]] = len(self.prompts[prompt].ids)

    def _forward(self, ids: Ids, where: Ids, mask: NDArray[np.bool_] | None, plan: SlotPlan) -> NDArray[np.float32]:
        """log p of the alphabet, not renormalised over it: [rows, tokens, alphabet], of prompts the last token's."""
        self.passes += 1
        logits = self.model(
            input_ids=torch.from_numpy(ids).to(self._device),
            position_ids=position_ids(torch.from_numpy(where).to(self._device)),
            attention_mask=None if mask is None else torch.from_numpy(mask).to(self._device)[:, None],
            past_key_values=planned(self._layers, plan, self._device),
            use_cache=True,
            **({"logits_to_keep": 1} if plan.first else {}),
            **({"plan": plan} if plan.apart and not plan.first else {}),
        ).logits
        log_p: NDArray[np.float32] = torch.log_softmax(logits.float(), -1)[..., self._alphabet].cpu().numpy()
        if np.isnan(log_p).any():
            raise FloatingPointError("what the model computes is not finite")
        return log_p
