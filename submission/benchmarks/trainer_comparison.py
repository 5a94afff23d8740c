"""Our test-time training against Hugging Face's `Trainer` with peft's LoRA: the loop that a user would write instead.

    python -m submission bench training --tasks 2 --set training_rows.copies=1

Both train the same LoRA from the same first weights, on the same 4-bit model, on the same batches in the same order, by
the same rates, clipping and number of steps, so that their losses have to agree. What neither side's numbers depend on
is each side's own: how the LoRA is computed, which logits are, what a step does besides. Embeddings and head are not
trained, and no training ends early.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, padded
from submission.arc.tasks import Task
from submission.arc.training_rows import training_rows
from submission.benchmarks.alternation import Clock, added_to, forget_peak, in_turn, peak_megabytes, ratio
from submission.checkpoint.families import TARGETS
from submission.checkpoint.layout import layout_of
from submission.config import Settings
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel, give_back_memory
from submission.inference.test_time_training import batches, warmup_steps
from submission.model.checkpointing import set_level
from submission.model.loading import compute_dtype, load_base, resolve_device
from submission.rng import generator

IGNORED = -100
"""transformers' label of a token that does not count in the loss."""


@dataclass(frozen=True)
class TrainingJob:
    """What both sides train."""

    model: Path
    settings: Settings
    rows: Sequence[Row]
    seed: int


@dataclass(frozen=True)
class Training:
    """What one side took for its training."""

    seconds: float
    processor_seconds: float
    tokens: int
    """Of the training rows, without padding, once for each epoch."""
    steps: int
    first_loss: float
    last_loss: float
    loaded_megabytes: float
    """Memory (10^6 bytes) when the model is loaded, before the first step."""
    peak_megabytes: float
    """The most memory while it trains."""

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds

    @property
    def processor_rate(self) -> float:
        """Tokens per second of the processor."""
        return self.tokens / self.processor_seconds


def compare(
    model: Path, settings: Settings, tasks: Mapping[str, Task], turns: int, seed: int, on_line: Callable[[str], None]
) -> dict[str, list[Training]]:
    """Train on the rows of all tasks together, `turns` times with each side; `on_line` gets each result as text.

    BadInput where there is nothing to train: no adapter, or no row that fits.
    """
    if not settings.adapt.rank:
        raise BadInput("adapt.rank=0 trains nothing: bench training compares trainings")
    job = training_job(model, settings, tasks, seed)
    on_line(HEAD)
    return in_turn(SIDES, job, turns, lambda name, made: on_line(line(name, made)))


