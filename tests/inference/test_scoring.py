"""Scores are exact log-probabilities of whole answers, and no more of them than the decision needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from submission.arc.layouts import GRID16
from submission.deadline import NEVER
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import TokenForest
from tests.support.exact_search import some_answers, some_prompts, true_scores


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


@pytest.mark.parametrize("best", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)])
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
