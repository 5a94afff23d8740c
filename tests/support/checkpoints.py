"""Checkpoints as people have them: hollow ones of any size, and tiny ones that transformers wrote.

A hollow checkpoint has the right config and headers over a file without content: it can be judged, but not be solved
with. It takes no space on a disk, however large the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from submission.checkpoint.config_json import validated
from submission.checkpoint.families import FAMILIES, tensor_shapes
from submission.checkpoint.quantization import NF4_STATE
from submission.checkpoint.weight_files import DTYPE_BITS

Described = dict[str, tuple[str, tuple[int, ...]]]
"""Tensor -> its type and shape."""

SMALL: dict[str, Any] = {
    "vocab_size": 16, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096, "pad_token_id": 13, "bos_token_id": 14,
    "eos_token_id": 15, "arc_layout": "chat16",
}  # fmt: skip
"""A model of two blocks over the ids of chat16."""

LARGE: dict[str, Any] = SMALL | {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 64,
}  # fmt: skip
"""An 8B."""

NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
"""The quantization_config of a checkpoint in NF4."""


def config_of(model_type: str = "llama", sizes: Mapping[str, Any] = SMALL, **changes: Any) -> dict[str, Any]:
    """A config.json; a change to ... leaves the key out."""
    whole = {"model_type": model_type, "architectures": [FAMILIES[model_type].architecture], **sizes, **changes}
    return {key: value for key, value in whole.items() if value is not ...}


def tensors_of(config: Mapping[str, Any], dtype: str = "BF16") -> Described:
    """The tensors that a config asks for."""
    read = validated(config, Path("config.json"))
    return {name: (dtype, shape) for name, shape in tensor_shapes(read.family, read.sizes, read.flags, read.tied)}


def in_nf4(tensors: Described, storage: str = "U8") -> Described:
    """The same tensors with the projections in NF4, packed into this type."""
    made: Described = {}
    for name, (dtype, shape) in tensors.items():
        if "_proj.weight" not in name:
            made[name] = (dtype, shape)
            continue
        weights = math.prod(shape)
        made[name] = (storage, (weights * 4 // DTYPE_BITS[storage], 1))
        made |= {
            f"{name}.absmax": ("U8", (weights // 64,)), f"{name}.quant_map": ("F32", (16,)),
            f"{name}.nested_absmax": ("F32", (-(-weights // 64 // 256),)), f"{name}.nested_quant_map": ("F32", (256,)),
            f"{name}{NF4_STATE}": ("U8", (90,)),
        }  # fmt: skip
    return made


def write_weights(path: Path, tensors: Described) -> None:
    """A safetensors file of these tensors, with a hole in the place of their content."""
    at = 0
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape) in tensors.items():
        size = math.prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)


def hollow(folder: Path, config: Mapping[str, Any] | None = None, tensors: Described | None = None) -> Path:
    """A checkpoint folder without numbers in it, by default a small llama with all its tensors."""
    config = config_of() if config is None else config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_weights(folder / "model.safetensors", tensors_of(config) if tensors is None else tensors)
    return folder


def in_shards(folder: Path, config: Mapping[str, Any] | None = None) -> Path:
    """A hollow checkpoint in two files with an index."""
    config = config_of() if config is None else config
    hollow(folder, config)
    (folder / "model.safetensors").unlink()
    tensors = tensors_of(config)
    names = [f"model-{k}-of-2.safetensors" for k in (1, 2)]
    parts = {name: {each: tensors[each] for each in sorted(tensors)[k::2]} for k, name in enumerate(names)}
    for name, part in parts.items():
        write_weights(folder / name, part)
    places = {tensor: name for name, part in parts.items() for tensor in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def written(folder: Path, model_type: str, **options: Any) -> Path:
    """A tiny checkpoint with random weights, as transformers saves it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if model_type == "qwen3_vl_text":
        from submission.model.grid_lm import fresh

        fresh(hidden=64, layers=2, seed=1).save_pretrained(folder)
        return folder
    sizes = {key: value for key, value in SMALL.items() if key != "arc_layout"}
    config = AutoConfig.for_model(model_type, **{**sizes, "tie_word_embeddings": False, **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config)
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.data.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                weight.data.normal_()
    model.save_pretrained(folder)
    return folder


ACCEPTED: dict[str, Callable[[Path], object]] = {
    "whole": hollow,
    "in shards": in_shards,
    "tied": lambda f: hollow(f, config_of(tie_word_embeddings=True)),
    "tied, its head saved": lambda f: hollow(f, config_of(tie_word_embeddings=True), tensors_of(config_of())),
    "with rotary frequencies": lambda f: hollow(
        f, config_of(), tensors_of(config_of()) | {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (8,))}
    ),
    "biases": lambda f: hollow(f, config_of(attention_bias=True, mlp_bias=True)),
    "null quantization": lambda f: hollow(f, config_of(quantization_config=None)),
    "NF4": lambda f: hollow(f, config_of(quantization_config=NF4), in_nf4(tensors_of(config_of()))),
    "NF4 stored as bfloat16": lambda f: hollow(
        f, config_of(quantization_config=NF4), in_nf4(tensors_of(config_of()), "BF16")
    ),
    "float32": lambda f: hollow(f, config_of(), tensors_of(config_of(), "F32")),
    "linear rope": lambda f: hollow(f, config_of(rope_scaling={"type": "linear", "factor": 4})),
    "yarn": lambda f: hollow(f, config_of(rope_scaling={"rope_type": "yarn", "factor": 4.0})),
    "consolidated beside": lambda f: write_weights(
        hollow(f) / "consolidated.safetensors", {"tok_embeddings.weight": ("BF16", (4, 4))}
    ),
    "a stale index beside": lambda f: (hollow(f) / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-1-of-9.safetensors"}}'
    ),
}
"""Name -> a folder that every command takes."""
