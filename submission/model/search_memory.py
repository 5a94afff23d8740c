"""What a search takes: bytes of a token, and how a memory budget is divided between KV cache and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from submission.checkpoint.families import Sizes

ACTIVATION_SHARE = 0.4
"""Most of the memory budget that is set aside for the activations of a pass; the rest holds keys and values."""

NODES_PER_PROMPT = 1024
"""Nodes of one prompt that a decode pass takes at most."""


@dataclass(frozen=True)
class TokenBytes:
    """Bytes that one token takes in a forward pass; held against counted searches of models of true size."""

    kv: int
    """Keys and values in all blocks: one slot of the cache."""
    activations: int
    """Activations while the pass runs, an upper bound."""
    logits: int
    """Logits, where they are computed: for each node, but only for the last token of a prompt."""
    mask: int
    """Attention mask of a node, for each slot that it may attend to."""

    @staticmethod
    def of(model: Any) -> TokenBytes:
        """Read off the model's configuration and the type of its weights."""
        config = model.config.get_text_config()
        width = next(p.element_size() for p in model.parameters() if p.is_floating_point())
        sizes = Sizes(
            config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.num_attention_heads,
            config.num_key_value_heads, config.head_dim, config.vocab_size,
        )  # fmt: skip
        return TokenBytes.of_sizes(sizes, width)

    @staticmethod
    def of_sizes(sizes: Sizes, width: int) -> TokenBytes:
        """Of a model of these sizes with numbers of `width` bytes."""
        return TokenBytes(
            kv=2 * sizes.blocks * sizes.keys * width,
            # The widest moment is in the gated MLP: two of its products, one of them before and after the LoRA is
            # added; and on `hidden` channels the residual, the normed input, and what is not given up yet.
            activations=width * (3 * sizes.intermediate + 6 * sizes.hidden),
            logits=10 * sizes.vocabulary,
            # A boolean, and what is added to the scores: repeated on a GPU for each query head that shares keys.
            mask=1 + width * max(1, sizes.heads // sizes.key_heads),
        )

    def node(self, slots: int) -> int:
        """Bytes of a node in a decode pass over so many slots."""
        return self.activations + self.logits + self.mask * slots

    def one_prompt(self, longest: int, nodes: int) -> int:
        """Bytes of the larger pass over one prompt: its prefill, or so many of its nodes at most."""
        return max(longest * self.activations + self.logits, min(longest, nodes) * self.node(longest))


@dataclass(frozen=True)
class CacheCapacity:
    """How a memory budget is divided between the KV cache and the activations of a pass."""

    parallel_prompts: int
    """Prompts whose keys and values are held at the same time; at least 1."""
    slots_per_prompt: int
    """Slots of each cache row: for the prompt and the nodes of its tree."""
    tokens_per_pass: int
    """Tokens that a pass should take at most, padding included."""

    @staticmethod
    def plan(
        token: TokenBytes, prompts: int, longest: int, nodes_per_prompt: int, megabytes: float
    ) -> CacheCapacity:  # fmt: skip
        """Divide `megabytes` (10^6 bytes) for this number of prompts.

        `longest`: tokens of the longest prompt with its longest answer, which is always held, even beyond the budget.
        `nodes_per_prompt`: the most nodes of one prompt in a pass. Activations get what a pass over so many nodes of
        each prompt takes, the rest holds slots.
        """
        budget, nodes = megabytes * 1e6, min(longest, nodes_per_prompt)
        together = max(1, min(prompts, int(budget / (longest * token.kv + nodes * token.node(longest)))))
        # More slots than the longest prompt needs widen the mask as well: both are paid from what is left.
        slots = (budget / together - nodes * token.node(0)) / (token.kv + nodes * token.mask)
        pass_bytes = together * nodes * token.node(max(longest, int(slots)))
        activations = max(token.one_prompt(longest, nodes), min(ACTIVATION_SHARE * budget, pass_bytes))
        held = int(max(0.0, budget - activations) / token.kv)
        parallel = max(1, min(prompts, held // longest))
        slots_per_prompt = max(longest, held // parallel)
        return CacheCapacity(parallel, slots_per_prompt, int(activations / token.node(slots_per_prompt)))
