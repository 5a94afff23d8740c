"""The model families that are verified, and the tensors that a config of each asks for.

Verified: in miniature, with random weights, the log-probabilities of the search equal those of plain transformers, and
the LoRA finds the seven projections of every block. Defaults are transformers' own for what a config leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven linear layers of a block, which are quantized, and adapted by the LoRA."""

ATTENTION, MLP = PROJECTIONS[:4], PROJECTIONS[4:]

TARGETS = {"all": PROJECTIONS, "q_v_mlp": ("q_proj", "v_proj", *MLP)}
"""A value of `adapt.targets` -> the projections with a LoRA."""

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""The tensors with a row for each id; a checkpoint with tied ends may have the first alone."""


@dataclass(frozen=True)
class Family:
    """One model_type of transformers."""

    architecture: str
    """The class of the causal language model, as config.json names it."""
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    """The norms of a block over the residual stream."""
    head_norms: str = ""
    """Norms of queries and keys: "head" over each head, "whole" over all heads together, "each" with a weight for
    each head, "" none."""
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key of the config -> the projections that have a bias where it is true; the key "always" is true."""
    final_norm: bool = True
    windowed: bool = False
    """Whether attention may be limited to a sliding window."""
    patterned: bool = False
    """Whether some blocks do so where config.json has no layer_types."""
    divisible: bool = False
    """Whether transformers refuses a hidden_size that is no multiple of num_attention_heads, whatever head_dim says."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What transformers takes where config.json leaves a key out; None: what follows from the other sizes."""


OF_ATTENTION = {"attention_bias": ATTENTION}
OF_LLAMA = {"attention_bias": ATTENTION, "mlp_bias": MLP}
AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")
AROUND = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")

FAMILIES: Mapping[str, Family] = {
    "llama": Family("LlamaForCausalLM", biases=OF_LLAMA, divisible=True, defaults={"head_dim": None}),
    "mistral": Family(
        "MistralForCausalLM", windowed=True,
        defaults={"num_key_value_heads": 8, "sliding_window": 4096, "head_dim": None},
    ),
    "ministral": Family(
        "MinistralForCausalLM", windowed=True, patterned=True,
        defaults={"num_key_value_heads": 8, "sliding_window": 4096},
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM", biases={"always": ATTENTION[:3]}, windowed=True,
        defaults={"num_key_value_heads": 32, "use_sliding_window": False, "sliding_window": 4096},
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM", head_norms="head", biases=OF_ATTENTION, windowed=True,
        defaults={"num_key_value_heads": 32, "head_dim": 128, "use_sliding_window": False, "sliding_window": 4096},
    ),
    "qwen3_vl_text": Family(
        "GridLM", head_norms="head", biases=OF_ATTENTION, defaults={"num_key_value_heads": 32, "head_dim": 128}
    ),
    "smollm3": Family(
        "SmolLM3ForCausalLM", biases=OF_LLAMA, windowed=True,
        defaults={"num_key_value_heads": 4, "tie_word_embeddings": True, "use_sliding_window": False},
    ),
    "granite": Family("GraniteForCausalLM", biases=OF_LLAMA),
    "gemma": Family(
        "GemmaForCausalLM", biases=OF_ATTENTION,
        defaults={
            "num_key_value_heads": 16, "head_dim": 256, "tie_word_embeddings": True, "hidden_activation": None,
        },
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM", AROUND, "head", OF_ATTENTION, windowed=True, patterned=True, divisible=True,
        defaults={"num_key_value_heads": 4, "head_dim": 256, "tie_word_embeddings": True, "sliding_window": 4096},
    ),
    "olmo": Family("OlmoForCausalLM", (), biases=OF_ATTENTION, final_norm=False),
    "olmo2": Family("Olmo2ForCausalLM", AFTER, "whole", OF_ATTENTION),
    "olmo3": Family(
        "Olmo3ForCausalLM", AFTER, "whole", OF_ATTENTION, windowed=True, patterned=True,
        defaults={"sliding_window": 4096},
    ),
    "cohere": Family(
        "CohereForCausalLM", ("input_layernorm",), "each", OF_ATTENTION, defaults={"tie_word_embeddings": True}
    ),
    "cohere2": Family(
        "Cohere2ForCausalLM", ("input_layernorm",), biases=OF_ATTENTION, windowed=True, patterned=True,
        defaults={"tie_word_embeddings": True, "sliding_window": 4096},
    ),
    "exaone4": Family(
        "Exaone4ForCausalLM", AFTER, "head", windowed=True,
        defaults={"num_key_value_heads": 32, "sliding_window": 4096},
    ),
    "helium": Family(
        "HeliumForCausalLM", biases={"attention_bias": ATTENTION[:3], "mlp_bias": MLP},
        defaults={"num_key_value_heads": 20, "head_dim": 128},
    ),
    "seed_oss": Family(
        "SeedOssForCausalLM", biases={"attention_bias": ATTENTION[:3], "attention_out_bias": ("o_proj",),
                                      "mlp_bias": MLP},
        defaults={"num_key_value_heads": 8, "head_dim": 128, "attention_bias": True},
    ),
    "ernie4_5": Family(
        "Ernie4_5ForCausalLM", biases={"use_bias": PROJECTIONS},
        defaults={"num_key_value_heads": 2, "head_dim": 128, "tie_word_embeddings": True},
    ),
}  # fmt: skip
"""model_type -> its family; all others are refused: fused projections, experts, other attention."""

