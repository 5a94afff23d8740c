"""Checkpoints made into models: the base in NF4, its device and type of numbers, and the layout that it speaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes
import psutil
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.logging import disable_progress_bar

from submission.arc.layouts import CHAT16, NAMED, Layout, read_layout, vocabulary
from submission.arc.tokenizer_layouts import architects, numpy_layout
from submission.config import Model
from submission.errors import BadInput
from submission.model import attention
from submission.model.grid_lm import GridLM


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


ALIGNED = 64
"""Bytes at whose multiples torch allocates."""


def computing_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Compute in this type, whatever a checkpoint that was saved in 4 bits says it was made with.

    Such a checkpoint brings its own: bfloat16 mostly, which a T4 has no arithmetic for. Weights that are read from an
    odd place of a file are copied to an aligned one: on some CPUs the last bits of a product depend on it.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.compute_dtype = dtype
            module.weight.quant_state.dtype = dtype
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
            if weight.data_ptr() % ALIGNED:
                weight.data = weight.data.clone()


NORMS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm", "Qwen3VLTextRMSNorm"}
"""Norms that scale by their weight, as torch's does."""

SMALL_HEAD = 1024
"""Words of a vocabulary up to which a head in float32 costs nothing."""


def with_fused_norms(model: nn.Module) -> None:
    """Have torch's one kernel compute the norms, which transformers computes in six passes over float32 copies.

    The function is the same up to rounding. For GPUs: on a CPU it is no faster.
    """
    for module in model.modules():
        if type(module).__name__ in NORMS:
            module.forward = partial(_normed, module, module.forward)


def _normed(module: Any, unfused: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.dtype != module.weight.dtype:
        return unfused(x)
    return F.rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)


def with_exact_head(model: Any) -> None:
    """Compute the logits of a small vocabulary in float32: in bfloat16 they are up to an eighth of a nat apart."""
    head = model.get_output_embeddings()
    tied = head.weight is model.get_input_embeddings().weight
    small = type(head) is nn.Linear and len(head.weight) <= SMALL_HEAD and head.weight.dtype is not torch.float32
    if small and not tied:
        head.float()
        head.register_forward_pre_hook(lambda _, given: (given[0].float(),))


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


def read_tokenizer(path: Path) -> Any:
    """A checkpoint's tokenizer; ValueError where it has none, or what it needs is not installed."""
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"its tokenizer cannot be read: {' '.join(str(error).split())}") from error


def spoken_layout(path: Path, wish: str, size: int) -> Layout:
    """The layout in the words of a checkpoint's own tokenizer; ValueError where it has no such words."""
    if wish in NAMED:
        raise ValueError(f"{wish} has a vocabulary of 16, this one has {size}: shrink it first")
    if not any(path.glob("tokenizer*")):
        raise ValueError("it has neither a tokenizer nor an arc_layout")
    tokenizer = read_tokenizer(path)
    encode: Callable[[str], list[int]] = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if eos is None or bos is None:
        raise ValueError("its tokenizer names no beginning or no end of a text")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos
    if wish == "architects" or (wish == "auto" and size < 256):
        return architects(encode, bos, eos, pad)
    return numpy_layout(encode, pad)
