"""The plain searches and the search in lock-step, which the benches compare with, find what brute force finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from submission.arc.layouts import GRID16
from submission.benchmarks import baselines
from tests.support.exact_search import brute_force, some_answers, some_prompts, true_scores


@pytest.mark.parametrize("views", [1, 3])
def test_the_baselines_find_the_same(grid_model: torch.nn.Module, views: int) -> None:
    asked = [each for each in some_prompts(GRID16, 200, seed=8) if len(each.ids) == 24][:views]
    assert len(asked) == views
    work = baselines.Work()
    for threshold in (0.3, 0.01):
        expected = [brute_force(grid_model, GRID16, each, threshold) for each in asked]
        for got, brute in zip(baselines.lock_step(grid_model, GRID16, asked, threshold, work), expected, strict=True):
            assert got == pytest.approx(brute, abs=1e-4)
        for each, brute in zip(asked, expected, strict=True):
            walk = baselines.plain_walk(grid_model, GRID16, each, threshold, work)
            assert walk == pytest.approx(brute, abs=1e-4)
    answers = some_answers(views, 3)
    scores = baselines.scored(grid_model, GRID16, asked, answers, work)
    assert np.allclose(scores, true_scores(grid_model, asked, answers), atol=1e-3)
