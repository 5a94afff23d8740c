"""The validated reading of a checkpoint's config.json: types and ranges of all that a library would take from it.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.checkpoint.bounded_json import read_object
from submission.checkpoint.families import FAMILIES, SUPPORTED, Family, Sizes
from submission.errors import require
from submission.input_files import json_kind

CONFIG = "config.json"

COUNTS = {
    "hidden_size": (1, 100_000), "intermediate_size": (1, 1_000_000), "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, 1024), "num_key_value_heads": (1, 1024), "head_dim": (2, 4096),
    "vocab_size": (1, 4_000_000), "max_position_embeddings": (1, 1 << 40), "sliding_window": (1, 1 << 40),
    "max_window_layers": (0, 1000), "pretraining_tp": (1, 1024), "no_rope_layer_interval": (1, 1000),
    "_sliding_window_pattern": (1, 1000), "query_pre_attn_scalar": (1, 100_000),
}  # fmt: skip
"""Whole numbers in a config: key -> the least and the greatest value."""

REQUIRED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
"""Sizes that transformers would make up where they are left out."""

NUMBERS = {
    "rms_norm_eps": (1e-12, 1.0), "layer_norm_eps": (1e-12, 1.0), "initializer_range": (1e-9, 1.0),
    "attention_dropout": (0.0, 1.0), "residual_dropout": (0.0, 1.0), "rope_theta": (1e-3, 1e15),
    "rope_local_base_freq": (1e-3, 1e15), "embedding_multiplier": (1e-9, 1e9), "residual_multiplier": (1e-9, 1e9),
    "attention_multiplier": (1e-9, 1e9), "logits_scaling": (1e-9, 1e9), "logit_scale": (1e-9, 1e9),
    "final_logit_softcapping": (1e-9, 1e9),
    "attn_logit_softcapping": (1e-9, 1e9), "clip_qkv": (1e-9, 1e9), "partial_rotary_factor": (1e-3, 1.0),
}  # fmt: skip
"""Numbers in a config: key -> the least and the greatest value."""

DECIMAL = {
    "rms_norm_eps", "layer_norm_eps", "initializer_range", "logit_scale", "final_logit_softcapping",
    "attn_logit_softcapping", "clip_qkv",
}  # fmt: skip
"""Numbers that transformers takes with a decimal point alone."""

FLAGS = (
    "tie_word_embeddings", "attention_bias", "mlp_bias", "use_bias", "attention_out_bias", "use_qk_norm",
    "use_sliding_window", "use_cache",
)  # fmt: skip
"""Keys that are true or false."""

TEXTS = {
    "hidden_act": ("silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu"),
    "dtype": ("float32", "float16", "bfloat16", "float64", "auto"),
}
"""Keys with one of these texts."""

SYNONYMS = {"hidden_activation": "hidden_act", "torch_dtype": "dtype"}

FIXED = {
    "is_encoder_decoder": False, "add_cross_attention": False, "use_bidirectional_attention": False,
    "output_attentions": False, "is_causal": True, "return_dict": True,
}  # fmt: skip
"""Keys that a causal language model may have with this value (or null) alone."""

ROPES = {
    "default": (), "linear": ("factor",), "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}  # fmt: skip
"""Kind of rotary positions whose frequencies are the same for every length -> the numbers that it needs."""

BY_LENGTH = ("dynamic", "longrope", "su")
"""Kinds whose frequencies depend on the length: keys in a cache do not fit the queries that come after them."""

NULLABLE = {
    "num_key_value_heads", "sliding_window", "_sliding_window_pattern", "final_logit_softcapping",
    "attn_logit_softcapping", "clip_qkv", "dtype", "torch_dtype", "quantization_config", "compression_config",
    "id2label", "label2id", "sliding_window_pattern", *FIXED,
}  # fmt: skip
"""Keys that may be null, besides those whose default in the family is None; else null has no meaning."""

NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models of several parts keep the sizes of their language model."""

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")

JUDGED = {
    *COUNTS, *NUMBERS, *FLAGS, *TEXTS, *SYNONYMS, *FIXED, *SPECIAL_IDS, "rope_scaling", "rope_parameters",
    "layer_types", "no_rope_layers", "sliding_window_pattern", "model_type", "architectures", "arc_layout",
}  # fmt: skip
"""The keys that are looked at here, all that the verified families have: a library is shown no others."""


