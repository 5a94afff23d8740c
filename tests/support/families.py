"""Miniatures of the model families: each with every peculiarity of its architecture, a few thousand weights, and a
tokenizer of its kind where it has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerFast

from submission.benchmarks.synthetic_checkpoint import LLAMA3_ROPE
from tests.support.layouts import MERGES, character_tokenizer, llama3_tokenizer

FAMILIES: dict[str, dict[str, Any]] = {
    "llama-3.1": {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16,
                  "rope_parameters": LLAMA3_ROPE, "rms_norm_eps": 1e-5, "tie_word_embeddings": False},
    "llama-3.2": {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
                  "rope_parameters": LLAMA3_ROPE | {"factor": 32.0}, "rms_norm_eps": 1e-5,
                  "tie_word_embeddings": True},
    "minitron": {"model_type": "mistral", "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 32,
                 "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}, "rms_norm_eps": 1e-5,
                 "sliding_window": None, "tie_word_embeddings": False},
    "qwen3": {"model_type": "qwen3", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
              "rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0}, "rms_norm_eps": 1e-6,
              "use_sliding_window": False, "tie_word_embeddings": True},
}  # fmt: skip
"""Llama 3.1 8B, Llama 3.2 3B (tied, as Minitron's sibling), Mistral-NeMo-Minitron (heads wider than the model), Qwen3
4B (norms of queries and keys, tied)."""


def tokenizer_of(layout: str) -> Any:
    """A tokenizer in which a checkpoint of this layout speaks; None for chat16, which needs none."""
    if layout == "architects":
        return PreTrainedTokenizerFast(
            tokenizer_object=character_tokenizer(), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
        )
    if layout == "numpy":
        return PreTrainedTokenizerFast(
            tokenizer_object=llama3_tokenizer(MERGES["pieces"]), bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
        )
    return None


def miniature(
    folder: Path, family: str, layout: str = "chat16", dtype: torch.dtype = torch.bfloat16, blocks: int = 2
) -> Path:
    """A checkpoint of so many blocks with random weights, in 16 bits as they are published."""
    tokenizer = tokenizer_of(layout)
    special = (
        {"pad_token_id": 13, "bos_token_id": 14, "eos_token_id": 15}
        if tokenizer is None
        else {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    )
    options = {key: value for key, value in FAMILIES[family].items() if key != "model_type"}
    config = AutoConfig.for_model(
        FAMILIES[family]["model_type"], vocab_size=16 if tokenizer is None else len(tokenizer) + 3, hidden_size=64,
        intermediate_size=128, num_hidden_layers=blocks, max_position_embeddings=131072, **special, **options,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config).to(dtype)
        for name, weight in model.named_parameters():
            if "norm" in name:
                # Ones, as they are at first, would not show a norm that is left out or mixed up with another.
                weight.data.uniform_(0.5, 1.5)
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def packed(source: Path, folder: Path, storage: str = "uint8", kept: Sequence[str] = ("lm_head",)) -> Path:
    """The same checkpoint in NF4, packed into this type; the modules `kept` stay in 16 bits."""
    how = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_storage=storage, llm_int8_skip_modules=list(kept),
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.bfloat16, device_map={"": "cpu"}, quantization_config=how
    )
    model.save_pretrained(folder)
    return folder
