"""GridLM: the embedded model's architecture, the stock text decoder of Qwen3-VL with a head for 16 tokens.

Qwen3-VL's rotary positions have three axes, interleaved over the frequencies; here they are (segment, row,
column), see `layouts.Layout.where`. transformers has no class with this decoder and a language head, hence this one.
`generate()` would lose the grid axes: decoding is done by `inference.token_tree`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLPreTrainedModel, Qwen3VLTextModel

from submission.arc.layouts import GRID16, Layout
from submission.model.kv_cache import CACHE

HEAD = 64
"""Channels of one attention head."""


class GridLM(Qwen3VLPreTrainedModel):
    """The decoder and its language head; `position_ids` are int64 [3, batch, length] or [batch, length]."""

    config_class = Qwen3VLTextConfig
    base_model_prefix = "model"
    _tied_weights_keys = None

    def __init__(self, config: Qwen3VLTextConfig) -> None:
        super().__init__(config)
        self.model = Qwen3VLTextModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **rest: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [batch, length, vocabulary]; of the last `logits_to_keep` tokens only, where that is not 0.

        The KV cache comes by either of its names, see `kv_cache.CACHE`.
        """
        cache = past_key_values if cache is None else cache
        if position_ids is not None and position_ids.ndim == 3 and len(position_ids) == 3:
            # A fourth, leading axis of running numbers: without it transformers 5.0 takes the segments for packed
            # sequences, and masks them from each other.
            past = cache.get_seq_length() if cache is not None else 0
            line = torch.arange(past, past + position_ids.shape[-1], device=position_ids.device)
            position_ids = torch.cat([line.expand(1, *position_ids.shape[1:]), position_ids])
        decoded = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            **{CACHE: cache},
            **rest,
        )
        hidden = decoded.last_hidden_state[:, -logits_to_keep:] if logits_to_keep else decoded.last_hidden_state
        return CausalLMOutputWithPast(logits=self.lm_head(hidden), **{CACHE: getattr(decoded, CACHE)})


def configuration(hidden: int, layers: int, layout: Layout = GRID16) -> Qwen3VLTextConfig:
    """The configuration of a GridLM; `hidden` is a multiple of 64, so that weights fill whole NF4 blocks of 64.

    Rotary base: 1000 gives every axis fast and slow frequencies for distances of 1 to 30 cells; 10000 for the longer
    distances of running numbers (layouts with positions "line").
    """
    theta = 1000.0 if layout.positions == "grid" else 10000.0
    return Qwen3VLTextConfig(
        hidden_size=hidden,
        intermediate_size=-(-hidden * 11 // 4 // 64) * 64,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        num_key_value_heads=hidden // HEAD,
        head_dim=HEAD,
        vocab_size=16,
        pad_token_id=GRID16.pad,
        bos_token_id=GRID16.input_open[0],
        eos_token_id=GRID16.answer_close[-1],
        max_position_embeddings=16384,
        rope_parameters={"rope_type": "default", "rope_theta": theta, "mrope_section": [12, 10, 10]},
        arc_layout=layout.name,
    )


def fresh(hidden: int, layers: int, seed: int, layout: Layout = GRID16) -> GridLM:
    """A GridLM with random weights that depend on the seed alone; torch's global generator keeps its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GridLM(configuration(hidden, layers, layout))