@dataclass(frozen=True)
class Config:
    """What a config.json says, in range and in the right types."""

    model_type: str
    sizes: Sizes
    tied: bool
    """Whether the language head shares the embeddings' weights."""
    positions: int
    """Longest sequence that the model was made for, in tokens."""
    window: int | None
    """Sliding window of attention, in tokens; None for full attention."""
    flags: Mapping[str, bool]
    """The keys that are true or false, with the family's defaults."""
    quantization: Mapping[str, Any] | None
    """quantization_config; null is None."""
    raw: Mapping[str, Any]
    """The whole object."""

    @property
    def family(self) -> Family:
        """The family of its model_type."""
        return FAMILIES[self.model_type]

    @property
    def judged(self) -> dict[str, Any]:
        """The part of it that was looked at, quantization left out."""
        return {key: value for key, value in self.raw.items() if key in JUDGED}


def read_config(folder: Path) -> Config:
    """The config.json of a model folder; BadInput where it cannot be read, or is not one of a supported model."""
    return validated(read_object(folder / CONFIG), folder / CONFIG)


def validated(raw: Mapping[str, Any], where: Path) -> Config:
    """The config in a JSON object; BadInput, beginning with `where`, at the first thing that is wrong."""
    family = _family(raw, where)
    for key in REQUIRED:
        require(raw.get(key) is not None, f"{where}: does not tell {key}, a size of the model")
    nullable = NULLABLE | {key for key, value in family.defaults.items() if value is None}
    for key, value in raw.items():
        if value is not None or key not in nullable:
            _check_value(key, value, where)
    sizes = _sizes(family, raw, where)
    check_special_ids(raw, sizes.vocabulary, where)
    for key in ("rope_scaling", "rope_parameters"):
        _check_rope(raw.get(key), f"{where}: {key}")
    _check_theta(raw, where)
    merged = {**family.defaults, **raw}
    flags = {key: bool(merged.get(key)) for key in FLAGS}
    windowed = family.windowed and merged.get("use_sliding_window", True)
    window = merged.get("sliding_window") if windowed else None
    _check_layers(family, raw, sizes.blocks, window, where)
    quantization = raw.get("quantization_config") or raw.get("compression_config")
    positions = raw.get("max_position_embeddings")
    return Config(
        raw["model_type"], sizes, flags["tie_word_embeddings"] and raw["model_type"] != "qwen3_vl_text",
        1 << 30 if positions is None else positions, window, flags,
        quantization, raw,
    )  # fmt: skip


def _family(raw: Mapping[str, Any], where: Path) -> Family:
    require("auto_map" not in raw, f"{where}: asks for program code of its own (auto_map), which is never run")
    require(
        raw.get("transformers_weights") is None,
        f"{where}: names other files of weights than the usual ones (transformers_weights), which is not supported",
    )
    nested = [key for key in NESTED if raw.get(key) is not None]
    require(
        not nested,
        f"{where}: describes a model of several parts ({', '.join(nested)}); save its language model alone",
    )
    kind = raw.get("model_type")
    require(kind is not None, f"{where}: does not tell model_type, the family of the model")
    require(
        isinstance(kind, str) and kind in FAMILIES,
        f"{where}: model_type {_shown(kind)} is none of the supported families: {SUPPORTED}",
    )
    family = FAMILIES[str(kind)]
    classes = raw.get("architectures")
    if classes is not None:
        require(
            isinstance(classes, list) and all(isinstance(each, str) for each in classes),
            f"{where}: architectures should be a list of class names, and is {_shown(classes)}",
        )
        others = [each for each in classes if each.endswith("ForCausalLM") and each != family.architecture]
        require(not others, f"{where}: architectures says {_shown(others)}, and model_type says {kind}: one is wrong")
    return family


def _check_value(key: str, value: Any, where: Path) -> None:
    """BadInput where the value of a known key has another type, or is out of range."""
    name = SYNONYMS.get(key, key)
    if key in COUNTS:
        low, high = COUNTS[key]
        right, wish = type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"
    elif key in NUMBERS:
        least, most = NUMBERS[key]
        right = is_number(value) and least <= value <= most and not (key in DECIMAL and type(value) is int)
        wish = f"a number from {least:g} to {most:g}{', with a decimal point' * (key in DECIMAL)}"
    elif key in FLAGS:
        right, wish = isinstance(value, bool), "true or false"
    elif name in TEXTS:
        right = isinstance(value, str) and value.removeprefix("torch.") in TEXTS[name]
        wish = f"one of {', '.join(TEXTS[name])}"
    elif key in FIXED:
        right, wish = value is FIXED[key], str(FIXED[key]).lower()
    elif key in ("quantization_config", "compression_config", "label2id"):
        right, wish = isinstance(value, dict), "an object or null"
    elif key == "sliding_window_pattern":
        right, wish = type(value) is int or isinstance(value, str), "a whole number or a text"
    elif key == "id2label":
        right = isinstance(value, dict) and all(each.isdecimal() for each in value)
        wish = "an object with numbers as its keys"
    else:
        return
    require(right, f"{where}: {key} should be {wish}, and is {_shown(value)}")


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _sizes(family: Family, raw: Mapping[str, Any], where: Path) -> Sizes:
    heads, hidden = raw["num_attention_heads"], raw["hidden_size"]
    key_heads = raw.get("num_key_value_heads", family.defaults.get("num_key_value_heads")) or heads
    head = raw.get("head_dim") or family.defaults.get("head_dim")
    require(
        hidden % heads == 0 or (head is not None and not family.divisible),
        f"{where}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}",
    )
    if head is None:
        head = hidden // heads
    require(
        heads % key_heads == 0,
        f"{where}: num_attention_heads {heads} is not a multiple of num_key_value_heads {key_heads}",
    )
    require(head % 2 == 0, f"{where}: heads of {head} channels cannot be rotated in pairs: the number must be even")
    return Sizes(hidden, raw["intermediate_size"], raw["num_hidden_layers"], heads, key_heads, head, raw["vocab_size"])


