"""A checkpoint of an 8B's true shape with random weights in NF4, written block by block in little memory.

The folder is what bitsandbytes and transformers write themselves for Llama 3.1 8B, its vocabulary cut to one layout:
uint8 weights with their nested scales, one file a block. An 8B's 32 blocks take 4 GB on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import bitsandbytes
import torch
from safetensors.torch import save_file
from torch import Tensor

from submission.arc.layouts import Layout, described, vocabulary
from submission.checkpoint.config_json import validated
from submission.model.memory_plan import Shape, read_shape

LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip
"""How Llama 3.1 scales its rotary frequencies; 3.2 has a factor of 32."""

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_parameters": LLAMA3_ROPE,
    "tie_word_embeddings": False, "dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": ["lm_head"],
    },
}  # fmt: skip


def build(out: Path, layers: int, layout: Layout) -> None:
    """Write the checkpoint, one block in memory at a time, with the vocabulary of this layout.

    OSError where `out` exists, or the disk is full. The index is written last: with it the checkpoint is whole.
    """
    config = CONFIG | {
        "num_hidden_layers": layers, "vocab_size": vocabulary(layout)[-1] + 1, "pad_token_id": layout.pad,
        "bos_token_id": (layout.opening or layout.input_open)[0], "eos_token_id": layout.answer_close[-1],
        "arc_layout": described(layout),
    }  # fmt: skip
    shape = read_shape(validated(config, out / "config.json"), quantized=True)
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config, indent=2))
    places: dict[str, str] = {}
    torch.manual_seed(0)
    first = dict(block(shape))
    for k in range(layers):
        tensors = {f"model.layers.{k}.{name}": turned(tensor, k) for name, tensor in first.items()}
        name = f"model-{k + 1:05}-of-{layers + 1:05}.safetensors"
        save_file(tensors, out / name, {"format": "pt"})
        places |= dict.fromkeys(tensors, name)
    ends = {
        name: torch.randn(shape.vocabulary, shape.hidden, dtype=torch.bfloat16) * 0.02
        for name in ("model.embed_tokens.weight", "lm_head.weight")
    } | {"model.norm.weight": torch.ones(shape.hidden, dtype=torch.bfloat16)}
    name = f"model-{layers + 1:05}-of-{layers + 1:05}.safetensors"
    save_file(ends, out / name, {"format": "pt"})
    places |= dict.fromkeys(ends, name)
    size = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))


def turned(tensor: Tensor, k: int) -> Tensor:
    """Other random weights of the same kind, without quantizing anew: the 4-bit codes shifted by a prime a block."""
    return tensor.roll(4099 * k, 0) if tensor.dtype == torch.uint8 and tensor.ndim == 2 else tensor.clone()


def block(shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a block, as a 4-bit checkpoint names them within it."""
    hidden, inner, queries, keys = shape.hidden, shape.intermediate, shape.queries, shape.keys
    sizes = {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }  # fmt: skip
    for name, size in sizes.items():
        weight = torch.randn(size, dtype=torch.float32).mul_(0.02).to(torch.bfloat16)
        packed, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        yield f"{name}.weight", packed
        for key, value in state.as_dict(packed=True).items():
            yield f"{name}.weight.{key}", value.contiguous()
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"{name}.weight", torch.ones(hidden, dtype=torch.bfloat16)
