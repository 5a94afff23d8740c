"""The search finds exactly the legal answers above the threshold, and scores are exact log-probabilities."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, GRID16, AnswerState, Layout, successors
from submission.arc.prompts import Prompt, prompt
from submission.arc.tasks import Grid, Pair, grid, grid_key
from submission.benchmarks import baselines
from submission.deadline import NEVER, Deadline
from submission.inference import scoring, threshold_search
from submission.inference.drafts import MOST_AHEAD, AcceptanceRate
from submission.inference.token_tree import TokenForest
from submission.model.forward import position_ids
from submission.model.grid_lm import GridLM


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


@pytest.fixture
def grid_model(tiny_grid_model: Path) -> torch.nn.Module:
    return decided(GridLM.from_pretrained(tiny_grid_model))


def agrees(
    model: torch.nn.Module, layout: Layout, threshold: float, seed: int, drafts: int = 0, megabytes: float = 100
) -> int:
    """Compare with brute force on a batch of prompts; returns how many answers there were."""
    asked = some_prompts(layout, 5, seed)
    guesses = np.random.default_rng(seed)
    known = {k: [grid(guesses.integers(0, 3, guesses.integers(1, 4, 2)))] for k in range(drafts)}
    forest = TokenForest(model, layout, asked, megabytes)
    found = threshold_search.search(forest, range(5), known, threshold, NEVER)
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
    found = threshold_search.search(TokenForest(grid_model, GRID16, asked), range(3), {}, 1.0, NEVER)
    for each, got in zip(asked, found, strict=True):
        [best] = got.proposals
        assert not best.above
        ids, total = each.ids, 0.0
        state: AnswerState | None = AnswerState()
        while state is not None:
            following = log_p_of(grid_model, GRID16, ids)[-1]
            options = successors(GRID16, state)
            token = max(options, key=lambda t: following[t])
            ids, total, state = np.append(ids, token), total + following[token], options[token]
        assert np.array_equal(GRID16.answer(best.answer), ids[len(each.ids) :])
        assert best.log_probability == pytest.approx(total, abs=1e-3)


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


def test_drafts_reach_as_far_as_they_are_right_and_passes_are_dear() -> None:
    trusted, doubted = AcceptanceRate(), AcceptanceRate()
    for _ in range(100):
        trusted.told(0.99)
        doubted.told(0.3)
    assert doubted.reach(2.0) <= 1 < trusted.reach(2.0) < trusted.reach(30.0)
    assert doubted.reach(30.0) > doubted.reach(0.5)
    assert trusted.reach(1e9) == MOST_AHEAD


def test_drafts_and_little_memory_change_nothing_that_is_found(grid_model: torch.nn.Module) -> None:
    for seed in range(4):
        plain = agrees(grid_model, GRID16, 0.02, seed)
        assert agrees(grid_model, GRID16, 0.02, seed, drafts=5) == plain
        assert agrees(grid_model, GRID16, 0.02, seed, drafts=3, megabytes=1e-6) == plain


def test_a_draft_that_holds_takes_one_pass(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 4)
    [found] = threshold_search.search(TokenForest(grid_model, GRID16, asked), [0], {}, 1.0, NEVER)
    best = found.proposals[0]
    drafted = TokenForest(grid_model, GRID16, asked)
    [again] = threshold_search.search(drafted, [0], {0: [best.answer]}, 1.0, NEVER)
    assert grid_key(again.proposals[0].answer) == grid_key(best.answer)
    assert drafted.passes == 2, "the prompt, and the draft"


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


def test_scores_are_the_log_probabilities_of_whole_answers(grid_model: torch.nn.Module) -> None:
    asked, answers = some_prompts(GRID16, 4), some_answers(4, 6)
    forest = TokenForest(grid_model, GRID16, asked)
    scores = scoring.score(forest, answers, 6, NEVER)
    assert np.allclose(scores.log_p, true_scores(grid_model, asked, answers), atol=1e-3)
    assert np.allclose(scores.at_most, scores.log_p.sum(axis=0))
    passes = forest.passes
    again = scoring.score(forest, answers, 6, NEVER)
    assert np.array_equal(scores.log_p, again.log_p)
    assert forest.passes == passes, "what has been read is not read again"
    assert forest.prompt_tokens == sum(len(each.ids) for each in asked)


@pytest.mark.parametrize("best", [1, 2, 3])
def test_only_what_the_best_need_is_scored_and_they_are_the_true_best(grid_model: torch.nn.Module, best: int) -> None:
    asked = some_prompts(GRID16, 6)
    left_out = 0
    for seed in range(5):
        answers = [row * 1 for row in some_answers(1, 12, seed)] * 6
        truth = true_scores(grid_model, asked, answers).sum(axis=0)
        scores = scoring.score(TokenForest(grid_model, GRID16, asked), answers, best, NEVER)
        assert (scores.at_most >= truth - 1e-3).all()
        order = np.argsort(-truth)[:best]
        assert np.array_equal(np.argsort(-scores.at_most)[:best], order)
        assert np.allclose(scores.log_p[:, order].sum(axis=0), truth[order], atol=1e-3)
        left_out += int(np.isnan(scores.log_p).any(axis=0).sum())
    assert left_out > 2, "the comparison must be about something"


def test_a_proposal_is_scored_without_another_pass(grid_model: torch.nn.Module) -> None:
    forest = TokenForest(grid_model, GRID16, some_prompts(GRID16, 1))
    [found] = threshold_search.search(forest, [0], {}, 0.005, NEVER)
    passes = forest.passes
    scores = scoring.score(forest, [[p.answer for p in found.proposals]], len(found.proposals), NEVER)
    assert len(found.proposals) > 1
    assert np.allclose(scores.log_p[0], [p.log_probability for p in found.proposals], atol=1e-6)
    assert forest.passes == passes


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


@pytest.mark.parametrize("views", [1, 3])
def test_the_baselines_find_the_same(grid_model: torch.nn.Module, views: int) -> None:
    asked = [each for each in some_prompts(GRID16, 200, seed=8) if len(each.ids) == 24][:views]
    assert len(asked) == views
    work = baselines.Work()
    for threshold in (0.3, 0.01):
        expected = [brute_force(grid_model, GRID16, each, threshold) for each in asked]
        for got, brute in zip(baselines.lock_step(grid_model, GRID16, asked, threshold, work), expected, strict=True):
            assert got == pytest.approx(brute, abs=1e-4)
    answers = some_answers(views, 3)
    scores = baselines.scored(grid_model, GRID16, asked, answers, work)
    assert np.allclose(scores, true_scores(grid_model, asked, answers), atol=1e-3)
