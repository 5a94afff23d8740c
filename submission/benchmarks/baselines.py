"""The searches that ours is measured against, as plainly as they are described: for benches and tests, not for use.

`depth_first` is the Architects' walk (2024), one view and one token a pass. `lock_step` is NVARC's (2025): views of one
length advance together, each pass takes the next token of every one, and a view without a branch left takes padding.
`scored` reads the whole prompt again for every candidate in every view, as both do. Caches are written in place and
cropped, which is what a good implementation of either would do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from submission.arc.layouts import AnswerState, Ids, Layout, successors
from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, grid_key
from submission.model.forward import position_ids
from submission.model.kv_cache import Layer, Sizes, SlotPlan, planned

Answers = dict[bytes, float]
"""The key of each answer above the threshold, with its log p."""


@dataclass
class Work:
    """What was asked of the model; the seconds are for the caller to fill in."""

    passes: int = 0
    prompt_tokens: int = 0
    again: int = 0
    """Of these, in prompts that had been read before."""
    tokens: int = 0
    """Of answers, padding included."""
    seconds: float = 0.0


def depth_first(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], threshold: float, work: Work
) -> list[Answers]:
    """All legal answers with p >= threshold for each prompt."""
    return [lock_step(model, layout, [each], threshold, work)[0] for each in prompts]


@torch.no_grad()
def lock_step(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], threshold: float, work: Work
) -> list[Answers]:
    """All legal answers with p >= threshold for each of some prompts of one length."""
    found: list[Answers] = [{} for _ in prompts]
    reader = _Reader(model, layout, prompts, work)
    bound = -math.log(threshold)

    def branches(paths: Sequence[_Path | None], log_p: NDArray[np.float32]) -> list[list[_Path]]:
        return [_branches(layout, path, log_p[k], bound, found[k]) if path else [] for k, path in enumerate(paths)]

    waiting = [branches([_Path((), AnswerState(), 0.0)] * len(prompts), reader.log_p)]
    while waiting:
        if any(waiting[-1]):
            then = [each.pop() if each else None for each in waiting[-1]]
            waiting.append(branches(then, reader.step([each.tokens if each else () for each in then])))
        else:
            waiting.pop()
    return found


@torch.no_grad()
def scored(
    model: nn.Module, layout: Layout, prompts: Sequence[Prompt], answers: Sequence[Sequence[Grid]], work: Work
) -> NDArray[np.float64]:
    """log p [prompt, candidate] of answers[prompt][candidate], whole prompts read for each candidate."""
    scores = np.empty((len(prompts), len(answers[0])))
    device = next(model.parameters()).device
    for k, (prompt, row) in enumerate(zip(prompts, answers, strict=True)):
        for c, answer in enumerate(row):
            written = layout.answer(answer)
            ids = np.concatenate([prompt.ids, written[:-1]])
            where = position_ids(torch.from_numpy(layout.positions_of(ids))[:, None].to(device))
            logits = model(input_ids=torch.from_numpy(ids)[None].to(device), position_ids=where, use_cache=False).logits
            log_p = torch.log_softmax(logits[0, len(prompt.ids) - 1 :].float(), -1)
            scores[k, c] = float(log_p.gather(1, torch.from_numpy(written)[:, None].to(device)).double().sum())
            work.passes += 1
            work.prompt_tokens += len(prompt.ids)
            work.tokens += len(written) - 1
    return scores


@dataclass(frozen=True)
class _Path:
    tokens: tuple[int, ...]
    state: AnswerState
    cost: float


def _branches(layout: Layout, path: _Path, log_p: NDArray[np.float32], bound: float, found: Answers) -> list[_Path]:
    """What may follow above the threshold, the likeliest last; what is complete goes to `found`."""
    live = []
    for token, state in successors(layout, path.state).items():
        cost = path.cost - float(log_p[token])
        if cost > bound:
            continue
        if state is None:
            answer = layout.parse((*path.tokens, token))
            assert answer is not None
            found[grid_key(answer)] = -cost
        else:
            live.append(_Path((*path.tokens, token), state, cost))
    return sorted(live, key=lambda each: -each.cost)


class _Reader:
    """Prompts of one length in a cache; each step overwrites what stood at its place."""

    def __init__(self, model: nn.Module, layout: Layout, prompts: Sequence[Prompt], work: Work) -> None:
        self.model, self.layout, self.prompts, self.work = model, layout, prompts, work
        self.device = next(model.parameters()).device
        ids = np.stack([each.ids for each in prompts])
        self.length = ids.shape[1]
        most = self.length + layout.longest_answer
        self.layers = [Layer(len(prompts), most) for _ in range(Sizes.of(model).blocks)]
        self.log_p = self._forward(ids, np.stack([layout.positions_of(each) for each in ids], axis=1), 0)
        work.prompt_tokens += ids.size

    def step(self, paths: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """log p after each path, whose last token is read; an empty one stands for padding."""
        ids = np.array([[path[-1] if path else self.layout.pad] for path in paths])
        where = np.zeros((self.layout.axes, len(paths), 1), np.int64)
        for k, path in enumerate(paths):
            if path:
                whole = np.concatenate([self.prompts[k].ids, np.array(path)])
                where[:, k] = self.layout.positions_of(whole)[:, -1:]
        self.work.tokens += len(paths)
        return self._forward(ids, where, self.length + max(map(len, paths)) - 1)

    def _forward(self, ids: Ids, where: Ids, used: int) -> NDArray[np.float32]:
        """log p after the last token of each row; the tokens go behind `used` slots of the cache."""
        self.work.passes += 1
        plan = SlotPlan(range(len(ids)), [used] * len(ids), ids.shape[1], first=used == 0)
        logits = self.model(
            input_ids=torch.from_numpy(ids).to(self.device),
            position_ids=position_ids(torch.from_numpy(where).to(self.device)),
            past_key_values=planned(self.layers, plan, self.device),
            use_cache=True,
            logits_to_keep=1,
        ).logits
        log_p: NDArray[np.float32] = torch.log_softmax(logits[:, -1].float(), -1).cpu().numpy()
        return log_p
