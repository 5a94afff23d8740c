"""Pretraining from scratch: it learns, it can be resumed exactly, and it leaves a model that runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from submission.config import Adapt, Model, Search
from submission.corpus import Corpus, Family
from submission.gridlm import configuration, fresh
from submission.llm import LanguageModel
from submission.pretrain import Pretraining, _keep, _optimizers, _restore, examination, examine, pretrain
from submission.tasks import BadInput, Pair, grid


def family(name: str, seed: int) -> Family:
    """Pairs that copy their input: the easiest rule there is."""
    rng = np.random.default_rng(seed)
    inputs = [grid(rng.integers(0, 3, (2, 2))) for _ in range(8)]
    return Family(name, tuple(Pair(each, each) for each in inputs), 1.0)


CORPUS = Corpus(tuple(family(f"train{k}", k) for k in range(4)), (family("held out", 9),), 0)
SMALL = Pretraining(minutes=0.06, hidden=64, layers=1, tokens=512, limit=100, warmup=5)


def test_training_lowers_the_held_out_loss_and_leaves_a_model_that_runs(tmp_path: Path) -> None:
    untrained, *_ = examine(fresh(64, 1, 0), examination(CORPUS.held_out, 100), "cpu")
    loss = pretrain(SMALL, CORPUS, tmp_path)
    assert loss < 0.8 * untrained
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["steps"] > 0
    assert record["held_out_loss"] == pytest.approx(loss, abs=1e-4)
    assert LanguageModel(tmp_path / "model", Model(device="cpu"), Adapt(rank=0), Search()).layout.name == "grid16"

    steps = json.loads((tmp_path / "trunk" / "progress.json").read_text())["step"]
    assert 0 < steps <= record["steps"], "the trunk is from before the anneal"
    pretrain(SMALL, CORPUS, tmp_path, resume=True)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["steps"] > steps


def test_weights_and_optimizers_are_restored_exactly(tmp_path: Path) -> None:
    def trained() -> tuple:
        model = fresh(64, 1, 0)
        return model, _optimizers(model, SMALL)

    def steps(model, optimizers, number: int) -> None:  # noqa: ANN001
        for k in range(number):
            ids = torch.arange(12)[None] % (7 + k)
            model(input_ids=ids, position_ids=ids.expand(3, 1, 12)).logits.square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

    one = trained()
    steps(*one, 3)
    _keep(*one, tmp_path / "trunk", 3, 100, SMALL)
    _keep(*one, tmp_path / "trunk", 3, 100, SMALL)
    assert not list(tmp_path.glob("trunk.*")), "nothing half written is left"
    other = trained()
    assert _restore(*other, tmp_path / "trunk") == (3, 100)
    steps(*one, 3)
    steps(*other, 3)
    for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_to_resume_and_another_shape_are_refused(tmp_path: Path) -> None:
    model = fresh(64, 1, 0)
    optimizers = _optimizers(model, SMALL)
    with pytest.raises(BadInput, match="nothing to resume"):
        _restore(model, optimizers, tmp_path)
    _keep(model, optimizers, tmp_path / "trunk", 1, 1, SMALL)
    other = fresh(64, 2, 0)
    with pytest.raises(BadInput, match="another shape"):
        _restore(other, _optimizers(other, SMALL), tmp_path / "trunk")


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = fresh(64, 1, 5)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), fresh(64, 1, 5).parameters(), strict=True))
    assert not torch.equal(one.lm_head.weight, fresh(64, 1, 6).lm_head.weight)


def test_every_axis_of_the_position_matters_and_all_matrices_fit_four_bit_blocks() -> None:
    model = fresh(64, 2, 0).eval()
    ids = torch.arange(10)[None]
    where = torch.stack([torch.arange(10) // k for k in (1, 2, 3)])[:, None]
    with torch.no_grad():
        plain = model(input_ids=ids, position_ids=where).logits
        for axis in range(3):
            moved = where.clone()
            moved[axis] = 0
            assert (model(input_ids=ids, position_ids=moved).logits - plain).abs().max() > 1e-3
    for hidden in (64, 256, 384, 512):
        assert configuration(hidden, 1).intermediate_size % 64 == 0


def test_segments_do_not_hide_each_other(tmp_path: Path) -> None:
    """Positions that begin anew are not taken for packed sequences: the first token still reaches the last."""
    model = fresh(64, 2, 0).eval()
    where = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [0, 0, 0, 0, 0, 0]])[:, None]
    with torch.no_grad():
        logits = [
            model(input_ids=torch.tensor([[k, 1, 2, 3, 4, 5]]), position_ids=where, use_cache=False).logits
            for k in (0, 9)
        ]
    assert (logits[0][0, -1] - logits[1][0, -1]).abs().max() > 1e-4
