"""Published search and scoring methods that ours is compared with, and tested against; not used for solving.

`plain_walk` is the search of the Architects (Franzen et al., "The LLM ARChitect", 2024) with the cache of transformers,
as they and most users write it: one view, one token per forward pass, and `past_key_values` cut back before each.
`depth_first` is the same on a cache that is written in place and cropped, as a good implementation would do.
`lock_step` is the search of NVARC (ARC Prize 2025): views of one length advance together, one token each per pass, and
a view that has no branch left takes padding. `scored` computes the whole prompt anew for every candidate in every view,
as both do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import DynamicCache

from submission.arc.layouts import AnswerState, Ids, Layout, successors
from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, grid_key
from submission.model.forward import position_ids
from submission.model.kv_cache import CACHE, KVBuffer, SlotPlan, block_count, pass_cache

Answers = dict[bytes, float]
"""grid_key of each answer above the threshold -> its log p in nats."""


@dataclass
class Work:
    """What a search or a scoring took."""

    passes: int = 0
    """Forward passes."""
    prompt_tokens: int = 0
    recomputed: int = 0
    """Prompt tokens of these that had been computed before."""
    tokens: int = 0
    """Answer tokens, padding included."""
    seconds: float = 0.0
    """Filled in by the caller."""


@torch.no_grad()
def plain_walk(model: nn.Module, layout: Layout, prompt: Prompt, threshold: float, work: Work) -> Answers:
    """Return all legal answers with p >= threshold for a prompt, one token a pass; adds to `work`."""
    cache, device = DynamicCache(), next(model.parameters()).device
    max_nll = -math.log(threshold)
    found: Answers = {}
    path = _Path((), AnswerState(), 0.0)
    # Branches that are still to be followed: below one, those of its own are followed first.
    stack: list[_Path] = []
    while True:
        ids = np.concatenate([prompt.ids, np.array(path.tokens, np.int64)])
        used = len(ids) - 1 if path.tokens else 0
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys[:, :, :used], layer.values[:, :, :used]
        positions = torch.from_numpy(layout.positions_of(ids)[:, None, used:])
        logits = model(
            input_ids=torch.from_numpy(ids[None, used:]).to(device),
            position_ids=position_ids(positions.to(device)),
            **{CACHE: cache},
            use_cache=True,
            logits_to_keep=1,
        ).logits
        work.passes += 1
        if path.tokens:
            work.tokens += 1
        else:
            work.prompt_tokens += len(ids)
        log_p = torch.log_softmax(logits[0, -1].float(), -1).cpu().numpy()
        stack += _branches(layout, path, log_p, max_nll, found)
        if not stack:
            return found
        path = stack.pop()


def depth_first(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], threshold: float, work: Work
) -> list[Answers]:
    """Return all legal answers with p >= threshold for each prompt; adds to `work`."""
    return [lock_step(model, layout, [each], threshold, work)[0] for each in prompts]


@torch.no_grad()
def lock_step(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], threshold: float, work: Work
) -> list[Answers]:
    """Return all legal answers with p >= threshold for each of some prompts of equal length; adds to `work`."""
    found: list[Answers] = [{} for _ in prompts]
    batch = _Batch(model, layout, prompts, work)
    max_nll = -math.log(threshold)

    def branches(paths: Sequence[_Path | None], log_p: NDArray[np.float32]) -> list[list[_Path]]:
        return [_branches(layout, path, log_p[k], max_nll, found[k]) if path else [] for k, path in enumerate(paths)]

    # One entry per depth: for each prompt the branches that are still to be followed.
    stack = [branches([_Path((), AnswerState(), 0.0)] * len(prompts), batch.log_p)]
    while stack:
        if any(stack[-1]):
            then = [each.pop() if each else None for each in stack[-1]]
            stack.append(branches(then, batch.step([each.tokens if each else () for each in then])))
        else:
            stack.pop()
    return found


@torch.no_grad()
def scored(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], answers: Sequence[Sequence[Grid]], work: Work
) -> NDArray[np.float64]:
    """Return the log p [prompt, candidate], in nats, of answers[prompt][candidate]; adds to `work`.

    Computes the whole prompt for each candidate.
    """
    scores = np.empty((len(prompts), len(answers[0])))
    device = next(model.parameters()).device
    for k, (prompt, candidates) in enumerate(zip(prompts, answers, strict=True)):
        for c, answer in enumerate(candidates):
            written = layout.answer(answer)
            ids = np.concatenate([prompt.ids, written[:-1]])
            positions = position_ids(torch.from_numpy(layout.positions_of(ids))[:, None].to(device))
            inputs = torch.from_numpy(ids)[None].to(device)
            logits = model(input_ids=inputs, position_ids=positions, use_cache=False).logits
            log_p = torch.log_softmax(logits[0, len(prompt.ids) - 1 :].float(), -1)
            scores[k, c] = float(log_p.gather(1, torch.from_numpy(written)[:, None].to(device)).double().sum())
            work.passes += 1
            work.prompt_tokens += len(prompt.ids)
            work.tokens += len(written) - 1
    return scores


@dataclass(frozen=True)
class _Path:
    """The beginning of an answer."""

    tokens: tuple[int, ...]
    state: AnswerState
    nll: float
    """-log p of the tokens, in nats."""


def _branches(layout: Layout, path: _Path, log_p: NDArray[np.float32], max_nll: float, found: Answers) -> list[_Path]:
    """Return the continuations of a path above the threshold, the most likely last; add complete answers to `found`.

    log_p [vocabulary] is that of the next token.
    """
    live = []
    for token, state in successors(layout, path.state).items():
        nll = path.nll - float(log_p[token])
        if nll > max_nll:
            continue
        if state is None:
            answer = layout.parse((*path.tokens, token))
            assert answer is not None
            found[grid_key(answer)] = -nll
        else:
            live.append(_Path((*path.tokens, token), state, nll))
    return sorted(live, key=lambda each: -each.nll)


class _Batch:
    """Prompts of equal length in one KV cache; each step overwrites the slots behind its path."""

    def __init__(self, model: nn.Module, layout: Layout, prompts: Sequence[Prompt], work: Work) -> None:
        """Prefill the prompts; `log_p` [prompts, vocabulary] is that of the first answer token."""
        self.model, self.layout, self.prompts, self.work = model, layout, prompts, work
        self.device = next(model.parameters()).device
        ids = np.stack([each.ids for each in prompts])
        self.length = ids.shape[1]
        slots = self.length + layout.longest_answer
        self.layers = [KVBuffer(len(prompts), slots) for _ in range(block_count(model))]
        self.log_p = self._forward(ids, np.stack([layout.positions_of(each) for each in ids], axis=1), 0)
        work.prompt_tokens += ids.size

    def step(self, paths: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """Compute the last token of each path; return the log p of the next one: [paths, vocabulary].

        All paths have one length, but for empty ones, which stand for padding.
        """
        ids = np.array([[path[-1] if path else self.layout.pad] for path in paths])
        positions = np.zeros((self.layout.axes, len(paths), 1), np.int64)
        for k, path in enumerate(paths):
            if path:
                whole = np.concatenate([self.prompts[k].ids, np.array(path)])
                positions[:, k] = self.layout.positions_of(whole)[:, -1:]
        self.work.tokens += len(paths)
        return self._forward(ids, positions, self.length + max(map(len, paths)) - 1)

    def _forward(self, ids: Ids, positions: Ids, used: int) -> NDArray[np.float32]:
        """One forward pass over ids [prompts, length], stored behind `used` cache slots; returns the last log p.

        positions [axes, prompts, length] -> [prompts, vocabulary].
        """
        self.work.passes += 1
        plan = SlotPlan(range(len(ids)), [used] * len(ids), ids.shape[1], prefill=used == 0)
        logits = self.model(
            input_ids=torch.from_numpy(ids).to(self.device),
            position_ids=position_ids(torch.from_numpy(positions).to(self.device)),
            use_cache=True,
            logits_to_keep=1,
            **{CACHE: pass_cache(self.layers, plan, self.device)},
        ).logits
        log_p: NDArray[np.float32] = torch.log_softmax(logits[:, -1].float(), -1).cpu().numpy()
        return log_p
