"""The tree of tokens behind each prompt: read once, within its memory, with any number type."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from submission.arc.layouts import GRID16
from submission.arc.prompts import prompt
from submission.arc.tasks import Pair, grid, grid_key
from submission.benchmarks import baselines
from submission.deadline import NEVER, Deadline
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import NODES_PER_PROMPT, TokenForest
from submission.model.grid_lm import GridLM, fresh
from submission.model.pass_cost import PassCost
from submission.model.prompt_cache import PromptCache
from submission.model.search_memory import TokenBytes
from tests.support.exact_search import prompts


def test_what_stands_in_the_trie_is_not_computed_again(tiny_grid_model: Path) -> None:
    forest = TokenForest(GridLM.from_pretrained(tiny_grid_model), GRID16, prompts(np.random.default_rng(0), 2))
    assert forest.evaluate({0: [(1, 2, 10, 3)], 1: [(1,)]}, NEVER)
    assert (forest.nodes, forest.prompt_tokens) == (5, sum(len(each.ids) for each in forest.prompts))
    assert forest.evaluate({0: [(1, 2), (1, 2, 10, 4), (1, 5)]}, NEVER)
    assert forest.nodes == 7, "two new leaves; what they share with the first path was there"
    passes = forest.passes
    assert forest.evaluate({0: [(1, 2, 10, 4)], 1: [()]}, NEVER)
    assert forest.passes == passes


def test_a_prompt_that_is_still_held_is_not_read_again_for_one_that_is_not(tiny_grid_model: Path) -> None:
    asked = prompts(np.random.default_rng(0), 4)
    model = GridLM.from_pretrained(tiny_grid_model)
    token, longest = TokenBytes.of(model), max(len(each.ids) for each in asked) + GRID16.longest_answer
    least = token.one_prompt(longest, NODES_PER_PROMPT)
    forest = TokenForest(model, GRID16, asked, megabytes=(least + 3.5 * longest * token.kv) / 1e6)
    assert forest.capacity.parallel_prompts == 3
    for answer in ((1,), (2,)):
        assert forest.evaluate({k: [answer] for k in range(4)}, NEVER)
    assert forest.prompt_tokens == sum(len(each.ids) for each in asked) + forest.prefilled_again
    assert 0 < forest.prefilled_again <= max(len(each.ids) for each in asked), (
        "one of four had to go, and one comes back"
    )


def test_no_row_is_filled_beyond_its_bound_by_the_padding_of_a_pass(tiny_grid_model: Path) -> None:
    forest = TokenForest(GridLM.from_pretrained(tiny_grid_model), GRID16, prompts(np.random.default_rng(0), 2))
    most = max(len(each.ids) for each in forest.prompts) + 40
    forest.capacity = replace(forest.capacity, slots_per_prompt=most)
    forest.cache = PromptCache(forest.capacity, len(forest.cache.buffers), 0, offload=False)
    forest.node_passes.buffers = forest.cache.buffers
    forest.cost = PassCost(1000.0)
    assert forest.evaluate({0: [(1,) * 30]}, NEVER)
    assert forest.evaluate({0: [(1,) * 29 + (2,)], 1: [(1,) * 30]}, NEVER)
    held = forest.cache.buffers[0].tensors
    assert held is not None
    assert max(forest.cache.used(k) for k in range(2)) <= most
    assert held[0].shape[2] <= most


def test_a_large_vocabulary_costs_prompts_nothing_but_their_last_token(tiny_grid_model: Path) -> None:
    model, full = GridLM.from_pretrained(tiny_grid_model), grid(np.ones((30, 30)))
    asked = [prompt(GRID16, [Pair(full, full)] * 2, full, 8192)] * 8
    small = TokenForest(model, GRID16, asked, megabytes=100)
    model.config.vocab_size = 2000
    large = TokenForest(model, GRID16, asked, megabytes=100)
    assert (small.capacity.parallel_prompts, large.capacity.parallel_prompts) == (8, 8)
    assert large.capacity.slots_per_prompt < small.capacity.slots_per_prompt, "and nodes theirs, which slots pay"


def test_a_forest_that_is_let_go_of_is_gone_at_once(tiny_grid_model: Path) -> None:
    """Its keys and values are gigabytes of a GPU, which no collection of garbage looks at in time."""
    forest = TokenForest(GridLM.from_pretrained(tiny_grid_model), GRID16, prompts(np.random.default_rng(0), 2))
    threshold_search.search(forest, [0, 1], {}, 0.3, NEVER)
    gone = weakref.ref(forest)
    gc.disable()
    try:
        del forest
        assert gone() is None
    finally:
        gc.enable()


def test_a_deadline_ends_the_reading(tiny_grid_model: Path) -> None:
    forest = TokenForest(GridLM.from_pretrained(tiny_grid_model), GRID16, prompts(np.random.default_rng(0), 2))
    assert not forest.evaluate({0: [(1,)]}, Deadline(0.0, lambda: 1.0))
    assert forest.passes == 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.05), (torch.bfloat16, 0.3)])
def test_half_precision_differs_by_its_rounding_only(
    tiny_grid_model: Path, dtype: torch.dtype, tolerance: float
) -> None:
    asked = prompts(np.random.default_rng(1), 3)
    answers = [[grid(np.full((2, k + 1), c)) for k in range(2) for c in range(3)]] * 3
    exact, rounded = (
        scoring.score(
            TokenForest(GridLM.from_pretrained(tiny_grid_model, dtype=each), GRID16, asked), answers, 6, NEVER
        )
        for each in (torch.float32, dtype)
    )
    difference = np.abs(exact.log_p - rounded.log_p).max()
    assert 0 < difference < tolerance


@pytest.mark.parametrize("number", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_models_and_thresholds_agree_with_the_plain_search(number: int) -> None:
    """Random models say little: heads are sharpened at random, and left few colours, so that answers end."""
    model = fresh(hidden=64, layers=1, seed=3).eval()
    first = model.lm_head.weight.detach().clone()
    head = torch.nn.Linear(model.lm_head.in_features, 16)
    model.lm_head = head
    rng = np.random.default_rng(7)
    answers = 0
    for _ in range(number):
        lean = torch.full((16,), -9.0)
        lean[[*rng.permutation(10)[: rng.integers(1, 3)].tolist(), 10, 15]] = 0.0
        with torch.no_grad():
            head.weight.copy_(first * float(rng.uniform(0, 3)) * torch.from_numpy(rng.choice([-1, 1], (16, 1))))
            head.bias.copy_(lean)
        asked, threshold = prompts(rng, 2), float(rng.uniform(0.02, 0.3))
        known = {0: [grid(rng.integers(0, 10, rng.integers(1, 4, 2)))]}
        work = baselines.Work()
        expected = baselines.depth_first(model, GRID16, asked, threshold, work)
        for got, plain in zip(
            threshold_search.search(TokenForest(model, GRID16, asked), [0, 1], known, threshold, NEVER),
            expected,
            strict=True,
        ):
            above = {grid_key(p.answer): p.log_probability for p in got.proposals if p.above}
            near = {key for key, log_p in {**above, **plain}.items() if log_p - np.log(threshold) < 1e-4}
            assert above.keys() - near == plain.keys() - near
            assert all(abs(log_p - plain[key]) < 1e-4 for key, log_p in above.items() if key in plain)
            answers += len(plain)
    assert answers > number / 2, "the comparison must be about something"


LARGE = """
import gc, sys
from pathlib import Path
import numpy as np, torch
from submission.inference import scoring
from submission.deadline import NEVER
from submission.model.grid_lm import fresh
from submission.arc.layouts import GRID16
from submission.arc.prompts import prompt
from submission.arc.tasks import Pair, grid
from submission.inference.token_tree import TokenForest as Forest

