"""The search finds exactly the legal answers above the threshold, and scores are exact log-probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, GRID16, AnswerState, Layout, successors
from submission.arc.tasks import grid, grid_key
from submission.deadline import NEVER, Deadline
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import TokenForest
from tests.support.exact_search import brute_force, decided, log_p_of, some_answers, some_prompts


def agrees(
    model: torch.nn.Module,
    layout: Layout,
    threshold: float,
    seed: int,
    drafts: int = 0,
    megabytes: float = 100,
    expected: list[dict[bytes, float]] | None = None,
) -> int:
    """Compare with brute force (or what it has found before) on a batch of prompts; returns how many answers."""
    asked = some_prompts(layout, 5, seed)
    expected = expected or [brute_force(model, layout, each, threshold) for each in asked]
    guesses = np.random.default_rng(seed)
    known = {k: [grid(guesses.integers(0, 3, guesses.integers(1, 4, 2)))] for k in range(drafts)}
    forest = TokenForest(model, layout, asked, megabytes)
    found = threshold_search.search(forest, range(5), known, threshold, NEVER)
    answers = 0
    for brute, got in zip(expected, found, strict=True):
        assert got.exhaustive
        above = {grid_key(p.answer): p.log_probability for p in got.proposals if p.above}
        assert above.keys() == brute.keys()
        for key in above:
            assert above[key] == pytest.approx(brute[key], abs=1e-4)
        answers += len(brute)
    return answers


def test_the_search_equals_brute_force_on_grid_positions(grid_model: torch.nn.Module) -> None:
    answers = sum(agrees(grid_model, GRID16, threshold, seed) for seed, threshold in enumerate((0.05, 0.02, 0.01)))
    assert answers > 5, "the comparison must be about something"


def test_the_search_equals_brute_force_on_stock_models(tiny_line_model: Path) -> None:
    model = decided(AutoModelForCausalLM.from_pretrained(tiny_line_model))
    assert sum(agrees(model, CHAT16, 0.01, seed) for seed in range(2)) > 5


def certainly_three(module: Any, args: Any, inputs: dict[str, Any], output: Any) -> Any:
    """A forward hook: the answer [[3]] is certain, whatever was asked."""
    last = inputs["input_ids"][:, -output.logits.shape[1] :]
    wanted = torch.where(last < 10, GRID16.answer_close[0], 3)
    output.logits = torch.nn.functional.one_hot(wanted, output.logits.shape[-1]) * 1e4
    return output


def test_at_threshold_1_certain_answers_are_best_paths_like_all_others(grid_model: torch.nn.Module) -> None:
    """Otherwise one answer whose log p is 0 would keep those of all other views from being counted as found."""
    asked = some_prompts(GRID16, 2)
    doubtful = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(2), {}, 1.0, NEVER)
    with grid_model.register_forward_hook(certainly_three, with_kwargs=True):
        certain = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(2), {}, 1.0, NEVER)
    answers = [(p.answer.tolist(), p.log_probability) for each in certain for p in each.proposals]
    assert answers == [([[3]], 0.0)] * 2
    assert not any(p.above for each in (*certain, *doubtful) for p in each.proposals)


def test_where_nothing_passes_the_threshold_the_best_path_is_kept(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 3)
    found = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(3), {}, 1.0, NEVER)
    for each, got in zip(asked, found, strict=True):
        [best] = got.proposals
        assert not best.above
        written = GRID16.answer(best.answer)
        following = log_p_of(grid_model, GRID16, np.concatenate([each.ids, written]))[len(each.ids) - 1 : -1]
        state: AnswerState | None = AnswerState()
        for token, log_p in zip(written.tolist(), following, strict=True):
            assert state is not None
            options = successors(GRID16, state)
            assert token == max(options, key=lambda t: log_p[t]), "the likeliest legal token, everywhere"
            state = options[token]
        assert state is None
        assert best.log_probability == pytest.approx(following[np.arange(len(written)), written].sum(), abs=1e-3)


def test_a_hopeless_path_is_given_up_but_never_the_likeliest_of_all(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 6)
    whole = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(6), {}, 1.0, NEVER)
    costs = [-each.proposals[0].log_probability for each in whole]
    middle, cheap = float(np.median(costs)), min(costs) / 2
    forest = TokenForest(grid_model, GRID16, asked)
    some = threshold_search.search(forest, range(6), {}, 1.0, NEVER, best_path_max_nll=middle)
    for each, full, cost in zip(some, whole, costs, strict=True):
        assert [grid_key(p.answer) for p in each.proposals] == [
            grid_key(p.answer) for p in full.proposals if cost <= middle
        ]
        assert each.exhaustive, "nothing above the threshold was missed"
    assert 0 < sum(len(each.proposals) for each in some) < 6
    least = [
        p
        for each in threshold_search.search(forest, range(6), {}, 1.0, NEVER, best_path_max_nll=cheap)
        for p in each.proposals
    ]
    assert len(least) == 2, "one for each attempt"
    assert not any(each.above for each in least)
    assert min(-each.log_probability for each in least) < max(costs)


def test_a_search_that_is_not_the_last_leaves_best_paths_to_one_that_finds_again_for_nothing(
    grid_model: torch.nn.Module,
) -> None:
    asked = some_prompts(GRID16, 4)
    whole = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(4), {}, 0.01, NEVER)
    forest = TokenForest(grid_model, GRID16, asked)
    first = threshold_search.search(forest, range(4), {}, 0.01, NEVER, last=False)
    passes = forest.passes
    assert all(p.above for each in first for p in each.proposals)
    again = threshold_search.search(forest, range(4), {}, 0.01, NEVER, last=False)
    assert forest.passes == passes
    then = threshold_search.search(forest, range(4), {}, 0.01, NEVER)
    for each, same in [*zip(again, first, strict=True), *zip(then, whole, strict=True)]:
        assert [grid_key(p.answer) for p in each.proposals] == [grid_key(p.answer) for p in same.proposals]


def test_drafts_and_little_memory_change_nothing_that_is_found(grid_model: torch.nn.Module) -> None:
    for seed in range(4):
        known = [brute_force(grid_model, GRID16, each, 0.02) for each in some_prompts(GRID16, 5, seed)]
        plain = agrees(grid_model, GRID16, 0.02, seed, expected=known)
        assert agrees(grid_model, GRID16, 0.02, seed, drafts=5, expected=known) == plain
        assert agrees(grid_model, GRID16, 0.02, seed, drafts=3, megabytes=1e-6, expected=known) == plain


def test_the_deadline_ends_the_search_and_keeps_what_was_found(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 4)
    whole = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(4), {}, 0.001, NEVER)
    kept, passes = 0, 0
    while True:
        ticks = iter(range(1000))
        found = threshold_search.search(
            TokenForest(grid_model, GRID16, asked),
            range(4),
            {},
            0.001,
            Deadline(passes + 0.5, lambda it=ticks: next(it)),
        )
        for part, full in zip(found, whole, strict=True):
            known = {grid_key(p.answer) for p in full.proposals}
            assert {grid_key(p.answer) for p in part.proposals} <= known
        if all(each.exhaustive for each in found):
            break
        passes, kept = passes + 1, kept + sum(len(each.proposals) for each in found)
    assert passes > 3
    assert kept > 0, "a search that is cut keeps what it has found"
    late = scoring.score(TokenForest(grid_model, GRID16, asked), some_answers(4, 2), 2, Deadline(0.0, lambda: 1.0))
    assert np.isnan(late.log_p).all()
