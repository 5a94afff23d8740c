"""Initial fine-tuning of a large base: any causal language model becomes one that reads and writes grids.

    python -m submission pretrain --base DIR --minutes 600 --rearc re_arc.zip --out OUT --device cuda
    python -m submission pretrain --base DIR --minutes 300 --rearc re_arc.zip --out OUT --device cuda --resume

The vocabulary is cut to the 16 tokens of layout chat16. The blocks stay frozen, in NF4, and are adapted by a LoRA;
embeddings and head, which are small now, are trained whole (the Architects' recipe, ARC Prize 2024). The result is
merged into the base in its own precision, not into the 4-bit weights: OUT/merged in bfloat16, OUT/nf4 ready for
`run --model OUT/nf4 --preset nvarc-l4x4`. A small base can be trained on a CPU; one with AMX is faster in bfloat16,
which `--dtype auto` finds out.

OUT/adapter.safetensors is the checkpoint, written every ten minutes and before the learning rates fall: what `--resume`
starts from. The optimizer's state is not saved: each call warms up anew. The held-out loss is measured before and after
a call, and in its course for a tenth of the time at most.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.atomic import replacing
from submission.checkpoint.checkpoint import read_checkpoint
from submission.config import Adapt, Model
from submission.errors import BadInput
from submission.model.loading import load_base, load_unquantized
from submission.model.lora import lora_deltas, with_adapter
from submission.model.unsloth_import import Kernels, load_kernels
from submission.model.unsloth_kernels import TrainingKernels, kernels_on
from submission.model.vocabulary import trainable_base, trainable_checkpoint, trainable_ids
from submission.training.batches import Batch, loader
from submission.training.corpus import Corpus
from submission.training.corpus_cache import CACHE_NAME
from submission.training.evaluation import Evaluation, Evaluations
from submission.training.loop import Learner, Progress, computing, require_device, train
from submission.training.precision import chosen_for_base
from submission.training.settings import FineTuning

logger = logging.getLogger(__name__)

ADAPTER, BASE16 = "adapter.safetensors", "base16"
"""In the output folder: the checkpoint, and while the training lasts the base with its vocabulary cut."""


def finetune_base(
    settings: FineTuning, load_corpus: Callable[[], Corpus], base: Path, out: Path, resume: bool = False
) -> float:
    """Fine-tune, save merged and in NF4, and return the held-out loss (nats a token of the last pair's answer).

    BadInput, before the corpus is loaded, where the base cannot be used or is quantized, where there is no such device,
    no kernels or nothing to resume, and where `out` is not empty. TrainingFailed, with no model saved, where the
    training gives no finite numbers any more.
    """
    require_device(settings.device)
    kernels = load_kernels(settings.device) if settings.backend == "unsloth" else None
    _require_folders(base, out, out / ADAPTER if resume else None)
    corpus = load_corpus()
    try:
        return _finetuned(settings, kernels, corpus, base, out, resume)
    finally:
        shutil.rmtree(out / BASE16, ignore_errors=True)


def _finetuned(
    settings: FineTuning, kernels: Kernels | None, corpus: Corpus, base: Path, out: Path, resume: bool
) -> float:
    """`finetune_base` with a corpus; it leaves the folder BASE16."""
    adapter, base16 = out / ADAPTER, out / BASE16
    trainable_base(base, base16)
    dtype = chosen_for_base(settings)
    model, ends = _adapted(base16, settings, dtype)
    training = None
    if kernels:
        with computing(settings.device, dtype):
            training = kernels_on(model, model.get_base_model(), kernels)
    start = load_checkpoint(model, adapter) if resume else Progress()
    evaluations = Evaluations(model, corpus.held_out, settings.limit, CHAT16)

    def checkpoint(progress: Progress) -> None:
        evaluations.where_due()
        save_checkpoint(model, adapter, progress)

    before = evaluations.now()
    optimizers = [_optimizer(model, ends, settings)]
    learner = Guarded(model, optimizers, dtype, kernels=training) if training else Learner(model, optimizers, dtype)
    done = train(learner, loader(corpus.train, settings, start.step), settings, start, checkpoint)
    result = evaluations.now()
    if settings.device == "cuda":
        logger.info("peak memory of the GPU: %.1f GB", torch.cuda.max_memory_allocated() / 1e9)
    merge(base16, lora_deltas(model), [end.weight.detach().cpu() for end in ends], out / "merged")
    record = _record(settings, base, dtype, done, before, result)
    (out / "merged" / "training.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    load_base(out / "merged", Model(dtype="bfloat16"), settings.device).save_pretrained(out / "nf4")
    read_checkpoint(out / "nf4")
    return result.loss


def _require_folders(base: Path, out: Path, adapter: Path | None) -> None:
    """BadInput unless `base` can be trained, and `out` has the checkpoint `adapter`, or nothing if that is None."""
    trainable_ids(trainable_checkpoint(base))
    if adapter is not None:
        if not adapter.exists():
            raise BadInput(f"{adapter}: nothing to resume from")
    elif out.exists() and any(path.name != CACHE_NAME for path in out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten, --resume goes on with a training")


@dataclass(frozen=True)
class Guarded(Learner):
    """A learner whose kernels are taken off where one of them fails; the step is taken again without them."""

    kernels: TrainingKernels = field(kw_only=True)

    def step(self, batch: Batch, device: str) -> float:
        """`Learner.step`."""
        step = partial(super().step, batch, device)
        return self.kernels.guarded(step, partial(self.model.zero_grad, set_to_none=True))


def _adapted(base16: Path, settings: FineTuning, dtype: torch.dtype) -> tuple[Any, list[Any]]:
    """The frozen base in this type with a new LoRA, and its embeddings and head, which are trained in float32."""
    named: Literal["float32", "bfloat16"] = "bfloat16" if dtype is torch.bfloat16 else "float32"
    base = load_base(base16, Model(four_bit=settings.four_bit, dtype=named), settings.device)
    adapt = Adapt(rank=settings.rank, alpha=settings.alpha, checkpointing=settings.checkpointing)
    model = with_adapter(base, adapt, settings.seed)
    ends = [base.get_input_embeddings(), base.get_output_embeddings()]
    for end in ends:
        end.to(torch.float32).requires_grad_(True)
    return model, ends


def _optimizer(model: nn.Module, ends: Sequence[Any], settings: FineTuning) -> torch.optim.Optimizer:
    """AdamW for the LoRA, and at another rate for embeddings and head."""
    lora = [weight for name, weight in model.named_parameters() if ".lora_" in name]
    return torch.optim.AdamW(
        [{"params": lora, "lr": settings.rate}, {"params": [e.weight for e in ends], "lr": settings.other_rate}],
        weight_decay=0.0, fused=True,
    )  # fmt: skip


def _record(
    settings: FineTuning, base: Path, dtype: torch.dtype, done: Progress, before: Evaluation, result: Evaluation
) -> dict[str, Any]:
    """What training.json says of a fine-tuning: settings and figures."""
    return asdict(settings) | {
        "base": base.name, "products": str(dtype)[6:], "steps": done.step, "steps_left_out": done.left_out,
        "million_tokens": round(done.tokens / 1e6, 2),
        "train_loss": round(done.loss, 4), "held_out_loss": round(result.loss, 4),
        "held_out_loss_before": round(before.loss, 4), "held_out_grids": f"{result.whole_answers} of {result.rows}",
    }  # fmt: skip


def _trained_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def save_checkpoint(model: nn.Module, adapter: Path, progress: Progress) -> None:
    """Write the trained weights; the file is replaced whole, never left half written."""
    with replacing(adapter) as temporary:
        save_file(_trained_weights(model), temporary, {"step": str(progress.step), "seen": str(progress.tokens)})


def load_checkpoint(model: nn.Module, adapter: Path) -> Progress:
    """Load the weights that `save_checkpoint` wrote; BadInput where they are of another model or rank."""
    weights = _trained_weights(model)
    with safe_open(adapter, "pt") as file:
        if {name: list(each.shape) for name, each in weights.items()} != {
            name: file.get_slice(name).get_shape()
            for name in file.keys()  # noqa: SIM118  It is no mapping.
        }:
            raise BadInput(f"{adapter}: was trained on another base, or with another --rank")
        for name, weight in weights.items():
            weight.copy_(file.get_tensor(name))
        progress = file.metadata()
    return Progress(int(progress["step"]), int(progress["seen"]))


def merge(base16: Path, deltas: Iterable[tuple[str, Tensor]], ends: Sequence[Tensor], into: Path) -> None:
    """Add the LoRA products to the base's own matrices, put in the trained embeddings and head, and save."""
    model = load_unquantized(AutoModelForCausalLM, read_checkpoint(base16), torch.bfloat16)
    with torch.no_grad():
        for name, delta in deltas:
            weight = model.get_parameter(f"{name}.weight")
            weight.copy_(weight.float() + delta.cpu())
        for end, trained in zip((model.get_input_embeddings(), model.get_output_embeddings()), ends, strict=True):
            end.weight.copy_(trained)
    model.save_pretrained(into)
