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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bitsandbytes
import psutil
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.logging import disable_progress_bar

from submission import attention, decoding, finetune, memory, search
from submission.budget import Deadline
from submission.config import Adapt, Model, Search, Settings
from submission.engine import Fit, Found, Question, Scores
from submission.gridlm import GridLM
from submission.merging import Twin, dense_bytes
from submission.prompts import CHAT16, NAMED, Layout, Row, architects, numpy_layout, read_layout, vocabulary
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
        self.layout: Layout = layout_of(path, settings.layout)
        base = load_base(path, settings, self.device)
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
        self.model.eval()


def give_back_memory() -> None:
    """Return freed memory to the system: tries refer to themselves, and the C library keeps what it once had."""
    gc.collect()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def load_base(path: Path, settings: Model, where: str) -> Any:
    """The frozen base model of a checkpoint folder, its blocks in NF4 unless `four_bit` is off.

    A checkpoint in 16 bits is quantized as it is read, one that is in NF4 stays as it is. BadInput where the folder
    holds no whole model, or one that cannot be worked with.
    """
    disable_progress_bar()
    if not (path / "config.json").is_file():
        raise BadInput(f"{path}: there is no config.json, so this is not a model folder")
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        require_nf4(path, config)
        load = from_unsloth if settings.backend == "unsloth" else from_transformers
        model = load(path, config, settings, where)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: cannot be read as a model ({' '.join(str(error).split())})") from error
    without_cpu_packing(model)
    computing_in(model, compute_dtype(settings.dtype, where))
    return model.requires_grad_(False)


def require_nf4(path: Path, config: Any) -> None:
    """BadInput where the checkpoint is quantized in another way: no adapter was ever tried on that."""
    quantized = config.to_dict().get("quantization_config")
    if quantized is not None and not (quantized.get("load_in_4bit") and quantized.get("bnb_4bit_quant_type") == "nf4"):
        raise BadInput(f"{path}: is quantized otherwise than in bitsandbytes' NF4, which is all that can be adapted")


def from_transformers(path: Path, config: Any, settings: Model, where: str) -> Any:
    """The model as transformers loads it, quantized by bitsandbytes; no weight is left to chance."""
    dtype = compute_dtype(settings.dtype, where)
    options: dict[str, Any] = {
        "dtype": dtype,
        "device_map": {"": where},
        "attn_implementation": attention.implementation(
            torch.cuda.get_device_capability() if where == "cuda" else None
        ),
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
    model, told = family.from_pretrained(path, output_loading_info=True, **options)
    if missing := sorted(told["missing_keys"]):
        raise BadInput(f"{path}: {len(missing)} weights are not in its files, {missing[0]} for one")
    return model


def from_unsloth(path: Path, config: Any, settings: Model, where: str) -> Any:
    """The model as unsloth loads it: its own kernels, on CUDA alone.

    Unsloth allows neither every transformers nor a CPU, so it is imported here and nowhere
    else. The adapter, its training and the search are the same as of the native backend.
    """
    if where != "cuda":
        raise BadInput("model.backend=unsloth needs a CUDA GPU; model.backend=native does without one")
    try:
        from unsloth import FastLanguageModel
    except (ImportError, NotImplementedError) as error:
        raise BadInput(f"model.backend=unsloth: unsloth cannot be imported here ({error})") from error
    model, _ = FastLanguageModel.from_pretrained(
        str(path),
        max_seq_length=settings.context,
        dtype=compute_dtype(settings.dtype, where),
        load_in_4bit=settings.four_bit,
        local_files_only=True,
    )
    return model


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


def room(settings: Model, where: str) -> float:
    """Bytes of memory that the model has to itself: what the settings say, the GPU's, or what the machine can spare."""
    if settings.gigabytes:
        return settings.gigabytes * 1e9
    if where == "cpu":
        return float(psutil.virtual_memory().available)
    return float(torch.cuda.get_device_properties(0).total_memory)


def layout_of(path: Path, wish: str = "auto") -> Layout:
    """The layout that a checkpoint was trained with: told by its files, or the one wished for, if that fits.

    Without an `arc_layout` in its config a vocabulary of 16 means chat16, one of up to 255 (cut to characters)
    architects, and a whole one numpy. BadInput where the layout does not fit the vocabulary or the tokenizer.
    """
    config = json.loads((path / "config.json").read_text())
    size = config["vocab_size"]
    told = config.get("arc_layout", (wish if wish in NAMED else CHAT16.name) if size == 16 else None)
    try:
        layout = read_layout(told) if told is not None else spoken_layout(path, wish, size)
    except ValueError as error:
        raise BadInput(f"{path}: none of the known layouts fits this checkpoint ({error})") from error
    if wish not in ("auto", layout.name):
        raise BadInput(f"model.layout={wish}, but {path} was made for layout {layout.name}")
    if vocabulary(layout)[-1] >= size:
        raise BadInput(f"{path}: layout {layout.name} writes id {vocabulary(layout)[-1]}, but there are only {size}")
    return layout


def spoken_layout(path: Path, wish: str, size: int) -> Layout:
    """The layout in the words of a checkpoint's own tokenizer; ValueError where it has no such words."""
    if wish in NAMED:
        raise ValueError(f"{wish} has a vocabulary of 16, this one has {size}: shrink it first")
    if not any(path.glob("tokenizer*")):
        raise ValueError("it has neither a tokenizer nor an arc_layout")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"its tokenizer cannot be read: {' '.join(str(error).split())}") from error
    encode: Callable[[str], list[int]] = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if eos is None or bos is None:
        raise ValueError("its tokenizer names no beginning or no end of a text")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos
    if wish == "architects" or (wish == "auto" and size < 256):
        return architects(encode, bos, eos, pad)
    return numpy_layout(encode, pad)


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
