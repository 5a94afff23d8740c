"""Train the embedded model from scratch: warm-up, a stable rate for as long as you like, then an anneal by the clock.

    python -m submission pretrain --minutes 90 --rearc re_arc.npz --out DIR     # stop it at any time, ...
    python -m submission pretrain --minutes 30 --rearc re_arc.npz --out DIR --resume     # ... go on from there

DIR/trunk holds the weights before the anneal, with the optimizers' state: what `--resume` goes on from.
DIR/model holds the annealed weights, ready for `run --model DIR/model`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from submission import corpus
from submission.gridlm import GridLM, fresh
from submission.prompts import GRID16, Row, padded, row
from submission.tasks import BadInput, generator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretraining:
    """Settings of one training run."""

    minutes: float
    """Wall time of this call, the anneal included."""
    hidden: int = 256
    """Channels; a multiple of 64."""
    layers: int = 6
    """Blocks."""
    tokens: int = 6144
    """Tokens a step, padding included."""
    limit: int = 512
    """Tokens a row: what the longest training task may take."""
    rate: float = 0.02
    """Muon's learning rate, for the matrices of the blocks."""
    other_rate: float = 0.003
    """AdamW's learning rate, for embeddings, head and norms."""
    decay: float = 0.01
    """Weight decay of the matrices."""
    warmup: int = 100
    """Steps of linear warm-up."""
    anneal: float = 0.3
    """Last share of the time, in which the rates fall linearly to zero."""
    seed: int = 0
    """Of the first weights and of the rows."""
    device: str = "cpu"
    """cpu or cuda; on cuda the forward pass runs in bf16, on the CPU in float32 (faster there without AMX)."""


