"""The 4-bit language model behind `engine.Engine`: loaded by transformers, quantized by bitsandbytes, adapted by peft.

One path for all checkpoints: the embedded model on a laptop's CPU and an 8B on a GPU differ in configuration only.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from submission.arc.layouts import Layout
from submission.arc.prompts import Row
from submission.arc.tasks import Grid
from submission.checkpoint.layout import layout_of
from submission.config import Search, Settings
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.inference import sampling, scoring, test_time_training, threshold_search
from submission.inference.node_passes import CudaGraphs
from submission.inference.token_tree import TokenForest
from submission.model import memory_plan
from submission.model.checkpointing import set_level
from submission.model.loading import (
    compute_dtype,
    device_bytes,
    device_kind,
    load_base,
    resolve_device,
)
from submission.model.lora import (
    MergedModel,
    dense_bytes,
    with_adapter,
    with_whole_ends,
)
from submission.model.modules import with_exact_head, with_fused_norms
from submission.model.unsloth_import import load_kernels
from submission.model.unsloth_kernels import TrainingKernels, kernels_on
from submission.rng import generator
from submission.solver.engine import Fit, Question, Scores, ViewResult

logger = logging.getLogger(__name__)


class LanguageModel:
    """A quantized base model and one LoRA adapter, which is trained on a task and then reset.

    What is said here of the adapter holds for embeddings and head too where they are trained (`adapt.ends`).

    Implements `solver.engine.Engine`.
    """

    def __init__(self, path: Path, settings: Settings, seed: int = 0) -> None:
        """Load the checkpoint in `path`; BadInput where there is none or its layout is not known.

        The adapter's first weights depend on the seed alone.
        """
        model, adapt = settings.model, settings.adapt
        if model.threads:
            torch.set_num_threads(model.threads)
        self.settings = settings
        self.device = resolve_device(model.device)
        kernels = load_kernels(self.device) if model.backend == "unsloth" else None
        self.kernels: TrainingKernels | None = None
        self._shape = memory_plan.shape_of(path)
        self._free_bytes = device_bytes(model, self.device)
        self.longest_row = self._longest_row()
        self.dtype = str(compute_dtype(model.dtype, self.device)).removeprefix("torch.")
        self.layout: Layout = layout_of(path, model.layout)
        base = load_base(path, model, self.device)
        with_exact_head(base)
        if self.device == "cuda":
            with_fused_norms(base)
        if adapt.rank and adapt.ends == "full":
            with_whole_ends(base)
        dense = dense_bytes(base)
        self._merged = MergedModel(base) if 0 < dense <= model.dense_megabytes * 1e6 else None
        self.base = base
        self.model: nn.Module = with_adapter(base, adapt, seed) if adapt.rank else base
        self.model.eval()
        if kernels and adapt.rank:
            self.kernels = kernels_on(self.model, base, kernels)
            self.longest_row = self._longest_row()
        self._adapter = [p for p in self.model.parameters() if p.requires_grad]
        self._graphs = CudaGraphs(on=self.device == "cuda" and settings.search.cuda_graphs)
        # In the CPU's memory: the first weights of a large adapter would take a GPU's from the training.
        self._first = [p.detach().cpu().clone() for p in self._adapter]

    def use(self, settings: Settings) -> None:
        """Train and search by these settings from now on: those of a retry ask for less memory.

        What `settings.model` says of loading has been done, so that only its context counts.
        """
        self.settings = replace(settings, model=replace(self.settings.model, context=settings.model.context))
        self.longest_row = self._longest_row()

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows; a training that leaves the finite numbers is undone."""
        if not self._adapter or not rows:
            return Fit(0, (), 0.0, "off")

        def train() -> Fit:
            set_level(self.base, self.level_for(rows))
            rng = generator(seed, "finetune")
            return test_time_training.finetune(self.model, self.layout, rows, self.settings.adapt, until, rng)

        fit = self.kernels.guarded(train, self._begin_natively) if self.kernels else train()
        if fit.stopped == "not finite":
            self.forget()
        return fit

    def level_for(self, rows: Sequence[Row]) -> memory_plan.Level:
        """What training on these rows keeps of each block: as the settings say, or as much as memory allows."""
        width = compute_dtype(self.settings.model.dtype, self.device).itemsize
        longest = max(len(each.ids) for each in rows)
        planned, kind = self._planned(), device_kind(self.device)
        return memory_plan.choose_plan(self._shape, planned, width, longest, self._free_bytes, kind).level

    def _longest_row(self) -> int:
        """Tokens of the longest trainable row; no limit but the context on a CPU, whose free memory varies."""
        model = self.settings.model
        if self.device == "cpu" and not model.gigabytes:
            return model.context
        width = compute_dtype(model.dtype, self.device).itemsize
        return memory_plan.longest_row(self._shape, self._planned(), width, self._free_bytes, device_kind(self.device))

    def _begin_natively(self) -> None:
        """After a kernel has failed: nothing is learned yet, and rows are as long as native training allows."""
        self.forget()
        self.longest_row = self._longest_row()

    def _planned(self) -> Settings:
        """The settings to plan memory with: kernels that were taken off count no more."""
        off = self.kernels is not None and not self.kernels.on
        return replace(self.settings, model=replace(self.settings.model, backend="native")) if off else self.settings

    @contextmanager
    def inference(self, questions: Sequence[Question]) -> Iterator[ForestInference]:
        """Open a set of questions; their KV cache is dropped when the context ends.

        BadInput where the model's attention window is shorter than a prompt and its answer.
        """
        prompts = [each.prompt for each in questions]
        self._require_window(max((len(each.ids) for each in prompts), default=0))
        megabytes = self.settings.search.megabytes
        forest = TokenForest(self.inference_model(), self.layout, prompts, megabytes, self._graphs)
        opened = ForestInference(questions, forest, self.settings.search)
        try:
            yield opened
        finally:
            opened.close()

    def inference_model(self) -> nn.Module:
        """The model that reads prompts: with dense merged weights where it is small enough, else the adapted one."""
        return self._merged.merge(self.model) if self._merged else self.model

    def _require_window(self, longest: int) -> None:
        """BadInput where attention sees a sliding window only: the tree's masks would let it see more than that."""
        window = self._shape.window
        if window is not None and longest + self.layout.longest_answer > window:
            raise BadInput(f"a prompt of {longest} tokens: this model looks back {window} only; lower model.context")

    def forget(self) -> None:
        """Reset the adapter in place to its first weights: the base model, bit for bit."""
        give_back_memory()
        with torch.no_grad():
            for weight, first in zip(self._adapter, self._first, strict=True):
                weight.copy_(first)
                weight.grad = None
        self.model.eval()


