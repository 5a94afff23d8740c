"""All answers above a probability threshold, exactly, and the log-probability of given answers.

The search goes through the answers token by token, all views and all their live prefixes in one batch. A prefix
lives while its probability is at least the threshold; since probabilities only fall along an answer, what is found
is every answer above it, the set that a depth-first search finds (Architects 2024). Only legal continuations are
followed; their probabilities are those of the full vocabulary, never renormalised. The greedy answer is the limit
of threshold 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from submission.budget import Deadline
from submission.engine import Found, Proposal
from submission.finetune import position_ids
from submission.prompts import AnswerState, Ids, Layout, Prompt, successors
from submission.tasks import Grid

ROOM = 64
"""Tokens by which a cache buffer is larger than needed when it has to grow."""

SCORED_AT_ONCE = 1024
"""Answer tokens a view that one scoring pass takes, unless a single answer is longer."""


@dataclass(eq=False)
class Prefilled:
    """Prompts that a model has read: their keys and values, and what it expects next."""

    prompts: Sequence[Prompt]
    cache: Cache
    kept: Tensor
    """Which cache slots hold a token, not padding: bool [prompts, slots]."""
    next_log_p: NDArray[np.float32]
    """log p of each token as the first of the answer: [prompts, vocabulary]."""
    last: Ids
    """Position of each prompt's last token: [axes, prompts]."""