def pretrain(settings: Pretraining, data: corpus.Corpus, out: Path, resume: bool = False) -> float:
    """Train, save, and return the held-out loss (nats a token of the last pair's answer)."""
    started = time.monotonic()
    total = settings.minutes * 60
    model = fresh(settings.hidden, settings.layers, settings.seed).to(settings.device)
    optimizers = _optimizers(model, settings)
    step, seen = _restore(model, optimizers, out / "trunk") if resume else (0, 0)
    first_step = step
    rng = generator(settings.seed, "pretrain", str(step))
    source = corpus.batches(corpus.rows(data.train, settings.limit, rng), settings.tokens, rng)
    exam = examination(data.held_out, settings.limit)
    told = saved = started
    losses: list[float] = []
    waited = 0.0
    annealing = False
    model.train()
    while (spent := time.monotonic() - started) < total:
        left_share = 1 - spent / total
        if not annealing and left_share <= settings.anneal:
            annealing = True
            _keep(model, optimizers, out / "trunk", step, seen, settings)
        ramp = min(1.0, (step + 1) / settings.warmup) * min(1.0, left_share / settings.anneal)
        for optimizer in optimizers:
            for parameters in optimizer.param_groups:
                parameters["lr"] = parameters["peak"] * ramp

        before = time.monotonic()
        group = next(source)
        waited += time.monotonic() - before
        loss = _loss(model, group, settings.device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        step += 1
        seen += sum(len(each.ids) for each in group)

        now = time.monotonic()
        if now - told > 60:
            told = now
            logger.info(
                "step %d  loss %.3f  %.2f M tokens  %.0f tokens/s  data wait %.1f %%  %.1f min left",
                step, np.mean(losses[-50:]), seen / 1e6, (step - first_step) * settings.tokens / (now - started),
                100 * waited / (now - started), (total - (now - started)) / 60,
            )  # fmt: skip
        if not annealing and now - saved > 600:
            saved = now
            _keep(model, optimizers, out / "trunk", step, seen, settings)
            logger.info(
                "held out: loss %.3f, %.1f %% of cells, %d of %d grids",
                *examine(model, exam, settings.device),
            )
    held_out_loss, cells, grids, asked = examine(model, exam, settings.device)
    logger.info("held out: loss %.3f, %.1f %% of cells, %d of %d grids", held_out_loss, cells, grids, asked)
    model.save_pretrained(out / "model")
    record = asdict(settings) | {
        "steps": step, "million_tokens": round(seen / 1e6, 2), "train_loss": round(float(np.mean(losses[-100:])), 4),
        "held_out_loss": round(held_out_loss, 4), "held_out_grids": f"{grids} of {asked}",
        "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__,
    }  # fmt: skip
    (out / "model" / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    return held_out_loss


def examination(held_out: Sequence[corpus.Family], limit: int) -> list[Row]:
    """One fixed row for each held-out family: up to 5 pairs as they are, only the last one's answer counts."""
    rows = []
    for family in held_out:
        rng = generator(0, "examination", family.name)
        pairs = [family.pairs[k] for k in rng.permutation(len(family.pairs))[:5]]
        made = row(GRID16, pairs, limit, first_learned=len(pairs))
        rows.append(made)
    return rows


@torch.no_grad()
def examine(model: GridLM, exam: Sequence[Row], device: str) -> tuple[float, float, int, int]:
    """Loss (nats a token), per cent of answer tokens right, whole answers right, answers asked."""
    model.eval()
    nats, right, tokens, whole = 0.0, 0, 0, 0
    for each in exam:
        logits, targets = _predictions(model, [each], device)
        nats += F.cross_entropy(logits, targets, reduction="sum").item()
        hits = int((logits.argmax(-1) == targets).sum())
        right, tokens, whole = right + hits, tokens + len(targets), whole + (hits == len(targets))
    model.train()
    return nats / tokens, 100 * right / tokens, whole, len(exam)


def _loss(model: GridLM, group: Sequence[Row], device: str) -> Tensor:
    return F.cross_entropy(*_predictions(model, group, device))


def _predictions(model: GridLM, group: Sequence[Row], device: str) -> tuple[Tensor, Tensor]:
    """Logits [n, vocabulary] and targets [n] of the learned tokens of a padded batch."""
    ids, learn, where = (torch.from_numpy(each).to(device) for each in padded(GRID16, group))
    # Right padding needs no mask: a causal model never looks at what comes later.
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        hidden = model.model(input_ids=ids, position_ids=where, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][learn[:, 1:]])
    return logits.float(), ids[:, 1:][learn[:, 1:]]


def _optimizers(model: GridLM, settings: Pretraining) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (1.6 to 2 times fewer tokens than AdamW to the same loss), AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in name)]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=settings.rate, weight_decay=settings.decay),
        torch.optim.AdamW(others, lr=settings.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for parameters in optimizer.param_groups:
            parameters["peak"] = parameters["lr"]
    return optimizers


def _keep(
    model: GridLM,
    optimizers: Sequence[torch.optim.Optimizer],
    into: Path,
    step: int,
    seen: int,
    settings: Pretraining,
) -> None:
    """Save everything that training can go on from; the folder is replaced whole, never left half written."""
    fresh_folder = into.with_name(into.name + ".writing")
    fresh_folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(fresh_folder)
    state = {
        f"{which}.{index}.{name}": value.contiguous()
        for which, optimizer in enumerate(optimizers)
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
    }
    save_file(state, fresh_folder / "optimizers.safetensors")
    progress = {"step": step, "seen": seen, "hidden": settings.hidden, "layers": settings.layers}
    (fresh_folder / "progress.json").write_text(json.dumps(progress))
    old = into.with_name(into.name + ".old")
    if into.exists():
        os.replace(into, old)
    os.replace(fresh_folder, into)
    for path in old.glob("*"):
        path.unlink()
    if old.exists():
        old.rmdir()


def _restore(model: GridLM, optimizers: Sequence[torch.optim.Optimizer], trunk: Path) -> tuple[int, int]:
    """Load what `_keep` saved; returns the steps and tokens behind it."""
    try:
        progress = json.loads((trunk / "progress.json").read_text())
        model.load_state_dict(load_file(trunk / "model.safetensors"))
        state = load_file(trunk / "optimizers.safetensors")
    except FileNotFoundError as error:
        raise BadInput(f"{trunk}: nothing to resume from ({error.filename} is missing)") from None
    except RuntimeError as error:
        raise BadInput(f"{trunk}: the model kept there has another shape ({str(error).splitlines()[0]})") from None
    for which, optimizer in enumerate(optimizers):
        whole = optimizer.state_dict()
        for key, value in state.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == which:
                whole["state"].setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(whole)
    return progress["step"], progress["seen"]
