"""Train the embedded model from scratch.

    python -m submission pretrain --minutes 90 --rearc re_arc.zip --out DIR     # stop it at any time, ...
    python -m submission pretrain --minutes 30 --rearc re_arc.zip --out DIR --resume     # ... go on from there

DIR/trunk holds the weights before the anneal: what `--resume` goes on from, with a bigger budget as well.
DIR/model holds the annealed weights, ready for `run --model DIR/model`. Both are kept in float16, in files of at
most 15 MB. The optimizers' memory is not kept: it spans 20 steps, and each call warms up anew.
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
from submission.errors import BadInput
from submission.model import learned_positions
from submission.model.grid_lm import GridLM, fresh
from submission.training import corpus
from submission.training.loop import Forward, Progress, examination, examine, loader, require_device, tell, train
from submission.training.muon import Muon
from submission.training.precision import chosen
from submission.training.settings import Pretraining


def pretrain(settings: Pretraining, read: Callable[[], corpus.Corpus], out: Path, resume: bool = False) -> float:
    """Train, save, and return the held-out loss (nats a token of the last pair's answer).

    BadInput, before the corpus is read, where there is no such device, or `out` holds another training, or none.
    """
    require_device(settings.device)
    if not resume and any((out / name).exists() for name in ("trunk", "trunk.old", "model")):
        raise BadInput(f"{out}: holds a training already; --resume goes on with it")
    layout = NAMED[settings.layout]
    model = fresh(settings.hidden, settings.layers, settings.seed, layout)
    began = _restore(model, out / "trunk") if resume else Progress()
    data = read()
    model.to(settings.device)
    forward = _forward(model, settings.compiled)
    precision = chosen(settings)
    exam = examination(data.held_out, settings.limit, layout)

    def keep(progress: Progress) -> None:
        _keep(model, out / "trunk", progress)
        tell(examine(model, exam, layout))

    source = loader(data.train, settings, began.step)
    optimizers = _optimizers(model, settings, precision.newton_schulz)
    done = train(model, optimizers, source, settings, began, keep, precision.products, forward)
    result = examine(model, exam, layout)
    tell(result)
    save(model, out / "model")
    record = asdict(settings) | precision.names() | {
        "total_steps": done.step, "million_tokens": round(done.seen / 1e6, 2), "train_loss": round(done.loss, 4),
        "held_out_loss": round(result.nats, 4), "held_out_grids": f"{result.whole} of {result.asked}",
        "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__,
    }  # fmt: skip
    (out / "model" / "training.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    return result.nats


def _forward(model: GridLM, compiled: bool) -> Forward:
    """The forward pass of a training, through torch.compile or not."""
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


def save(model: Any, into: Path) -> None:
    """Write a model in float16, in files of at most 15 MB; the one in memory stays as it is."""
    state = {name: value.detach().to("cpu", torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(into, state_dict=state, max_shard_size="15MB")


def _keep(model: GridLM, into: Path, progress: Progress) -> None:
    """Save what training can go on from; the folder is replaced whole, never left half written."""
    fresh_folder, old = _beside(into)
    if into.exists() and old.exists():
        shutil.rmtree(old)
    save(model, fresh_folder)
    (fresh_folder / "progress.json").write_text(json.dumps({"step": progress.step, "seen": progress.seen}) + "\n")
    if into.exists():
        os.replace(into, old)
    os.replace(fresh_folder, into)
    if old.exists():
        shutil.rmtree(old)


def _beside(trunk: Path) -> tuple[Path, Path]:
    """Where a trunk is while it is written, and where the one before it is until then."""
    return trunk.with_name(trunk.name + ".writing"), trunk.with_name(trunk.name + ".old")


def _restore(model: GridLM, trunk: Path) -> Progress:
    """Load what `_keep` saved, or saved before it was cut off while it put a new trunk in place of the old one."""
    if not trunk.exists() and (old := _beside(trunk)[1]).exists():
        os.replace(old, trunk)
    try:
        progress = json.loads((trunk / "progress.json").read_text())
    except FileNotFoundError:
        raise BadInput(f"{trunk}: nothing to resume from (progress.json is missing)") from None
    kept = GridLM.from_pretrained(trunk, dtype=torch.float32)
    if kept.config.arc_layout != model.config.arc_layout:
        raise BadInput(f"{trunk}: was trained in layout {kept.config.arc_layout}, not in {model.config.arc_layout}")
    try:
        model.load_state_dict(kept.state_dict())
    except RuntimeError as error:
        raise BadInput(f"{trunk}: the model kept there has another shape ({str(error).splitlines()[0]})") from None
    return Progress(progress["step"], progress["seen"])
