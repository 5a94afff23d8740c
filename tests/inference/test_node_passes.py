"""Small passes are recorded once and replayed: whatever the tokens, the answers are those of passes that are not."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, GRID16, Layout
from submission.arc.tasks import grid_key
from submission.deadline import NEVER
from submission.inference import node_passes, scoring, threshold_search
from submission.inference.node_passes import FRAME_TOKENS, SLOT_STEP, CudaGraphs, Frame, frame_of
from submission.inference.token_tree import TokenForest
from submission.model.attention import register_backend
from submission.model.grid_lm import fresh
from submission.model.pass_cost import PassCost
from tests.support.exact_search import decided, some_answers, some_prompts
from tests.support.families import FAMILIES, miniature
from tests.support.tape import TapedGraphs

CHEAP = PassCost(1.0)
"""A price at which drafts are short, so that there are many passes."""


@pytest.fixture(params=["grid16", *FAMILIES])
def searched(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Layout]:
    """A model of each family, with attention as on a GPU, and its layout."""
    if request.param == "grid16":
        model, layout = fresh(hidden=64, layers=2, seed=3), GRID16
    else:
        model = AutoModelForCausalLM.from_pretrained(miniature(tmp_path, request.param), dtype=torch.float32)
        layout = CHAT16
    model.set_attn_implementation(register_backend((8, 0)))
    return decided(model), layout


def found_by(forest: TokenForest, threshold: float = 0.003) -> list[dict[bytes, float]]:
    """Answer -> its log p, by prompt: all that a search finds."""
    prompts = range(len(forest.prompts))
    results = threshold_search.search(forest, prompts, {}, threshold, NEVER, last=False)
    return [{grid_key(each.answer): each.log_probability for each in result.proposals} for result in results]


def test_replayed_passes_find_and_score_what_others_do(searched: tuple[Any, Layout]) -> None:
    model, layout = searched
    asked = some_prompts(layout, 5)
    plain, recorded = TokenForest(model, layout, asked), TokenForest(model, layout, asked, graphs=TapedGraphs())
    plain.cost = recorded.cost = CHEAP
    expected, found = found_by(plain), found_by(recorded)
    for one, other in zip(expected, found, strict=True):
        assert one.keys() == other.keys()
        assert all(other[key] == pytest.approx(log_p, abs=1e-4) for key, log_p in one.items())
    for answer in some_answers(1, 8)[0]:
        scores = [scoring.score(each, [[answer]] * 5, 1, NEVER).log_p for each in (plain, recorded)]
        assert np.allclose(*scores, atol=1e-4) and np.isfinite(scores).all()
    assert recorded.node_passes.replays > 3


def test_a_recorded_pass_asks_no_tensor_for_its_contents(searched: tuple[Any, Layout]) -> None:
    """The tape refuses what a CUDA graph refuses."""
    graphs = TapedGraphs()
    forest = TokenForest(*searched, some_prompts(searched[1], 3), graphs=graphs)
    for path in ((1, 2), (3, 4), (5, 6)):
        forest.evaluate({0: [path], 2: [path[:1]]}, NEVER)
    assert graphs.on and graphs.tapes


def test_what_cannot_be_recorded_is_computed_and_told_once(grid_model: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(CudaGraphs):
        def __call__(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
            raise RuntimeError("operation not permitted when stream is capturing\nSearch for this error")

    graphs = Refusing(on=True)
    asked = some_prompts(GRID16, 4)
    forest, plain = TokenForest(grid_model, GRID16, asked, graphs=graphs), TokenForest(grid_model, GRID16, asked)
    with caplog.at_level(logging.WARNING):
        for path in ((1, 2), (3, 4), (5, 6)):
            assert all(each.evaluate({0: [path], 2: [path[:1]]}, NEVER) for each in (forest, plain))
            ours, theirs = (each.path(0, path)[-1].log_p for each in (forest, plain))
            assert ours is not None and theirs is not None and np.allclose(ours, theirs, atol=1e-5)
    assert not graphs.on and forest.node_passes.replays == 0
    assert [each.getMessage() for each in caplog.records] == [
        "CUDA graphs are off, as a pass cannot be recorded: operation not permitted when stream is capturing"
    ]


@pytest.mark.parametrize("searched", ["grid16", pytest.param("qwen3", marks=pytest.mark.slow)], indirect=True)
def test_a_cache_that_grows_is_recorded_anew(searched: tuple[Any, Layout], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded reads the keys and values where they lay before."""
    monkeypatch.setattr(node_passes, "SLOT_STEP", 32)
    model, layout = searched
    asked = some_prompts(layout, 2)
    forest = TokenForest(model, layout, asked, graphs=TapedGraphs())
    forest.cost = CHEAP
    plain = TokenForest(model, layout, asked)
    paths = [tuple(np.random.default_rng(k).permutation(layout.cells[:9])[:8].tolist()) for k in range(60)]
    versions = set()
    for path in paths:
        for wanted in ({0: [path[:n] for n in range(1, 9)]}, {1: [path[:2]]}, {1: [path[:3]]}):
            assert forest.evaluate(wanted, NEVER) and plain.evaluate(wanted, NEVER)
        versions.add(forest.cache.buffers[0].version)
        for k, n in ((0, 8), (1, 3)):
            ours, theirs = (each.path(k, path[:n])[-1].log_p for each in (forest, plain))
            assert ours is not None and theirs is not None and np.allclose(ours, theirs, atol=1e-4)
    assert len(versions) > 1 and forest.node_passes.replays > 10