class ForestInference:
    """One set of questions, each prompt with a token tree of answers behind it. Implements `engine.Inference`."""

    def __init__(self, questions: Sequence[Question], forest: TokenForest, settings: Search) -> None:
        self.questions = questions
        self.forest = forest
        self.settings = settings

    def close(self) -> None:
        """Drop the trees and the KV cache: whoever still holds this object holds no memory of theirs."""
        del self.forest

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        """Search these questions by the method in the settings; see `threshold_search` and `sampling`."""
        forest, how = self.forest, self.settings
        seen = {k: [self.questions[k].view.see(each) for each in drafts] for k in which}
        rng = generator(seed, "decoding", *map(str, which))
        match how.method:
            case "threshold":
                return threshold_search.search(
                    forest, which, seen, how.threshold, until, how.best_path_max_nll, best_paths
                )
            case "sample":
                return sampling.sample(forest, which, seen, how.width, how.temperature, until, rng)
            case "beam":
                return sampling.beam(forest, which, seen, how.width, until)
            case "rebase":
                views = [each.view for each in self.questions]
                return sampling.rebase_all(forest, views, which, how.width, how.rebase_temperature, until, rng)

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        """log p of the answers after every question; what a search has read is not read again."""
        seen = [[question.view.see(each) for each in answers] for question in self.questions]
        return scoring.score(self.forest, seen, top, until)


def give_back_memory() -> None:
    """Return freed memory to the system: tries refer to themselves, and the C library keeps what it once had."""
    gc.collect()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
