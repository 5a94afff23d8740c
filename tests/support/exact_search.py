"""The search and the scores by their definition: plain recursion, one uncached pass for each node."""

from __future__ import annotations

import math

import numpy as np
import torch

from submission.arc.layouts import CHAT16, GRID16, AnswerState, Layout, successors
from submission.arc.prompts import Prompt, prompt
from submission.arc.tasks import Grid, Pair, grid, grid_key
from submission.model.forward import position_ids


def some_prompts(layout: Layout, count: int, seed: int = 0) -> list[Prompt]:
    """Prompts of unlike lengths, so that batches hold padding."""
    rng = np.random.default_rng(seed)

    def some() -> Grid:
        return grid(rng.integers(0, 10, rng.integers(1, 4, 2)))

    return [prompt(layout, [Pair(some(), some()) for _ in range(1 + k % 3)], some(), 1000) for k in range(count)]


def log_p_of(model: torch.nn.Module, layout: Layout, ids: np.ndarray) -> np.ndarray:
    """log p of every next token after a whole sequence, computed afresh without cache, mask or batch."""
    where = position_ids(torch.from_numpy(layout.positions_of(ids))[:, None])
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(ids)[None], position_ids=where, use_cache=False).logits
    return torch.log_softmax(logits[0].double(), -1).numpy()


def brute_force(model: torch.nn.Module, layout: Layout, asked: Prompt, threshold: float) -> dict[bytes, float]:
    """All legal answers with p >= threshold by plain recursion, one uncached pass a node: the definition."""
    found: dict[bytes, float] = {}

    def visit(ids: np.ndarray, state: AnswerState, log_p: float) -> None:
        following = log_p_of(model, layout, ids)[-1]
        for token, then in successors(layout, state).items():
            total = log_p + following[token]
            if total < math.log(threshold):
                continue
            longer = np.append(ids, token)
            if then is None:
                answer = layout.parse(longer[len(asked.ids) :].tolist())
                assert answer is not None
                found[grid_key(answer)] = total
            else:
                visit(longer, then, total)

    visit(asked.ids, AnswerState(), 0.0)
    return found


def decided(model: torch.nn.Module) -> torch.nn.Module:
    """Random weights say little: sharpen the head, and leave it only colours 0..2, row ends and the close."""
    head = model.lm_head
    lean = torch.full((16,), -8.0)
    lean[[0, 1, 2, CHAT16.row_gap[0], CHAT16.answer_close[0]]] = 0.0
    model.lm_head = torch.nn.Linear(head.in_features, 16)
    with torch.no_grad():
        model.lm_head.weight.copy_(4 * head.weight)
        model.lm_head.bias.copy_(lean)
    return model.eval()


def true_scores(model: torch.nn.Module, asked: list[Prompt], answers: list[list[Grid]]) -> np.ndarray:
    """log p [prompt, candidate], each computed afresh."""
    scores = np.empty((len(asked), len(answers[0])))
    for k, each in enumerate(asked):
        for c, answer in enumerate(answers[k]):
            written = GRID16.answer(answer)
            rows = log_p_of(model, GRID16, np.concatenate([each.ids, written]))[len(each.ids) - 1 : -1]
            scores[k, c] = rows[np.arange(len(written)), written].sum()
    return scores


def some_answers(prompts: int, number: int, seed: int = 3) -> list[list[Grid]]:
    rng = np.random.default_rng(seed)
    return [[grid(rng.integers(0, 10, rng.integers(1, 5, 2))) for _ in range(number)] for _ in range(prompts)]


def prompts(rng: np.random.Generator, number: int) -> list[Prompt]:
    """Prompts of two demonstrations on positions of a grid."""

    def some() -> Grid:
        return grid(rng.integers(0, 10, rng.integers(1, 4, 2)))

    return [prompt(GRID16, [Pair(some(), some()) for _ in range(2)], some(), 500) for _ in range(number)]