def check_special_ids(raw: Mapping[str, Any], size: int, where: Path) -> None:
    """BadInput where the id of a special token is none, or where padding has no embedding."""
    for key in SPECIAL_IDS:
        value = raw.get(key)
        ids = value if isinstance(value, list) and key == "eos_token_id" else [] if value is None else [value]
        require(all(type(each) is int for each in ids), f"{where}: {key} should be a token id, and is {_shown(value)}")
    pad = raw.get("pad_token_id")
    require(
        pad is None or -1 <= pad < size,
        f"{where}: pad_token_id {pad} is none of the {size} ids that vocab_size tells; correct or delete it",
    )


def _check_rope(rope: Any, where: str) -> None:
    """BadInput for rotary positions that are not known, or whose frequencies depend on the length."""
    if rope is None:
        return
    require(isinstance(rope, dict), f"{where} should be an object or null, and is {json_kind(rope)}")
    if inner := {key: each for key, each in rope.items() if isinstance(each, dict)}:
        for key, each in inner.items():
            _check_rope(each, f"{where}, {key},")
        return
    kind = rope.get("rope_type", rope.get("type", "default"))
    require(
        kind not in BY_LENGTH,
        f"{where} has the type {_shown(kind)}, whose frequencies depend on the length of the text, so that a prompt in "
        f"the KV cache would not fit what follows it; supported are {', '.join(ROPES)}",
    )
    require(
        isinstance(kind, str) and kind in ROPES,
        f"{where} has the unknown type {_shown(kind)}; supported are {', '.join(ROPES)}",
    )
    for key in ROPES[kind]:
        require(key in rope, f"{where} of type {kind} lacks {key}")
    for key in {*ROPES["llama3"], "rope_theta", "beta_fast", "beta_slow", "attention_factor"} & set(rope):
        value = rope[key]
        right = value is None and key not in ROPES[kind] or is_number(value) and 0 < value < 1e15
        require(right, f"{where}: {key} should be a number above 0, and is {_shown(value)}")


def _check_theta(raw: Mapping[str, Any], where: Path) -> None:
    """BadInput where the base of the rotary frequencies is told twice: which one counts depends on the library."""
    places = [("", raw), *((f"{key}: ", raw[key]) for key in ("rope_scaling", "rope_parameters") if raw.get(key))]
    told = {f"{at}rope_theta {part['rope_theta']}": part["rope_theta"] for at, part in places if "rope_theta" in part}
    require(len(set(told.values())) <= 1, f"{where}: says {' and '.join(told)}: delete the wrong one")


def _check_layers(family: Family, raw: Mapping[str, Any], blocks: int, window: int | None, where: Path) -> None:
    """BadInput for lists with an entry for each block that are none, and for windows without a size."""
    known: dict[str, tuple[object, ...]] = {
        "layer_types": ("full_attention", "sliding_attention"), "no_rope_layers": (0, 1),
    }  # fmt: skip
    for key, values in known.items():
        told = raw.get(key)
        right = (told is None and (key not in raw or family.windowed)) or (
            isinstance(told, list) and len(told) == blocks and all(each in values for each in told)
        )
        require(
            right,
            f"{where}: {key} should be a list of {blocks} entries out of {', '.join(map(str, values))}, one for each "
            f"block, and is {_shown(told)}",
        )
    sliding = raw.get("layer_types")
    sliding = family.patterned if sliding is None else "sliding_attention" in sliding
    require(
        window is not None or not sliding,
        f"{where}: blocks attend to a sliding window (sliding_attention), but sliding_window does not tell its size",
    )


def _shown(value: object) -> str:
    """A value in a sentence, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
