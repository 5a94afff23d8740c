"""Training from scratch: it learns, it can be resumed, and it leaves a model that runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from submission.arc.layouts import CHAT16, NAMED
from submission.config import Adapt, Model, Search
from submission.errors import BadInput
from submission.model.grid_lm import GridLM, fresh
from submission.training.corpus import Corpus
from submission.training.evaluation import evaluate, evaluation_rows
from submission.training.loop import Progress
from submission.training.pretrain import load_checkpoint, pretrain, save_checkpoint
from submission.training.settings import Pretraining
from tests.support.engines import loaded

SMALL = Pretraining(
    minutes=5, steps=60, hidden=64, layers=1, tokens=512, limit=100, warmup=5, new_rules=0.0, dtype="float32"
)


@pytest.mark.parametrize("positions", ["grid", "line"])
def test_training_lowers_the_held_out_loss_and_leaves_a_model_that_runs(
    tmp_path: Path, copying: Corpus, positions: str
) -> None:
    settings = replace(SMALL, positions=positions)
    layout = NAMED[settings.layout]
    untrained = evaluate(fresh(64, 1, 0, layout), evaluation_rows(copying.held_out, 100, layout), layout).loss
    loss = pretrain(settings, lambda: copying, tmp_path)
    assert loss < 0.8 * untrained
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["total_steps"] == 60
    assert record["held_out_loss"] == pytest.approx(loss, abs=1e-4)
    engine = loaded(tmp_path / "model", Model(device="cpu"), Adapt(rank=0), Search())
    assert engine.layout.name == {"grid": "grid16", "line": "chat16"}[positions]


def test_a_training_goes_on_from_the_weights_before_the_anneal(tmp_path: Path, copying: Corpus) -> None:
    settings = replace(SMALL, anneal=0.5)
    pretrain(settings, lambda: copying, tmp_path)
    with pytest.raises(BadInput, match="--resume goes on"):
        pretrain(settings, lambda: copying, tmp_path)
    assert json.loads((tmp_path / "trunk" / "progress.json").read_text())["step"] == 30
    pretrain(settings, lambda: copying, tmp_path, resume=True)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["total_steps"] == 30 + 60


def test_one_seed_gives_one_model(tmp_path: Path, copying: Corpus) -> None:
    def trained(name: str, seed: int) -> dict[str, torch.Tensor]:
        settings = replace(SMALL, steps=3, seed=seed)
        pretrain(settings, lambda: copying, tmp_path / name)
        return dict(GridLM.from_pretrained(tmp_path / name / "model").state_dict())

    one, again, other = trained("one", 0), trained("again", 0), trained("other", 1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_as_the_cpu_does(tmp_path: Path, copying: Corpus) -> None:
    settings = replace(SMALL, device="cuda", workers=2, compiled=True)
    assert pretrain(settings, lambda: copying, tmp_path) == pytest.approx(
        pretrain(SMALL, lambda: copying, tmp_path / "cpu"), abs=0.3
    )


def test_a_checkpoint_is_restored_and_fits_small_files(tmp_path: Path) -> None:
    model = fresh(64, 1, 0)
    for _ in range(2):
        save_checkpoint(model, tmp_path / "trunk", Progress(3, 100))
    assert not list(tmp_path.glob("trunk.*")), "nothing half written is left"
    other = fresh(64, 1, 1)
    assert load_checkpoint(other, tmp_path / "trunk") == Progress(3, 100)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a.half(), b.half())
    assert all(weight.dtype == torch.float32 for weight in model.parameters()), "the model in memory stays as it is"
    save_checkpoint(fresh(512, 4, 0), tmp_path / "large", Progress())
    assert max(path.stat().st_size for path in (tmp_path / "large").iterdir()) <= 15e6


def test_nothing_to_resume_and_another_shape_are_refused(tmp_path: Path) -> None:
    model = fresh(64, 1, 0)
    with pytest.raises(BadInput, match="nothing to resume"):
        load_checkpoint(model, tmp_path)
    save_checkpoint(model, tmp_path / "trunk", Progress(1, 1))
    with pytest.raises(BadInput, match="another shape"):
        load_checkpoint(fresh(64, 2, 0), tmp_path / "trunk")
    with pytest.raises(BadInput, match="was trained in layout grid16, not in chat16"):
        load_checkpoint(fresh(64, 1, 0, CHAT16), tmp_path / "trunk")


def test_a_checkpoint_that_was_being_replaced_when_the_process_died_is_found(tmp_path: Path) -> None:
    model, trunk = fresh(64, 1, 0), tmp_path / "trunk"
    save_checkpoint(model, trunk, Progress(1, 10))
    trunk.rename(tmp_path / "trunk.old")
    assert load_checkpoint(model, trunk) == Progress(1, 10)
    shutil.copytree(trunk, tmp_path / "trunk.old")
    shutil.copytree(trunk, tmp_path / "trunk.writing")
    save_checkpoint(model, trunk, Progress(2, 20))
    assert load_checkpoint(model, trunk) == Progress(2, 20)
    assert not list(tmp_path.glob("trunk.*"))
