"""A search over a model of true size that holds no memory: prefill, KV cache, node passes, scores, as the engine does.

The trees, their masks and their cache are the engine's own. Only what the model says is made up: each token is as
likely as the next, so that the search follows grids of every size as far as its threshold lets it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, grid
from submission.deadline import NEVER
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import TokenForest
from submission.model.attention import query_group
from submission.model.pass_cost import PassCost
from tests.support.counted import Fake


@dataclass(frozen=True)
class Asked:
    """A set of questions and how they are searched."""

    prompts: int
    tokens: int
    """Of each prompt."""
    answers: int = 4
    """Answers of 30 by 30 that are drafted whole and scored."""
    threshold: float = 0.09


def forest_on(fake: Fake, asked: Asked, megabytes: float) -> TokenForest:
    """Token trees behind prompts without contents, as on a GPU."""
    fake.adapted.eval()
    prompts = [Prompt(np.zeros(asked.tokens, np.int64), 0) for _ in range(asked.prompts)]
    forest = TokenForest(fake.adapted, CHAT16, prompts, megabytes)
    # What a forest reads off the device, which here is the CPU's.
    forest.cost, forest.node_passes._copies = PassCost(512.0), query_group(fake.base)
    return forest


def candidates(number: int) -> list[Grid]:
    """So many different grids of 30 by 30."""
    return [grid(np.full((30, 30), colour)) for colour in range(number)]


def search(fake: Fake, asked: Asked, megabytes: float) -> TokenForest:
    """Search and score these prompts; returns the forest, whose cache is still held."""
    forest = forest_on(fake, asked, megabytes)
    which, known = range(asked.prompts), candidates(asked.answers)
    threshold_search.search(forest, which, dict.fromkeys(which, known), asked.threshold, NEVER)
    scoring.score(forest, [known] * asked.prompts, asked.answers, NEVER)
    return forest
