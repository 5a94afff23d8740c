"""Train the embedded model from scratch.

    python -m submission pretrain --minutes 90 --rearc re_arc.zip --out DIR     # may be stopped at any time, ...
    python -m submission pretrain --minutes 30 --rearc re_arc.zip --out DIR --resume     # ... and resumed

DIR/trunk is the checkpoint before the learning rates fall: what `--resume` starts from, with a bigger budget as well.
DIR/model has the final weights, ready for `run --model DIR/model`. Both are in float16, in files of at most 15 MB. The
optimizers' state is not saved: it spans 20 steps, and each call warms up anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from submission.arc.layouts import NAMED
from submission.checkpoint.checkpoint import read_checkpoint
from submission.errors import BadInput
from submission.model import learned_positions
from submission.model.attention import register_backend
from submission.model.grid_lm import GridLM, fresh
from submission.model.loading import load_unquantized
from submission.training.batches import loader
from submission.training.corpus import Corpus
from submission.training.evaluation import Evaluation, Evaluations
from submission.training.loop import (  # fmt: skip
    Forward,
    Learner,
    Progress,
    require_device,
    train,
)
from submission.training.muon import Muon
from submission.training.precision import Precision, chosen
from submission.training.settings import Pretraining


def pretrain(settings: Pretraining, load_corpus: Callable[[], Corpus], out: Path, resume: bool = False) -> float:
    """Train, save, and return the held-out loss (nats a token of the last pair's answer).

    BadInput, before the corpus is loaded, where there is no such device, where `out` holds a training already, or where
    it holds none that can be resumed. TrainingFailed, with nothing saved, where it gives no finite numbers any more.
    """
    require_device(settings.device)
    if not resume and any((out / name).exists() for name in ("trunk", "trunk.old", "model")):
        raise BadInput(f"{out}: holds a training already; --resume goes on with it")
    layout = NAMED[settings.layout]
    model = fresh(settings.hidden, settings.layers, settings.seed, layout)
    start = load_checkpoint(model, out / "trunk") if resume else Progress()
    corpus = load_corpus()
    model.to(settings.device)
    precision = chosen(settings)
    optimizers = _optimizers(model, settings, precision.newton_schulz)
    learner = Learner(model, optimizers, precision.products, _forward(model, settings.compiled))
    evaluations = Evaluations(model, corpus.held_out, settings.limit, layout)

    def checkpoint(progress: Progress) -> None:
        evaluations.where_due()
        save_checkpoint(model, out / "trunk", progress)

    done = train(learner, loader(corpus.train, settings, start.step), settings, start, checkpoint)
    result = evaluations.now()
    save_float16(model, out / "model")
    record = _record(settings, precision, model, done, result)
    record |= {f"held_out_loss_{source}": round(each.loss, 4) for source, each in evaluations.further.items()}
    (out / "model" / "training.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    read_checkpoint(out / "model")
    return result.loss


def _forward(model: GridLM, compiled: bool) -> Forward:
    """The forward pass of a training, through torch.compile or not."""
    if model.device.type == "cpu":
        model.set_attn_implementation(register_backend(None))
    last = learned_positions.block_at
    if compiled:
        last = torch.compile(last, dynamic=True)
        for block in model.model.layers[:-1]:
            block.compile(dynamic=True)
    return partial(learned_positions.predictions, last=last)


def _optimizers(model: GridLM, settings: Pretraining, newton_schulz: torch.dtype) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (1.6 to 2 times fewer tokens than AdamW to the same loss), AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in name)]
    return [
        Muon(matrices, settings.rate, settings.decay, newton_schulz),
        torch.optim.AdamW(others, lr=settings.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def _record(
    settings: Pretraining, precision: Precision, model: GridLM, done: Progress, result: Evaluation
) -> dict[str, Any]:
    """What training.json says of a training: settings and figures."""
    return asdict(settings) | precision.names() | {
        "total_steps": done.step, "steps_left_out": done.left_out,
        "million_tokens": round(done.tokens / 1e6, 2), "train_loss": round(done.loss, 4),
        "held_out_loss": round(result.loss, 4), "held_out_grids": f"{result.whole_answers} of {result.rows}",
        "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__,
    }  # fmt: skip


def save_float16(model: Any, folder: Path) -> None:
    """Write a copy of the model in float16, in files of at most 15 MB."""
    state = {name: value.detach().to("cpu", torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state, max_shard_size="15MB")


def save_checkpoint(model: GridLM, trunk: Path, progress: Progress) -> None:
    """Write the checkpoint folder `trunk`; it is replaced whole, never left half written."""
    writing, old = _beside(trunk)
    if trunk.exists() and old.exists():
        shutil.rmtree(old)
    save_float16(model, writing)
    (writing / "progress.json").write_text(json.dumps({"step": progress.step, "seen": progress.tokens}) + "\n")
    if trunk.exists():
        os.replace(trunk, old)
    os.replace(writing, trunk)
    if old.exists():
        shutil.rmtree(old)


def _beside(trunk: Path) -> tuple[Path, Path]:
    """Where a new checkpoint is written, and where the old one is moved while the new one takes its place."""
    return trunk.with_name(trunk.name + ".writing"), trunk.with_name(trunk.name + ".old")


def load_checkpoint(model: GridLM, trunk: Path) -> Progress:
    """Load the weights that `save_checkpoint` wrote, also where it was interrupted between its two moves.

    BadInput where there is no checkpoint, or one of another layout or shape.
    """
    if not trunk.exists() and (old := _beside(trunk)[1]).exists():
        os.replace(old, trunk)
    try:
        progress = json.loads((trunk / "progress.json").read_text())
    except FileNotFoundError:
        raise BadInput(f"{trunk}: nothing to resume from (progress.json is missing)") from None
    saved = load_unquantized(GridLM, read_checkpoint(trunk), torch.float32)
    if saved.config.arc_layout != model.config.arc_layout:
        raise BadInput(f"{trunk}: was trained in layout {saved.config.arc_layout}, not in {model.config.arc_layout}")
    try:
        model.load_state_dict(saved.state_dict())
    except RuntimeError as error:
        raise BadInput(f"{trunk}: its model has another shape ({str(error).splitlines()[0]})") from None
    return Progress(progress["step"], progress["seen"])