SUPPORTED = ", ".join(FAMILIES)
"""The families in one line of text."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model, in channels, heads and ids."""

    hidden: int
    """Channels of the residual stream."""
    intermediate: int
    """Channels inside the MLP."""
    blocks: int
    heads: int
    """Query heads."""
    key_heads: int
    """Heads of keys and values: fewer than `heads` with grouped-query attention."""
    head: int
    """Channels of one head."""
    vocabulary: int
    """Token ids."""

    @property
    def queries(self) -> int:
        """Channels of all queries of a token."""
        return self.heads * self.head

    @property
    def keys(self) -> int:
        """Channels of all keys of a token, and of all its values."""
        return self.key_heads * self.head


def projection_shapes(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """The shape [out, in] of each of the seven projections of a block, by its name in the block."""
    hidden, inner, queries, keys = sizes.hidden, sizes.intermediate, sizes.queries, sizes.keys
    return {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }  # fmt: skip


def block_shapes(family: Family, sizes: Sizes, flags: Mapping[str, bool]) -> dict[str, tuple[int, ...]]:
    """The tensors of one block, by name within the block; `flags`: the config's keys that are true or false."""
    shapes: dict[str, tuple[int, ...]] = {}
    biased = {name for key, names in family.biases.items() if key == "always" or flags.get(key) for name in names}
    for name, shape in projection_shapes(sizes).items():
        shapes[f"{name}.weight"] = shape
        if name.partition(".")[2] in biased:
            shapes[f"{name}.bias"] = shape[:1]
    for norm in family.norms:
        shapes[f"{norm}.weight"] = (sizes.hidden,)
    kind = family.head_norms if family.head_norms != "each" or flags.get("use_qk_norm") else ""
    if kind:
        for norm, heads in (("q_norm", sizes.heads), ("k_norm", sizes.key_heads)):
            weight = {"head": (sizes.head,), "whole": (heads * sizes.head,), "each": (heads, sizes.head)}[kind]
            shapes[f"self_attn.{norm}.weight"] = weight
    return shapes


def tensor_shapes(
    family: Family, sizes: Sizes, flags: Mapping[str, bool], tied: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor that a model of this family and these sizes needs; of a tied head none."""
    ends = (sizes.vocabulary, sizes.hidden)
    yield EMBEDDINGS, ends
    for name, shape in block_shapes(family, sizes, flags).items():
        for k in range(sizes.blocks):
            yield f"model.layers.{k}.{name}", shape
    if family.final_norm:
        yield "model.norm.weight", (sizes.hidden,)
    if not tied:
        yield HEAD, ends