def training_job(model: Path, settings: Settings, tasks: Mapping[str, Task], seed: int) -> TrainingJob:
    """The rows of all tasks, as many as make whole batches, and the settings that both sides can follow."""
    layout = layout_of(model, settings.model.layout)
    context, dropped = settings.model.context, settings.model.dropped
    rows = [
        row
        for name, task in tasks.items()
        for row in training_rows(
            task, layout, settings.training_rows, context, generator(seed, name, "training"), dropped
        )
    ]
    size = settings.adapt.batch
    rows = rows[: len(rows) // size * size]
    if not rows:
        raise BadInput(f"these tasks make no whole batch of {size} rows of at most {context} tokens")
    every_block = settings.adapt.checkpointing == "on"
    adapt = replace(settings.adapt, ends="off", converged=0.0, checkpointing="on" if every_block else "off")
    # The merged copy of the weights is for the search.
    without_merged = replace(settings.model, dense_megabytes=0.0, backend="native")
    return TrainingJob(model, replace(settings, adapt=adapt, model=without_merged), rows, seed)


# -- the sides --------------------------------------------------------------------------------------------------------


def ours(job: TrainingJob) -> Training:
    """The training of a run."""
    engine = LanguageModel(job.model, job.settings, job.seed)
    loaded = _loaded(engine.device)
    clock = Clock()
    with added_to(clock):
        fit = engine.adapt(job.rows, NEVER, job.seed)
    return _training(job, clock, fit.losses, loaded, engine.device)


def trainer(job: TrainingJob) -> Training:
    """transformers' `Trainer` on a model with peft's LoRA."""
    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, Trainer

    adapt, how = job.settings.adapt, job.settings.model
    if how.threads:
        torch.set_num_threads(how.threads)
    device = resolve_device(how.device)
    base = load_base(job.model, how, device)
    layout = layout_of(job.model, how.layout)
    set_level(base, "recompute" if adapt.checkpointing == "on" else "keep")
    torch.manual_seed(job.seed)
    lora = LoraConfig(
        r=adapt.rank, lora_alpha=adapt.alpha, use_rslora=adapt.scaling == "rslora",
        target_modules=list(TARGETS[adapt.targets]),
    )  # fmt: skip
    with warnings.catch_warnings():
        # peft calls a method that transformers has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(base, lora)
    # The order of `finetune`: one epoch after the other, batch by batch.
    rng = generator(job.seed, "finetune")
    ordered = [row for _ in range(adapt.epochs) for batch in batches(job.rows, adapt.batch, rng) for row in batch]
    with tempfile.TemporaryDirectory() as folder:
        loop = in_order(Trainer)(
            model=model, args=_arguments(job, folder, device, len(ordered) // adapt.batch),
            train_dataset=ordered, data_collator=_Collator(layout),
            compute_loss_func=_loss,
        )  # fmt: skip
        loop.remove_callback(PrinterCallback)
        loaded = _loaded(device)
        clock = Clock()
        with added_to(clock):
            loop.train()
    losses = [each["loss"] for each in loop.state.log_history if "loss" in each]
    return _training(job, clock, losses, loaded, device)


def in_order(trainer: type[Any]) -> type[Any]:
    """This class of transformers, taking the rows in their order: its own argument for that is not in every version."""

    class InOrder(trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    return InOrder


SIDES = {"ours": ours, "Trainer": trainer}


def _arguments(job: TrainingJob, folder: str, device: str, steps: int) -> Any:
    """The settings in transformers' words; nothing is saved, reported or shown."""
    from transformers import TrainingArguments

    adapt = job.settings.adapt
    return TrainingArguments(
        output_dir=folder, per_device_train_batch_size=adapt.batch, num_train_epochs=1, learning_rate=adapt.rate,
        lr_scheduler_type="cosine", warmup_steps=warmup_steps(len(job.rows), steps, adapt),
        weight_decay=adapt.weight_decay, max_grad_norm=adapt.clip, seed=job.seed,
        bf16=compute_dtype(job.settings.model.dtype, device) is torch.bfloat16,
        remove_unused_columns=False, save_strategy="no", logging_steps=1, report_to="none", disable_tqdm=True,
        dataloader_pin_memory=device == "cuda", use_cpu=device == "cpu", log_level="error",
    )  # fmt: skip


class _Collator:
    """Makes the arguments of a forward pass of rows, padded on the right."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        ids, learn, positions = padded(self.layout, rows)
        lengths = np.array([[len(each.ids)] for each in rows])
        made = {
            "input_ids": ids, "labels": np.where(learn, ids, IGNORED),
            "attention_mask": (np.arange(ids.shape[1]) < lengths).astype(np.int64),
            "position_ids": positions[0] if len(positions) == 1 else positions,
        }  # fmt: skip
        return {name: torch.from_numpy(each) for name, each in made.items()}


def _loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    """What transformers' causal models compute where they get labels; the embedded one returns logits alone."""
    from transformers.loss.loss_utils import ForCausalLMLoss

    logits = outputs.logits
    loss: Tensor = ForCausalLMLoss(logits, labels, logits.shape[-1], num_items_in_batch=num_items_in_batch)
    return loss


def _loaded(device: str) -> float:
    """Memory (10^6 bytes) that the loaded model takes; the peak counts from here on."""
    give_back_memory()
    forget_peak()
    return peak_megabytes(device)


def _training(job: TrainingJob, clock: Clock, losses: Sequence[float], loaded: float, device: str) -> Training:
    tokens = job.settings.adapt.epochs * sum(len(each.ids) for each in job.rows)
    return Training(
        clock.seconds, clock.processor_seconds, tokens, len(losses), losses[0], losses[-1], loaded,
        peak_megabytes(device),
    )  # fmt: skip


# -- as text ----------------------------------------------------------------------------------------------------------

COLUMNS = ("steps", "tokens", "seconds", "tokens/s", "tokens/CPU s", "loaded MB", "peak MB", "first loss", "last loss")

HEAD = f"{'':8}" + "".join(f"{name:>{len(name) + 3}}" for name in COLUMNS)
"""The head of the table; CPU s: seconds of the processor, which other processes hardly touch."""


def line(name: str, each: Training) -> str:
    """One training as a line of the table."""
    figures = (
        f"{each.steps}", f"{each.tokens}", f"{each.seconds:.1f}", f"{each.rate:.1f}", f"{each.processor_rate:.1f}",
        f"{each.loaded_megabytes:.0f}", f"{each.peak_megabytes:.0f}", f"{each.first_loss:.4f}", f"{each.last_loss:.4f}",
    )  # fmt: skip
    return f"{name:8}" + "".join(f"{text:>{len(of) + 3}}" for of, text in zip(COLUMNS, figures, strict=True))


def summary(made: Mapping[str, Sequence[Training]]) -> list[str]:
    """The medians of both sides, and the ratios, each the median of the turns' own."""
    mine, theirs = made["ours"], made["Trainer"]
    lines = [
        f"{name}, median of {len(each)}: {median(x.rate for x in each):.1f} tokens/s, "
        f"{median(x.processor_rate for x in each):.1f} a CPU second, "
        f"{median(x.peak_megabytes for x in each):.0f} MB at most"
        for name, each in made.items()
    ]
    faster = ratio([x.rate for x in mine], [x.rate for x in theirs])
    of_processor = ratio([x.processor_rate for x in mine], [x.processor_rate for x in theirs])
    smaller = ratio([x.peak_megabytes for x in mine], [x.peak_megabytes for x in theirs])
    difference = max(abs(a.last_loss - b.last_loss) for a, b in zip(mine, theirs, strict=True))
    return [
        *lines,
        f"ours: {faster:.2f} times the tokens a second of Trainer ({of_processor:.2f} by CPU time), "
        f"{smaller:.2f} times its memory; last losses differ by {difference:.1e}",
    ]