@torch.no_grad()
def prefill(model: nn.Module, layout: Layout, prompts: Sequence[Prompt]) -> Prefilled:
    """Read the prompts in one padded batch; padding is on the left, so that all answers begin at one slot."""
    device = next(model.parameters()).device
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = np.full((len(prompts), longest), layout.pad, np.int64)
    where = np.zeros((layout.axes, len(prompts), longest), np.int64)
    kept = np.zeros((len(prompts), longest), bool)
    for k, prompt in enumerate(prompts):
        at = longest - len(prompt.ids)
        ids[k, at:], where[:, k, at:], kept[k, at:] = prompt.ids, layout.where(prompt.ids), True
    keep = torch.from_numpy(kept).to(device)
    mask = None
    if not kept.all():
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        # A padding token looks at itself: a row of nothing but masked keys would be NaN.
        itself = torch.eye(longest, dtype=torch.bool, device=device)
        mask = (causal & keep[:, None, None, :]) | itself
    cache = Cache(layers=[_Layer() for _ in range(_layers(model))])
    logits = model(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=position_ids(torch.from_numpy(where).to(device)),
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    return Prefilled(prompts, cache, keep, _log_p(logits[:, -1]), where[:, :, -1])


@dataclass(frozen=True, eq=False)
class _Prefix:
    """A live beginning of an answer."""

    prompt: int
    state: AnswerState
    tokens: tuple[int, ...]
    cost: float
    """-log p."""


@torch.no_grad()
def search(model: nn.Module, layout: Layout, prefilled: Prefilled, threshold: float, until: Deadline) -> list[Found]:
    """For each prompt every legal answer with p >= threshold, or the best path followed where there is none."""
    bound = -math.log(threshold)
    number = len(prefilled.prompts)
    found: list[list[Proposal]] = [[] for _ in range(number)]
    live = [_Prefix(k, AnswerState(), (), 0.0) for k in range(number)]
    log_p = prefilled.next_log_p
    where = prefilled.last
    cache = None
    while live:
        parents, children = _expand(layout, live, log_p, bound, found)
        live = children
        if not live or until.passed():
            break
        owners = [prefix.prompt for prefix in live]
        if cache is None:
            cache = _selected(prefilled.cache, parents)
        elif parents != list(range(cache.layers[0].keys.shape[0])):
            cache = _selected(cache, parents)
        tokens = np.array([prefix.tokens[-1] for prefix in live])
        where = layout.step(where[:, parents], tokens)
        log_p = _step(model, cache, prefilled.kept[owners], tokens, where)
    cut = {prefix.prompt for prefix in live}
    return [
        Found(tuple(sorted(each, key=lambda p: -p.log_probability)), exhaustive=k not in cut)
        for k, each in enumerate(found)
    ]


def _expand(
    layout: Layout,
    live: Sequence[_Prefix],
    log_p: NDArray[np.float32],
    bound: float,
    found: list[list[Proposal]],
) -> tuple[list[int], list[_Prefix]]:
    """One token further: complete answers go to `found`; returns the index of each child's parent, and the children.

    A prompt with neither an answer nor a child above the threshold keeps its one best child: its best path.
    """
    kept: list[tuple[int, _Prefix]] = []
    below: dict[int, tuple[float, int, int]] = {}
    alive: set[int] = set()
    for at, prefix in enumerate(live):
        for token, state in successors(layout, prefix.state).items():
            cost = prefix.cost - float(log_p[at, token])
            if cost <= bound:
                alive.add(prefix.prompt)
                _follow(layout, prefix, at, token, state, cost, True, found, kept)
            elif not math.isnan(cost):
                below[prefix.prompt] = min(below.get(prefix.prompt, (math.inf, 0, 0)), (cost, at, token))
    for prompt, (cost, at, token) in below.items():
        if prompt not in alive and not found[prompt]:
            state = successors(layout, live[at].state)[token]
            _follow(layout, live[at], at, token, state, cost, False, found, kept)
    return [at for at, _ in kept], [child for _, child in kept]


def _follow(
    layout: Layout, prefix: _Prefix, at: int, token: int, state: AnswerState | None, cost: float, above: bool,
    found: list[list[Proposal]], kept: list[tuple[int, _Prefix]],
) -> None:  # fmt: skip
    tokens = (*prefix.tokens, token)
    if state is not None:
        kept.append((at, _Prefix(prefix.prompt, state, tokens, cost)))
        return
    answer = layout.parse(tokens)
    assert answer is not None, "the search follows legal answers only"
    found[prefix.prompt].append(Proposal(answer, -cost, above))


@torch.no_grad()
def score(
    model: nn.Module, layout: Layout, prefilled: Prefilled, answers: Sequence[Sequence[Grid]], until: Deadline
) -> NDArray[np.float64]:
    """log p [prompt, candidate] of answers[prompt][candidate], against the prompts as they were read.

    Candidates stand side by side in one row behind each prompt and do not see each other; no prompt token is
    computed again. What is not reached before the deadline is NaN.
    """
    written = [[layout.answer(each) for each in candidates] for candidates in answers]
    number = len(written[0]) if written else 0
    scores = np.full((len(written), number), np.nan)
    at = 0
    while at < number and not until.passed():
        end, size = at, 0
        while end < number and (end == at or size + max(len(w[end]) for w in written) <= SCORED_AT_ONCE):
            size += max(len(w[end]) for w in written)
            end += 1
        scores[:, at:end] = _score_pass(model, layout, prefilled, [w[at:end] for w in written])
        at = end
    return scores


def _score_pass(
    model: nn.Module, layout: Layout, prefilled: Prefilled, written: Sequence[Sequence[Ids]]
) -> NDArray[np.float64]:
    """One pass over answers `written` [prompt][candidate]; the cache is as it was before, afterwards."""
    device = prefilled.kept.device
    slots = prefilled.kept.shape[1]
    width = max(sum(len(each) - 1 for each in candidates) for candidates in written)
    ids = np.full((len(written), width), layout.pad, np.int64)
    where = np.zeros((layout.axes, len(written), width), np.int64)
    sees = np.zeros((len(written), width, width), bool)
    for k, candidates in enumerate(written):
        at = 0
        for each in candidates:
            # The last token is only predicted, never read.
            end = at + len(each) - 1
            before = prefilled.prompts[k].ids
            ids[k, at:end] = each[:-1]
            where[:, k, at:end] = layout.where(np.concatenate([before, each[:-1]]))[:, len(before) :]
            sees[k, at:end, at:end] = np.tri(end - at, dtype=bool)
            at = end
    mask = torch.cat([prefilled.kept[:, None, :].expand(-1, width, -1), torch.from_numpy(sees).to(device)], dim=2)[
        :, None
    ]
    logits = model(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=position_ids(torch.from_numpy(where).to(device)),
        attention_mask=mask,
        past_key_values=prefilled.cache,
        use_cache=True,
    ).logits
    for layer in prefilled.cache.layers:
        layer.cut(slots)
    log_p = _log_p(logits)
    scores = np.empty((len(written), len(written[0])))
    for k, candidates in enumerate(written):
        at = 0
        for c, each in enumerate(candidates):
            steps = np.arange(len(each) - 1)
            rest = log_p[k, at + steps, each[1:]].astype(np.float64).sum()
            scores[k, c] = float(prefilled.next_log_p[k, each[0]]) + rest
            at += len(each) - 1
    return scores


def _step(model: nn.Module, cache: Cache, kept: Tensor, tokens: Ids, where: Ids) -> NDArray[np.float32]:
    """Feed one token to each live prefix; log p of every next token [prefixes, vocabulary]."""
    device = kept.device
    answered = cache.get_seq_length() + 1 - kept.shape[1]
    mask = None
    if not bool(kept.all()):
        mask = torch.cat([kept, kept.new_ones(len(tokens), answered)], dim=1)[:, None, None]
    logits = model(
        input_ids=torch.from_numpy(tokens).to(device)[:, None],
        position_ids=position_ids(torch.from_numpy(where).to(device)[:, :, None]),
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    ).logits
    return _log_p(logits[:, -1])


def _log_p(logits: Tensor) -> NDArray[np.float32]:
    return torch.log_softmax(logits.float(), dim=-1).cpu().numpy()


class _Layer(DynamicLayer):
    """Keys and values of one block, appended in place to a buffer with room: no copy of the prompt at each token."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keys: Tensor
        self.values: Tensor
        self.room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append [batch, heads, new, channels]; returns all keys and values so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self.room is None or self.room[0].shape[-2] < after:
            shape = (*key_states.shape[:-2], after + ROOM, key_states.shape[-1])
            wider = key_states.new_empty(shape), value_states.new_empty(shape)
            if before:
                wider[0][..., :before, :], wider[1][..., :before, :] = self.keys, self.values
            self.room = wider
        self.room[0][..., before:after, :] = key_states
        self.room[1][..., before:after, :] = value_states
        self.keys, self.values = (each[..., :after, :] for each in self.room)
        return self.keys, self.values

    def cut(self, slots: int) -> None:
        """Keep the first `slots` tokens only."""
        self.keys, self.values = self.keys[..., :slots, :], self.values[..., :slots, :]


def _selected(cache: Cache, rows: Sequence[int]) -> Cache:
    """A new cache that holds these rows of the old one, each as often as it is named."""
    chosen = Cache(layers=[_Layer() for _ in cache.layers])
    for old, new in zip(cache.layers, chosen.layers, strict=True):
        index = torch.tensor(rows, device=old.keys.device)
        new.update(old.keys.index_select(0, index), old.values.index_select(0, index))
    return chosen


def _layers(model: nn.Module) -> int:
    config: Any = model.config
    return int(config.get_text_config().num_hidden_layers)
