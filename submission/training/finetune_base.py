"""Initial fine-tuning of a large base: any causal language model becomes one that reads and writes grids.

    python -m submission pretrain --base DIR --minutes 600 --rearc re_arc.zip --out OUT --device cuda
    python -m submission pretrain --base DIR --minutes 300 --rearc re_arc.zip --out OUT --device cuda --resume

The vocabulary is cut to the 16 tokens of layout chat16; the blocks stay frozen, in NF4, and are adapted by a LoRA;
embeddings and head, being small now, are trained whole (the Architects' recipe, ARC Prize 2024). What is learned is
merged into the base in its own precision, not into the 4-bit weights: OUT/merged in bfloat16, OUT/nf4 ready for
`run --model OUT/nf4 --preset l4x4`.

OUT/adapter.safetensors holds what is trained, as of the last ten minutes and before the anneal: what `--resume` goes on
from. The optimizer's memory is not kept: each call warms up anew.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.config import Adapt, Model
from submission.errors import BadInput
from submission.model.loading import load_base
from submission.model.lora import products, with_adapter
from submission.model.vocabulary import cut_vocabulary
from submission.training import corpus
from submission.training.loop import Progress, examination, examine, loader, require_device, tell, train
from submission.training.settings import FineTuning

logger = logging.getLogger(__name__)


def finetune_base(
    settings: FineTuning, read: Callable[[], corpus.Corpus], base: Path, out: Path, resume: bool = False
) -> float:
    """Fine-tune, save merged and in NF4, and return the held-out loss (nats a token of the last pair's answer).

    BadInput, before the corpus is read, where there is no base, no such device, or no room in `out`.
    """
    require_device(settings.device)
    if not (base / "config.json").is_file():
        raise BadInput(f"{base}: there is no config.json, so this is not a model folder")
    kept, small = out / "adapter.safetensors", out / "base16"
    if resume and not kept.exists():
        raise BadInput(f"{kept}: nothing to resume from")
    if not resume and out.exists() and any(each.name != "corpus.npz" for each in out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten, --resume goes on with a training")
    data = read()
    cut_vocabulary(base, small)
    frozen = load_base(small, Model(four_bit=settings.four_bit), settings.device)
    model = with_adapter(
        frozen, Adapt(rank=settings.rank, alpha=settings.alpha, checkpointing=settings.checkpointing), settings.seed
    )
    ends = [frozen.get_input_embeddings(), frozen.get_output_embeddings()]
    for each in ends:
        each.to(torch.float32).requires_grad_(True)
    began = _restore(model, kept) if resume else Progress()
    lora = [weight for name, weight in model.named_parameters() if ".lora_" in name]
    optimizer = torch.optim.AdamW(
        [{"params": lora, "lr": settings.rate}, {"params": [e.weight for e in ends], "lr": settings.other_rate}],
        weight_decay=0.0, fused=True,
    )  # fmt: skip
    exam = examination(data.held_out, settings.limit, CHAT16)
    tell(examine(model, exam, CHAT16))

    def keep(progress: Progress) -> None:
        _keep(model, kept, progress)
        tell(examine(model, exam, CHAT16))

    source = loader(data.train, settings, began.step)
    dtype = torch.bfloat16 if settings.device == "cuda" else torch.float32
    done = train(model, [optimizer], source, settings, began, keep, dtype)
    result = examine(model, exam, CHAT16)
    tell(result)
    if settings.device == "cuda":
        logger.info("peak memory of the GPU: %.1f GB", torch.cuda.max_memory_allocated() / 1e9)

    merge(small, products(model), [end.weight.detach().cpu() for end in ends], out / "merged")
    shutil.rmtree(small)
    record = asdict(settings) | {
        "base": base.name, "steps": done.step, "million_tokens": round(done.seen / 1e6, 2),
        "train_loss": round(done.loss, 4), "held_out_loss": round(result.nats, 4),
    }  # fmt: skip
    (out / "merged" / "training.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    load_base(out / "merged", Model(dtype="bfloat16"), settings.device).save_pretrained(out / "nf4")
    return result.nats


def _trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def _keep(model: nn.Module, into: Path, progress: Progress) -> None:
    """Save what is trained; the file is replaced whole, never left half written."""
    writing = into.with_name(f".{into.name}.writing")
    save_file(_trained(model), writing, {"step": str(progress.step), "seen": str(progress.seen)})
    os.replace(writing, into)


def _restore(model: nn.Module, kept: Path) -> Progress:
    """Load what `_keep` saved; BadInput where it belongs to another model or rank."""
    weights = _trained(model)
    with safe_open(kept, "pt") as file:
        if {name: list(each.shape) for name, each in weights.items()} != {
            name: file.get_slice(name).get_shape()
            for name in file.keys()  # noqa: SIM118  It is no mapping.
        }:
            raise BadInput(f"{kept}: was trained on another base, or with another --rank")
        for name, weight in weights.items():
            weight.copy_(file.get_tensor(name))
        told = file.metadata()
    return Progress(int(told["step"]), int(told["seen"]))


def merge(base16: Path, added: Iterable[tuple[str, Tensor]], ends: Sequence[Tensor], into: Path) -> None:
    """Add the LoRA products to the base's own matrices, put in the trained embeddings and head, and save."""
    model: Any = AutoModelForCausalLM.from_pretrained(base16, dtype=torch.bfloat16, local_files_only=True)
    with torch.no_grad():
        for name, product in added:
            weight = model.get_parameter(f"{name}.weight")
            weight.copy_(weight.float() + product.cpu())
        for end, trained in zip((model.get_input_embeddings(), model.get_output_embeddings()), ends, strict=True):
            end.weight.copy_(trained)
    model.save_pretrained(into)
