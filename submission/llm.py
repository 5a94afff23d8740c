"""The 4-bit language model behind `engine.Engine`: loaded by transformers, quantized by bitsandbytes, adapted by peft.

One path for all checkpoints: the embedded model on a laptop's CPU and an 8B on a GPU differ in configuration only.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import platform
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from submission import decoding, finetune, memory, search
from submission.budget import Deadline
from submission.config import Adapt, Model, Search, Settings
from submission.engine import Fit, Found, Question, Scores
from submission.layouts import Layout
from submission.loading import compute_dtype, device, layout_of, load_base, room, with_exact_head, with_fused_norms
from submission.merging import Twin, dense_bytes, fuse
from submission.prompts import Row
from submission.tasks import BadInput, Grid, generator
from submission.trie import Forest

logger = logging.getLogger(__name__)

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ENDS = ["embed_tokens", "lm_head"]
"""What a LoRA can be put on, by transformers' names, which Llama, Mistral and Qwen3 share."""

TORCHAO = (0, 16)
"""The oldest torchao that peft bears (from its 0.19 on); with an older one, such as Kaggle's, it adapts nothing."""


class LanguageModel:
    """A quantized base model and one LoRA adapter, which is trained on a task and then reset.

    Implements `engine.Engine`.
    """

    def __init__(self, path: Path, settings: Model, adapt: Adapt, budget: Search, seed: int = 0) -> None:
        """Load the checkpoint in `path`; BadInput where there is none or its layout is not known."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.device = device(settings.device)
        self.adapt_settings = adapt
        self.search_settings = budget
        self._shape = memory.shape_of(path)
        self._room = room(settings, self.device)
        self._settings = Settings(model=settings, adapt=adapt, search=budget)
        self.longest_row = self._longest_row()
        self.layout: Layout = layout_of(path, settings.layout)
        base = load_base(path, settings, self.device)
        with_exact_head(base)
        if self.device == "cuda":
            with_fused_norms(base)
        dense = 0 if adapt.ends else dense_bytes(base)
        self._twin = Twin(base) if 0 < dense <= settings.dense_megabytes * 1e6 else None
        self.base = base
        self.model: nn.Module = with_adapter(base, adapt, seed) if adapt.rank else base
        self.model.eval()
        self._adapter = [p for p in self.model.parameters() if p.requires_grad]
        self._first = [p.detach().clone() for p in self._adapter]
        self._forest: tuple[Sequence[Question], Forest] | None = None

    def adapt(self, rows: Sequence[Row], until: Deadline, seed: int) -> Fit:
        """Train the adapter on the rows; a training that leaves the finite numbers is undone."""
        self._forest = None
        if not self._adapter or not rows:
            return Fit(0, (), 0.0, "off")
        recomputing(self.base, self.recomputes(rows))
        rng = generator(seed, "finetune")
        fit = finetune.finetune(self.model, self.layout, rows, self.adapt_settings, until, rng)
        if fit.stopped == "not finite":
            self.forget()
        return fit

    def recomputes(self, rows: Sequence[Row]) -> bool:
        """Whether training on these rows computes activations again: as the settings say, or as memory asks for."""
        width = compute_dtype(self._settings.model.dtype, self.device).itemsize
        longest = max(len(each.ids) for each in rows)
        return memory.planned(self._shape, self._settings, width, longest, self._room).checkpointing

    def _longest_row(self) -> int:
        """Tokens of the longest row to be trained on; on a CPU, whose free memory changes by the minute, any are."""
        model = self._settings.model
        if self.device == "cpu" and not model.gigabytes:
            return model.context
        width = compute_dtype(model.dtype, self.device).itemsize
        return memory.longest_row(self._shape, self._settings, width, self._room)

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
                return search.search(forest, which, drafts, how.threshold, until, how.hopeless, last)
            case "sample":
                return decoding.sample(forest, which, drafts, how.width, how.temperature, until, rng)
            case "beam":
                return decoding.beam(forest, which, drafts, how.width, until)
            case "rebase":
                views = [each.view for each in questions]
                return decoding.rebase_all(forest, views, which, how.width, how.balance, until, rng)

    def score(self, questions: Sequence[Question], answers: Sequence[Grid], best: int, until: Deadline) -> Scores:
        """log p of the answers; what a search has read is not read again."""
        seen = [[question.view.see(each) for each in answers] for question in questions]
        return search.score(self.forest(questions), seen, best, until)

    def forest(self, questions: Sequence[Question]) -> Forest:
        """The tries behind these questions, kept until other ones come."""
        if self._forest is None or self._forest[0] is not questions:
            self._forest = None
            prompts = [each.prompt for each in questions]
            self._require_sight(max((len(each.ids) for each in prompts), default=0))
            reader = self._twin.follow(self.model) if self._twin else self.model
            self._forest = questions, Forest(reader, self.layout, prompts, self.search_settings.megabytes)
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


def with_adapter(base: Any, settings: Adapt, seed: int) -> nn.Module:
    """The base with a LoRA on all seven projections of each block, and on its ends if the settings say so.

    Its first weights depend on the seed alone.
    """
    recomputing(base, settings.checkpointing == "on")
    hide_old_torchao()
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=True,
        lora_dropout=0.0,
        target_modules=[*PROJECTIONS, *(ENDS if settings.ends else [])],
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft asks for a method name that transformers has just deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        # That tied ends get an adapter each is what is wanted: neither is ever merged into the weights they share.
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings", category=UserWarning)
        torch.manual_seed(seed)
        adapted: nn.Module = get_peft_model(base, lora)
    fuse(adapted)
    return adapted


def recomputing(base: Any, wanted: bool) -> None:
    """Have the backward pass compute the activations of each block anew, or keep them; the gradient is the same."""
    with warnings.catch_warnings():
        # transformers 5.23 deprecates the only names that 5.0 knows.
        warnings.simplefilter("ignore", FutureWarning)
        if wanted == base.is_gradient_checkpointing:
            return
        if wanted:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            base.gradient_checkpointing_disable()


def hide_old_torchao() -> None:
    """Keep an old torchao, which nothing here needs, from being found: peft would refuse to adapt anything.

    Kaggle's image has torchao 0.10 beside peft 0.19. None in `sys.modules` is Python's own word for "not to be
    imported"; to be dropped when the image has none, or a newer one.
    """
    try:
        found = tuple(map(int, version("torchao").split(".")[:2]))
    except PackageNotFoundError:
        return
    if found < TORCHAO:
        sys.modules["torchao"] = None  # type: ignore[assignment]
