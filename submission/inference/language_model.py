"""The 4-bit language model behind `engine.Engine`: loaded by transformers, quantized by bitsandbytes, adapted by peft.

One path for all checkpoints: the embedded model on a laptop's CPU and an 8B on a GPU differ in configuration only.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from submission.arc.layouts import Layout
from submission.arc.prompts import Row
from submission.arc.tasks import Grid
from submission.config import Adapt, Model, Search, Settings
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.inference import sampling, scoring, test_time_training, threshold_search
from submission.inference.token_tree import TokenForest
from submission.model import memory_plan
from submission.model.loading import (
    compute_dtype,
    device_bytes,
    layout_of,
    load_base,
    resolve_device,
    with_exact_head,
    with_fused_norms,
)
from submission.model.lora import (
    MergedModel,
    dense_bytes,
    set_checkpointing,
    with_adapter,
)
from submission.rng import generator
from submission.solver.engine import Fit, Found, Question, Scores

logger = logging.getLogger(__name__)


class LanguageModel:
    """A quantized base model and one LoRA adapter, which is trained on a task and then reset.

    Implements `engine.Engine`.
    """

    def __init__(self, path: Path, settings: Model, adapt: Adapt, budget: Search, seed: int = 0) -> None:
        """Load the checkpoint in `path`; BadInput where there is none or its layout is not known."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.device = resolve_device(settings.device)
        self.adapt_settings = adapt
        self.search_settings = budget
        self._shape = memory_plan.shape_of(path)
        self._room = device_bytes(settings, self.device)
        self._settings = Settings(model=settings, adapt=adapt, search=budget)
        self.longest_row = self._longest_row()
        self.layout: Layout = layout_of(path, settings.layout)
        base = load_base(path, settings, self.device)
        with_exact_head(base)
        if self.device == "cuda":
            with_fused_norms(base)
        dense = 0 if adapt.ends else dense_bytes(base)
        self._twin = MergedModel(base) if 0 < dense <= settings.dense_megabytes * 1e6 else None
        self.base = base
        self.model: nn.Module = with_adapter(base, adapt, seed) if adapt.rank else base
        self.model.eval()
        self._adapter = [p for p in self.model.parameters() if p.requires_grad]
        self._first = [p.detach().clone() for p in self._adapter]
        self._forest: tuple[Sequence[Question], TokenForest] | None = None

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows; a training that leaves the finite numbers is undone."""
        self._forest = None
        if not self._adapter or not rows:
            return Fit(0, (), 0.0, "off")
        set_checkpointing(self.base, self.recomputes(rows))
        rng = generator(seed, "finetune")
        fit = test_time_training.finetune(self.model, self.layout, rows, self.adapt_settings, until, rng)
        if fit.stopped == "not finite":
            self.forget()
        return fit

    def recomputes(self, rows: Sequence[Row]) -> bool:
        """Whether training on these rows computes activations again: as the settings say, or as memory asks for."""
        width = compute_dtype(self._settings.model.dtype, self.device).itemsize
        longest = max(len(each.ids) for each in rows)
        return memory_plan.choose_plan(self._shape, self._settings, width, longest, self._room).checkpointing

    def _longest_row(self) -> int:
        """Tokens of the longest row to be trained on; on a CPU, whose free memory changes by the minute, any are."""
        model = self._settings.model
        if self.device == "cpu" and not model.gigabytes:
            return model.context
        width = compute_dtype(model.dtype, self.device).itemsize
        return memory_plan.longest_row(self._shape, self._settings, width, self._room)

    def propose(
        self, questions: Sequence[Question], which: Sequence[int], known: Sequence[Grid], until: Deadline, seed: int,
        last: bool,
    ) -> list[Found]:  # fmt: skip
        """Search these questions by the method in the settings; see `search` and `decoding`."""
        forest, how = self.forest(questions), self.search_settings
        drafts = {k: [questions[k].view.see(each) for each in known] for k in which}
        rng = generator(seed, "decoding", *map(str, which))
        match how.method:
            case "threshold":
                return threshold_search.search(forest, which, drafts, how.threshold, until, how.best_path_max_nll, last)
            case "sample":
                return sampling.sample(forest, which, drafts, how.width, how.temperature, until, rng)
            case "beam":
                return sampling.beam(forest, which, drafts, how.width, until)
            case "rebase":
                views = [each.view for each in questions]
                return sampling.rebase_all(forest, views, which, how.width, how.rebase_temperature, until, rng)

    def score(self, questions: Sequence[Question], answers: Sequence[Grid], best: int, until: Deadline) -> Scores:
        """log p of the answers; what a search has read is not read again."""
        seen = [[question.view.see(each) for each in answers] for question in questions]
        return scoring.score(self.forest(questions), seen, best, until)

    def forest(self, questions: Sequence[Question]) -> TokenForest:
        """The tries behind these questions, kept until other ones come."""
        if self._forest is None or self._forest[0] is not questions:
            self._forest = None
            prompts = [each.prompt for each in questions]
            self._require_sight(max((len(each.ids) for each in prompts), default=0))
            reader = self._twin.merge(self.model) if self._twin else self.model
            self._forest = questions, TokenForest(reader, self.layout, prompts, self.search_settings.megabytes)
        return self._forest[1]

    def _require_sight(self, longest: int) -> None:
        """BadInput where attention looks back over a window only: a trie's masks would let it see more than that."""
        window = self._shape.window
        if window is not None and longest + self.layout.longest_answer > window:
            raise BadInput(f"a prompt of {longest} tokens: this model looks back {window} only; lower model.context")

    def forget(self) -> None:
        """Reset the adapter in place to its first weights: the base model, bit for bit."""
        self._forest = None
        give_back_memory()
        with torch.no_grad():
            for weight, first in zip(self._adapter, self._first, strict=True):
                weight.copy_(first)
                weight.grad = None
        self.model.eval()


def give_back_memory() -> None:
    """Return freed memory to the system: tries refer to themselves, and the C library keeps what it once had."""
    gc.collect()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
