"""Drafts change how many passes a search takes, never what it finds."""

from __future__ import annotations

import torch

from submission.arc.layouts import GRID16
from submission.arc.tasks import grid_key
from submission.deadline import NEVER
from submission.inference import threshold_search
from submission.inference.drafts import MAX_DRAFT, AcceptanceRate
from submission.inference.token_tree import TokenForest
from submission.model.pass_cost import PassCost
from tests.support.exact_search import some_prompts


def test_drafts_reach_as_far_as_they_are_right_and_passes_are_dear() -> None:
    trusted, doubted = AcceptanceRate(), AcceptanceRate()
    for _ in range(100):
        trusted.update(0.99)
        doubted.update(0.3)

    def length(rate: AcceptanceRate, fixed: float) -> int:
        return rate.best_length(PassCost(fixed).each(1, MAX_DRAFT))

    assert length(doubted, 2.0) <= 1 < length(trusted, 2.0) < length(trusted, 30.0)
    assert length(doubted, 30.0) > length(doubted, 0.5)
    assert length(trusted, 1e9) == MAX_DRAFT


def test_drafts_fill_a_pass_up_to_a_step_of_its_price_and_no_further() -> None:
    """bitsandbytes multiplies up to 32 tokens in one kernel on an L4, and dequantizes the weights for more."""
    trusted = AcceptanceRate()
    for _ in range(100):
        trusted.update(0.99)
    stepped = PassCost(500.0, (60.0,) * 32)
    for paths in (1, 4, 8, 16):
        assert paths * (1 + trusted.best_length(stepped.each(paths, MAX_DRAFT))) == 32
    assert trusted.best_length(stepped.each(64, MAX_DRAFT)) > 0, "above every step the fixed cost is shared"


def test_a_draft_that_holds_takes_one_pass(grid_model: torch.nn.Module) -> None:
    asked = some_prompts(GRID16, 4)
    [found] = threshold_search.search(TokenForest(grid_model, GRID16, asked), [0], {}, 1.0, NEVER)
    best = found.proposals[0]
    drafted = TokenForest(grid_model, GRID16, asked)
    [again] = threshold_search.search(drafted, [0], {0: [best.answer]}, 1.0, NEVER)
    assert grid_key(again.proposals[0].answer) == grid_key(best.answer)
    assert drafted.passes == 2, "the prompt, and the draft"
