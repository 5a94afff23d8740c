"""Repeated keys and values say what shared ones say, in every family, with masks and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from submission.attention import REPEATED, implementation
from submission.budget import NEVER
from submission.config import Adapt, Model, Search
from submission.engine import Question
from submission.layouts import CHAT16
from submission.llm import LanguageModel
from submission.prompts import padded, prompt, row
from submission.tasks import Task, grid
from submission.views import identity
from tests.families import FAMILIES, miniature


def test_only_gpus_without_flash_attention_need_it() -> None:
    assert implementation(None) == implementation((8, 0)) == implementation((8, 9)) == "sdpa"
    assert implementation((7, 5)) == REPEATED


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_the_same(family: str, tmp_path: Path, small_task: Task) -> None:
    """A whole row without a mask, as in training; and prompts and tries with one, as in the search."""
    engine = LanguageModel(miniature(tmp_path, family), Model(device="cpu", dense_megabytes=0), Adapt(rank=0), Search())
    asked = [Question(identity(3), prompt(CHAT16, small_task.demonstrations, each, 4096)) for each in small_task.tests]
    ids, _, where = padded(CHAT16, [row(CHAT16, small_task.demonstrations, 4096)] * 2)
    logits, scores = {}, {}
    for name in ("sdpa", implementation((7, 5))):
        engine.base.set_attn_implementation(name)
        with torch.no_grad():
            logits[name] = engine.model(
                input_ids=torch.from_numpy(ids), position_ids=torch.from_numpy(where[0]), use_cache=False
            ).logits
        scores[name] = engine.score(asked[:], [grid([[1, 2], [3, 4]]), grid([[5]])], 2, NEVER).log_p
    torch.testing.assert_close(logits["sdpa"], logits[REPEATED], atol=1e-5, rtol=1e-4)
    assert np.allclose(scores["sdpa"], scores[REPEATED], atol=1e-4)
    assert engine.base.config._attn_implementation == REPEATED