torch.set_num_threads(1)
model = fresh(hidden=64, layers=1, seed=0).eval()
rng = np.random.default_rng(0)
full = lambda: grid(rng.integers(0, 10, (30, 30)))
asked = [prompt(GRID16, [Pair(full(), full()) for _ in range(3)], full(), 9000) for _ in range(VIEWS)]
assert all(6000 < len(each.ids) < 7000 for each in asked)
answer = full()

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

# The first search takes what libraries keep for all others; the peak of the process is counted from then on.
warm = Forest(model, GRID16, asked[:1], megabytes=float(sys.argv[1]))
scoring.score(warm, [[answer]], 1, NEVER)
del warm
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
forest = Forest(model, GRID16, asked, megabytes=float(sys.argv[1]))
scores = scoring.score(forest, [[answer]] * VIEWS, 1, NEVER)
assert np.isfinite(scores.log_p).all()
print(forest.capacity.parallel_prompts, memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [60, 80])
def test_large_answers_on_long_prompts_stay_within_the_memory(megabytes: int) -> None:
    """Sixteen views of 30x30 grids, 6500 tokens a prompt: in a process of its own, peak memory is measured."""
    command = [sys.executable, "-c", LARGE.replace("VIEWS", "16"), str(megabytes)]
    # Without a threshold of its own the C library keeps what was freed, 0 to 90 MB of it by chance.
    gives_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=gives_back)
    assert done.returncode == 0, done.stderr
    together, used = done.stdout.split()
    assert int(together) < 16, "the bound is low enough to matter"
    assert float(used) < megabytes + 10, "and it is kept"
