"""The 4-bit language model behind `engine.Engine`: loaded by transformers, quantized by bitsandbytes, adapted by peft.

One path for all checkpoints: the embedded model on a laptop's CPU and an 8B on a GPU differ in configuration only.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.logging import disable_progress_bar

from submission import decoding, finetune, search
from submission.budget import Deadline
from submission.config import Adapt, Model, Search
from submission.engine import Fit, Found, Question, Scores
from submission.gridlm import GridLM
from submission.merging import Twin, dense_bytes
from submission.prompts import CHAT16, NAMED, Layout, Row, architects, numpy_layout
from submission.tasks import BadInput, Grid, generator
from submission.trie import Forest

logger = logging.getLogger(__name__)

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


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
        base = load_base(path, settings, self.device)
        self.layout: Layout = layout_of(path)
        self._twin = Twin(base) if 0 < dense_bytes(base) <= settings.dense_megabytes * 1e6 else None
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
        rng = generator(seed, "finetune")
        fit = finetune.finetune(self.model, self.layout, rows, self.adapt_settings, until, rng)
        if fit.stopped == "not finite":
            self.forget()
        return fit

    def propose(
        self, questions: Sequence[Question], which: Sequence[int], known: Sequence[Grid], until: Deadline, seed: int
    ) -> list[Found]:
        """Search these questions by the method in the settings; see `search` and `decoding`."""
        forest, how = self.forest(questions), self.search_settings
        drafts = {k: [questions[k].view.see(each) for each in known] for k in which}
        rng = generator(seed, "decoding", *map(str, which))
        match how.method:
            case "threshold":
                return search.search(forest, which, drafts, how.threshold, until, how.hopeless)
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
            reader = self._twin.follow(self.model) if self._twin else self.model
            self._forest = questions, Forest(reader, self.layout, prompts, self.search_settings.megabytes)
        return self._forest[1]

    def forget(self) -> None:
        """Reset the adapter in place to its first weights: the base model, bit for bit."""
        self._forest = None
        give_back_memory()
        with torch.no_grad():
            for weight, first in zip(self._adapter, self._first, strict=True):
                weight.copy_(first)
        self.model.eval()


def give_back_memory() -> None:
    """Return freed memory to the system: tries refer to themselves, and the C library keeps what it once had."""
    gc.collect()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def load_base(path: Path, settings: Model, where: str) -> Any:
    """The frozen base model of a checkpoint folder, its blocks in NF4 unless `four_bit` is off."""
    disable_progress_bar()
    if not (path / "config.json").is_file():
        raise BadInput(f"{path}: there is no config.json, so this is not a model folder")
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    dtype = compute_dtype(settings.dtype, where)
    options: dict[str, Any] = {
        "dtype": dtype,
        "device_map": {"": where},
        "attn_implementation": "sdpa",
        "local_files_only": True,
        "use_safetensors": True,
    }
    if settings.four_bit and "quantization_config" not in config.to_dict():
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=["lm_head"],
        )
    family: Any = GridLM if config.model_type == "qwen3_vl_text" else AutoModelForCausalLM
    model = family.from_pretrained(path, **options)
    without_cpu_packing(model)
    computing_in(model, dtype)
    return model.requires_grad_(False)


def without_cpu_packing(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights in place on the CPU.

    On CPUs with AVX512-BF16 an evaluation pass replaces the weights by a packed form whose forward pass has no
    gradient and which is saved wrongly: training after inference would silently go astray (bitsandbytes 0.50;
    to be dropped when training after evaluation gives the same gradients there, which a test checks).
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def computing_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Compute in this type, whatever a checkpoint that was saved in 4 bits says it was made with.

    Such a checkpoint brings its own: bfloat16 mostly, which a T4 has no arithmetic for.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.compute_dtype = dtype
            module.weight.quant_state.dtype = dtype
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def device(wish: str) -> str:
    """The device that this wish ("auto", "cpu", "cuda") means here."""
    if wish == "cuda" and not torch.cuda.is_available():
        raise BadInput("model.device=cuda, but torch sees no GPU here")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wish == "auto" else wish


def compute_dtype(wish: str, where: str) -> torch.dtype:
    """What to compute in: by the GPU's generation, since bfloat16 "works" on a T4 too, only many times slower."""
    if wish != "auto":
        named: torch.dtype = getattr(torch, wish)
        return named
    if where == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16


def layout_of(path: Path) -> Layout:
    """The layout that a checkpoint was trained with, told by its files."""
    config = json.loads((path / "config.json").read_text())
    if config.get("arc_layout") in NAMED:
        return NAMED[config["arc_layout"]]
    if config.get("vocab_size") == 16:
        return CHAT16
    tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
    encode: Callable[[str], list[int]] = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    try:
        if config["vocab_size"] < 256:
            return architects(encode, tokenizer.bos_token_id, tokenizer.eos_token_id, pad)
        return numpy_layout(encode, pad)
    except ValueError as error:
        raise BadInput(f"{path}: none of the known layouts fits this checkpoint ({error})") from error


def with_adapter(base: Any, settings: Adapt, seed: int) -> nn.Module:
    """The base with a LoRA on all seven projections of each block; its first weights depend on the seed alone."""
    if settings.checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        base.enable_input_require_grads()
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=True,
        lora_dropout=0.0,
        target_modules=PROJECTIONS,
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft asks for a method name that transformers has just deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        adapted: nn.Module = get_peft_model(base, lora)
    return adapted