def test_a_forest_with_recorded_passes_is_gone_as_soon_as_it_is_let_go_of(grid_model: Any) -> None:
    """Its keys and values are gigabytes of a GPU, which no collection of garbage looks at in time."""
    forest = TokenForest(grid_model, GRID16, some_prompts(GRID16, 3), graphs=TapedGraphs())
    for path in ((1, 2), (3, 4), (5, 6)):
        forest.evaluate({0: [path], 2: [path[:1]]}, NEVER)
    assert forest.node_passes.replays
    gone = [weakref.ref(forest), weakref.ref(forest.node_passes)]
    gc.disable()
    try:
        del forest
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("rows", "width", "expected"),
    [
        ([0], 1, Frame((0,), 1, SLOT_STEP, static=True)),
        ([2, 3], 3, Frame((2, 3), 4, SLOT_STEP, static=True)),
        ([1, 2], 1, Frame((0, 1, 2, 3), 1, SLOT_STEP, static=True)),
        ([4], 5, Frame((4,), 8, 2 * SLOT_STEP, static=True)),
        ([0, 4], 2, Frame((0, 1, 2, 3, 4), 2, SLOT_STEP, static=True)),
        ([0, 1, 2, 3], FRAME_TOKENS // 4 + 1, Frame((0, 1, 2, 3), FRAME_TOKENS // 4 + 1, 365)),
    ],
)
def test_frames_are_few(rows: list[int], width: int, expected: Frame) -> None:
    """Neighbouring rows in aligned blocks, powers of two of tokens, slots in steps; the last block may be shorter."""
    used = [100, 200, 300, 50, 1020]
    assert frame_of(rows, used, width, 4000, CHEAP) == expected


def test_a_frame_never_writes_past_a_cache_row_nor_pads_a_pass_dearly() -> None:
    used = [100, 996, 300, 50]
    exact = Frame((0, 2), 5, 305)
    assert frame_of([0, 2], used, 5, 1000, CHEAP) == exact, "row 1 has no room for eight tokens"
    assert frame_of([0, 2], used, 5, 2000, CHEAP).static
    assert frame_of([0, 2], used, 5, 2000, PassCost(0.0, (1.0,) * 16)).static, "32 tokens for 10, and these are cheap"
    assert frame_of([0, 2], used, 5, 2000, PassCost(500.0, (10.0,) * 16)) == exact, "32 tokens are beyond the step"
    assert frame_of([0, 2], used, 5, 2000, None) == exact
