"""The search finds exactly the legal answers above the threshold, and scores are exact log-probabilities."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission import search
from submission.budget import NEVER, Deadline
from submission.finetune import position_ids
from submission.gridlm import GridLM
from submission.prompts import CHAT16, GRID16, AnswerState, Layout, Prompt, prompt, successors
from submission.tasks import Grid, Pair, grid, grid_key


def some_prompts(layout: Layout, count: int, seed: int = 0) -> list[Prompt]:
    """Prompts of unlike lengths, so that batches hold padding."""
    rng = np.random.default_rng(seed)

    def some() -> Grid:
        return grid(rng.integers(0, 10, rng.integers(1, 4, 2)))

    return [prompt(layout, [Pair(some(), some()) for _ in range(1 + k % 3)], some(), 1000) for k in range(count)]


def log_p_of(model: torch.nn.Module, layout: Layout, ids: np.ndarray) -> np.ndarray:
    """log p of every next token after a whole sequence, computed afresh without cache, mask or batch."""
    where = position_ids(torch.from_numpy(layout.where(ids))[:, None])
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


@pytest.fixture
def grid_model(tiny_grid_model: Path) -> torch.nn.Module:
    return decided(GridLM.from_pretrained(tiny_grid_model))


def agrees(model: torch.nn.Module, layout: Layout, threshold: float, seed: int) -> int:
    """Compare with brute force on a batch of prompts; returns how many answers there were."""
    asked = some_prompts(layout, 5, seed)
    found = search.search(model, layout, search.prefill(model, layout, asked), threshold, NEVER)
    answers = 0
    for each, got in zip(asked, found, strict=True):
        assert got.exhaustive
        expected = brute_force(model, layout, each, threshold)
        above = {grid_key(p.answer): p.log_probability for p in got.proposals if p.above}
        assert above.keys() == expected.keys()
        for key in above:
            assert above[key] == pytest.approx(expected[key], abs=1e-4)
        answers += len(expected)
    return answers


def test_the_search_equals_brute_force_on_grid_positions(grid_model: torch.nn.Module) -> None:
    answers = sum(agrees(grid_model, GRID16, threshold, seed) for seed, threshold in enumerate((0.05, 0.02, 0.01)))
    assert answers > 5, "the comparison must be about something"


def test_the_search_equals_brute_force_on_stock_models(tiny_line_model: Path) -> None:
    model = decided(AutoModelForCausalLM.from_pretrained(tiny_line_model))
    assert sum(agrees(model, CHAT16, 0.01, seed) for seed in range(2)) > 5


def test_where_nothing_passes_the_threshold_the_best_path_is_kept(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 3)
    found = search.search(grid_model, GRID16, search.prefill(grid_model, GRID16, asked), 1.0, NEVER)
    for each, got in zip(asked, found, strict=True):
        [best] = got.proposals
        assert not best.above
        ids, state = each.ids, AnswerState()
        total = 0.0
        while state is not None:  # The greedy path, step by step.
            following = log_p_of(grid_model, GRID16, ids)[-1]
            token = max(successors(GRID16, state), key=lambda t: following[t])
            total += following[token]
            ids, state = np.append(ids, token), successors(GRID16, state)[token]
        assert grid_key(best.answer) == grid_key(GRID16.parse(ids[len(each.ids) :].tolist()))
        assert best.log_probability == pytest.approx(total, abs=1e-3)


def test_scores_are_the_log_probabilities_of_whole_answers(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 4)
    rng = np.random.default_rng(3)
    answers = [[grid(rng.integers(0, 10, rng.integers(1, 5, 2))) for _ in range(6)] for _ in asked]
    prefilled = search.prefill(grid_model, GRID16, asked)
    scores = search.score(grid_model, GRID16, prefilled, answers, NEVER)
    for k, each in enumerate(asked):
        for c, answer in enumerate(answers[k]):
            written = GRID16.answer(answer)
            whole = np.concatenate([each.ids, written])
            rows = log_p_of(grid_model, GRID16, whole)[len(each.ids) - 1 : -1]
            assert scores[k, c] == pytest.approx(rows[np.arange(len(written)), written].sum(), abs=1e-3)
    again = search.score(grid_model, GRID16, prefilled, answers, NEVER)
    assert np.array_equal(scores, again), "scoring leaves the prompts as they were read"


def test_many_answers_are_scored_in_several_passes_with_the_same_result(
    grid_model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = some_prompts(GRID16, 2)
    answers = [[grid(np.full((2, 2), c)) for c in range(10)] for _ in asked]
    prefilled = search.prefill(grid_model, GRID16, asked)
    at_once = search.score(grid_model, GRID16, prefilled, answers, NEVER)
    monkeypatch.setattr(search, "SCORED_AT_ONCE", 1)
    one_by_one = search.score(grid_model, GRID16, prefilled, answers, NEVER)
    assert np.allclose(at_once, one_by_one, atol=1e-4)


def test_a_proposal_scores_what_the_search_said(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 1)
    prefilled = search.prefill(grid_model, GRID16, asked)
    [found] = search.search(grid_model, GRID16, prefilled, 0.005, NEVER)
    scores = search.score(grid_model, GRID16, prefilled, [[p.answer for p in found.proposals]], NEVER)
    assert np.allclose(scores[0], [p.log_probability for p in found.proposals], atol=1e-3)


def test_the_deadline_ends_the_search_and_keeps_what_was_found(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 4)
    prefilled = search.prefill(grid_model, GRID16, asked)
    ticks = iter(range(1000))
    found = search.search(grid_model, GRID16, prefilled, 0.001, Deadline(2.5, lambda: next(ticks)))
    assert not all(each.exhaustive for each in found)
    whole = search.search(grid_model, GRID16, prefilled, 0.001, NEVER)
    for part, full in zip(found, whole, strict=True):
        known = {grid_key(p.answer) for p in full.proposals}
        assert {grid_key(p.answer) for p in part.proposals} <= known
    late = search.score(grid_model, GRID16, prefilled, [[grid([[1]])]] * 4, Deadline(0.0, lambda: 1.0))
    assert np.isnan(late).all()
