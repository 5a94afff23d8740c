"""On a GPU: small passes really are recorded and replayed, and what they compute is what passes without graphs do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16
from submission.config import Model
from submission.deadline import NEVER
from submission.inference import scoring
from submission.inference.node_passes import CudaGraphs
from submission.inference.token_tree import TokenForest
from submission.model.loading import load_base
from tests.support.exact_search import some_answers, some_prompts
from tests.support.families import FAMILIES, miniature

pytestmark = [
    pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_replayed_passes_score_what_others_do(family: str, tmp_path: Path) -> None:
    model = load_base(miniature(tmp_path, family), Model(), "cuda").eval()
    asked, graphs = some_prompts(CHAT16, 5), CudaGraphs(on=True)
    plain, recorded = TokenForest(model, CHAT16, asked), TokenForest(model, CHAT16, asked, graphs=graphs)
    for answer in some_answers(1, 8)[0]:
        scores = [scoring.score(each, [[answer]] * 5, 1, NEVER).log_p for each in (plain, recorded)]
        assert np.allclose(*scores, rtol=0.02, atol=0.3)
    assert graphs.on and recorded.node_passes.replays > 3
