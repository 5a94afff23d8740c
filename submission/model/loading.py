"""From a checkpoint folder to a model in memory: quantization, device, compute type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from submission.checkpoint.checkpoint import Checkpoint, is_harmless, listed, read_checkpoint
from submission.checkpoint.families import HEAD, projection_shapes
from submission.checkpoint.quantization import NF4_NESTED, NF4_STATE
from submission.config import Model
from submission.errors import BadInput, require
from submission.model import attention
from submission.model.grid_lm import GridLM
from submission.model.memory_plan import Device
from submission.model.modules import (
    require_finite,
    set_compute_dtype,
    with_packed_bytes,
    without_cpu_packing,
    without_dropout,
)  # fmt: skip
from submission.model.speed_probe import cpu_speedup, faster


def load_base(path: Path, settings: Model, device: str) -> Any:
    """The frozen base model of a checkpoint folder, its blocks in NF4 unless `model.four_bit` is off.

    A 16-bit checkpoint is quantized while it is loaded; one in NF4 stays as it is. BadInput where the folder cannot be
    used (see `read_checkpoint`), and where a library cannot load it, whatever it says; errors of memory and of the GPU
    are raised as they are.
    """
    disable_progress_bar()
    checkpoint = read_checkpoint(path)
    if device == "cuda" and compute_dtype(settings.dtype, device) is torch.float16:
        sum_in_float32()
    try:
        model = from_transformers(checkpoint, settings, device)
    except (BadInput, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except Exception as error:
        if is_of_memory(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: cannot be loaded as a model ({type(error).__name__}: {reason})") from error
    without_cpu_packing(model)
    with_packed_bytes(model)
    without_dropout(model)
    set_compute_dtype(model, compute_dtype(settings.dtype, device))
    require_finite(path, model)
    return model.requires_grad_(False)


def is_of_memory(error: Exception) -> bool:
    """Whether an error of loading may be gone at the next try: torch tells of the CPU's memory in the text alone."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(each in text for each in ("memory", "CUDA", "cuda", "CUBLAS"))


def shown(checkpoint: Checkpoint) -> dict[str, Any]:
    """What transformers is shown of a checkpoint besides its weights, as options of `from_pretrained`.

    It takes any key of a config.json for an attribute of its own, and reads generation_config.json and other files by
    itself. It gets the part that was judged, and no program code.
    """
    kind: Any = type(AutoConfig.for_model(checkpoint.model_type))
    return {
        "config": kind.from_dict(checkpoint.config.judged),
        "generation_config": GenerationConfig(**checkpoint.special_ids),
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }


def load_unquantized(family: Any, checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The model of a checkpoint in this type, by a class of transformers or a `GridLM`."""
    return family.from_pretrained(checkpoint.folder, dtype=dtype, **shown(checkpoint))


def from_transformers(checkpoint: Checkpoint, settings: Model, device: str) -> Any:
    """The model loaded by transformers and quantized by bitsandbytes; BadInput where its files do not fit it."""
    dtype = compute_dtype(settings.dtype, device)
    options: dict[str, Any] = {
        **shown(checkpoint),
        "dtype": dtype,
        "device_map": {"": device},
        "attn_implementation": attention.register_backend(
            torch.cuda.get_device_capability() if device == "cuda" else None
        ),
    }
    if settings.four_bit and not checkpoint.quantized:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=["lm_head"],
        )
    elif checkpoint.quantized:
        options["config"].quantization_config = section_of_weights(checkpoint)
    family: Any = GridLM if checkpoint.model_type == "qwen3_vl_text" else AutoModelForCausalLM
    model, report = family.from_pretrained(checkpoint.folder, output_loading_info=True, **options)
    require_whole(checkpoint, report)
    return model


STORAGE = {"U8": "uint8", "BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""safetensors' names of the types in which bitsandbytes packs weights, and torch's."""


def section_of_weights(checkpoint: Checkpoint) -> dict[str, Any]:
    """The quantization_config of a checkpoint in NF4, with storage type and 16-bit modules as the weights have them.

    transformers goes by this section alone: it would read the packed bytes of another storage type as numbers, and
    quantize what the section does not except. So nothing of the checkpoint's own section is taken. BadInput where the
    weights are packed into several types.
    """
    types = sorted({checkpoint.weights.tensors[name].dtype for name in checkpoint.four_bit})
    require(
        len(types) == 1 and types[0] in STORAGE,
        f"{checkpoint.folder}: its weights in NF4 are packed into {', '.join(types)}, and one of {', '.join(STORAGE)} "
        "is needed for all of them; quantize the 16-bit model again",
    )
    blocks = range(checkpoint.config.sizes.blocks)
    linear = [f"model.layers.{k}.{name}" for k in blocks for name in projection_shapes(checkpoint.config.sizes)]
    linear.append(HEAD.removesuffix(".weight"))
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": any(name.endswith(NF4_NESTED) for name in checkpoint.weights.tensors),
        "bnb_4bit_quant_storage": STORAGE[types[0]],
        "llm_int8_skip_modules": [name for name in linear if f"{name}.weight" not in checkpoint.four_bit],
    }


def require_whole(checkpoint: Checkpoint, report: Mapping[str, Any]) -> None:
    """BadInput where transformers reports weights that it did not find, or found no place for.

    The checkpoint was judged before by its headers; this is held against what the library really did.
    """
    unexpected = [
        name for name in report["unexpected_keys"]
        if NF4_STATE not in name and not is_harmless(name, checkpoint.config)
    ]  # fmt: skip
    for names, what in (
        (report["missing_keys"], "not found in its files"), (unexpected, "without a place in the model"),
        ([each[0] for each in report["mismatched_keys"]], "of another shape than the model's"),
    ):  # fmt: skip
        if names:
            raise BadInput(f"{checkpoint.folder}: {listed(sorted(names))} {what}")


def sum_in_float32() -> None:
    """Let cuBLAS add up the products of float16 matrices in float32 to the end, in this process.

    By default it may add the parts of a long sum in float16, whose largest number is 65504: over the 11520 channels of
    an 8B's MLP that loses digits, or the sum.
    """
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def resolve_device(setting: str) -> str:
    """ "cpu" or "cuda" for a value of `model.device`; BadInput for "cuda" where torch finds no GPU."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise BadInput("model.device=cuda, but torch finds no GPU here")
    return ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting


def compute_dtype(setting: str, device: str) -> torch.dtype:
    """The type to compute in, for a value of `model.dtype`.

    auto goes by the GPU's generation: bfloat16 runs on a T4 too, but many times slower than float16; on a CPU by what a
    measurement finds faster.
    """
    if setting != "auto":
        named: torch.dtype = getattr(torch, setting)
        return named
    if device == "cpu":
        return faster(cpu_speedup())
    return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16


def device_bytes(settings: Model, device: str) -> float:
    """Bytes of memory to plan with: `model.gigabytes`, or what is free on the GPU or on the machine now.

    On a GPU what this process holds already counts as free: it is planned with.
    """
    if settings.gigabytes:
        return settings.gigabytes * 1e9
    if device == "cpu":
        return float(psutil.virtual_memory().available)
    # It makes the CUDA context, which takes its part of the GPU first.
    return float(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved())


def device_kind(device: str) -> Device:
    """What a device computes with, as `memory_plan` counts it."""
    if device == "cpu":
        return "cpu"
    return "ampere" if torch.cuda.get_device_capability() >= (8, 0) else "turing"
