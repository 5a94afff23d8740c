"""The speed of the search at real size, without real weights: a random model of an 8B's shape, in NF4, on a script.

    python -m submission bench search --shape 8b --set model.device=cuda

Random weights have flat logits, with which no search can be timed. Here every pass is computed whole, and then the
logits are replaced by what a script says at each place of the answer: sure of most cells, in doubt at some.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bitsandbytes
import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.modeling_outputs import CausalLMOutputWithPast

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, grid
from submission.benchmarks import baselines
from submission.benchmarks.baselines import Work
from submission.benchmarks.search import LANES
from submission.deadline import NEVER
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import TokenForest
from submission.model.loading import compute_dtype, set_compute_dtype, without_cpu_packing

SHAPES = {
    "8b": {"hidden_size": 4096, "intermediate_size": 11520, "num_hidden_layers": 40, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "head_dim": 32},
}  # fmt: skip
"""8b: Mistral-NeMo-Minitron-8B, but for its vocabulary, which is cut to 16 as `pretrain --base` does."""

PROMPT, SIDE, DOUBT_EVERY = 2000, 12, 40
"""Tokens of a prompt; rows and columns of the answer; one cell in so many is in doubt."""

VIEWS = (1, 4, 16)
"""Views that are searched at a time, in turn."""


@dataclass(frozen=True)
class SearchSpeed:
    """One way to search so many views, scores included."""

    way: str
    views: int
    passes: int
    tokens: int
    """Of answers, padding included."""
    prompt_tokens: int
    seconds: float
    prompt_seconds: float
    """Of these, for reading the prompts once; 0 where that is not told apart."""

    @property
    def pass_ms(self) -> float:
        """Milliseconds for a pass over answers."""
        return 1000 * (self.seconds - self.prompt_seconds) / max(1, self.passes)


class Scripted(nn.Module):
    """A model that computes all that it is asked, and then says what the script says."""

    script: Tensor

    def __init__(self, inner: Any, after: int, script: Tensor) -> None:
        """`script` [places, vocabulary] are logits after so many tokens of an answer; prompts have `after` tokens."""
        super().__init__()
        self.inner, self.config, self.after = inner, inner.config, after
        self.register_buffer("script", script)

    def forward(self, input_ids: Tensor, position_ids: Tensor, logits_to_keep: int = 0, **rest: Any) -> Any:
        """Logits [batch, length, vocabulary], the script's."""
        said = self.inner(input_ids=input_ids, position_ids=position_ids, logits_to_keep=logits_to_keep, **rest)
        place = (position_ids[:, -logits_to_keep:] - self.after + 1).clamp(0, len(self.script) - 1)
        return CausalLMOutputWithPast(logits=self.script[place] + 0 * said.logits)


def quantized(shape: str, device: str, dtype: torch.dtype) -> Any:
    """A Llama of this shape with random weights, its blocks in NF4."""
    config = LlamaConfig(
        **SHAPES[shape], vocab_size=16, max_position_embeddings=16384, pad_token_id=CHAT16.pad, bos_token_id=14,
        eos_token_id=15, attn_implementation="sdpa",
    )  # fmt: skip
    with torch.device(device), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name != "lm_head":
            packed = bitsandbytes.nn.Linear4bit(
                module.in_features,
                module.out_features,
                bias=False,
                compute_dtype=dtype,
                quant_type="nf4",
                device="meta",
            )
            packed.weight = bitsandbytes.nn.Params4bit(module.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            model.set_submodule(name, packed.to(device))
    without_cpu_packing(model)
    set_compute_dtype(model, dtype)
    return model.requires_grad_(False).eval()


def script() -> Tensor:
    """Logits for a square answer of random cells; at one cell in `DOUBT_EVERY` two colours are about as likely."""
    rng = np.random.default_rng(0)
    written = CHAT16.answer(grid(rng.integers(0, 10, (SIDE, SIDE))))
    chances = np.full((len(written), 16), 1e-4)
    chances[np.arange(len(written)), written] = 1.0
    for place in range(DOUBT_EVERY // 2, len(written), DOUBT_EVERY):
        if written[place] < 10:
            chances[place, (written[place] + 1) % 10] = 0.7
    return torch.from_numpy(np.log(chances / chances.sum(axis=1, keepdims=True))).float()


def speeds(shape: str, where: str, views: Sequence[int], threshold: float, megabytes: float) -> list[SearchSpeed]:
    """Each way of `race` with so many views at a time."""
    dtype = compute_dtype("auto", where)
    said = script().to(where)
    model = Scripted(quantized(shape, where, dtype), PROMPT, said)
    rng = np.random.default_rng(1)
    measured: list[SearchSpeed] = []
    for number in views:
        prompts = [Prompt(rng.integers(0, 10, PROMPT), 0) for _ in range(number)]
        _ours(model, prompts, threshold, megabytes)  # once, to warm up
        speed, answers = _ours(model, prompts, threshold, megabytes)
        measured.append(speed)
        for way, lanes in (("plain", 1), ("lock-step", LANES)):
            if lanes <= number:
                measured.append(_theirs(model, prompts, answers, threshold, way, lanes))
    return measured


def report(
    shape: str, where: str, views: Sequence[int], threshold: float, megabytes: float
) -> tuple[list[SearchSpeed], str]:
    """The speeds, and what they say as text."""
    measured = speeds(shape, where, views, threshold, megabytes)
    sizes = SHAPES[shape]
    heads = sizes["head_dim"] * (2 * sizes["num_attention_heads"] + 2 * sizes["num_key_value_heads"])
    weights = sizes["num_hidden_layers"] * sizes["hidden_size"] * (heads + 3 * sizes["intermediate_size"])
    return measured, table(measured, weights * 0.5, bandwidth(where))


def _ours(
    model: nn.Module, prompts: Sequence[Prompt], threshold: float, megabytes: float
) -> tuple[SearchSpeed, list[Grid]]:
    forest = TokenForest(model, CHAT16, prompts, megabytes)
    began = _now(model)
    forest.evaluate({k: [()] for k in range(len(prompts))}, NEVER)
    read = _now(model)
    first, rest = range(min(2, len(prompts))), range(2, len(prompts))
    found = threshold_search.search(forest, first, {}, threshold, NEVER)
    answers = [each.answer for each in found[0].proposals]
    threshold_search.search(forest, rest, dict.fromkeys(rest, answers[:2]), threshold, NEVER)
    scoring.score(forest, [answers] * len(prompts), 2, NEVER)
    ended, tokens = _now(model), forest.nodes + forest.padding
    speed = SearchSpeed("ours", len(prompts), forest.passes, tokens, forest.prompt_tokens, ended - began, read - began)
    return speed, answers


def _theirs(
    model: nn.Module, prompts: Sequence[Prompt], answers: Sequence[Grid], threshold: float, way: str, lanes: int
) -> SearchSpeed:
    work = Work()
    began = _now(model)
    for at in range(0, len(prompts), lanes):
        baselines.lock_step(model, CHAT16, prompts[at : at + lanes], threshold, work)
    baselines.scored(model, CHAT16, prompts, [answers] * len(prompts), work)
    return SearchSpeed(way, len(prompts), work.passes, work.tokens, work.prompt_tokens, _now(model) - began, 0.0)


def _now(model: nn.Module) -> float:
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def bandwidth(where: str) -> float:
    """Bytes a second that a large copy moves on this device, read and written."""
    source = torch.zeros(1 << (28 if where == "cuda" else 25), dtype=torch.float32, device=where)
    best = math.inf
    for _ in range(4):
        began = time.perf_counter()
        copied = source.clone()
        copied[0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * source.numel() * 4 / best


def table(measured: Sequence[SearchSpeed], weight_bytes: float, peak: float) -> str:
    """The figures as lines of text; the share is of the weights' bytes each pass reads, in the measured bandwidth."""
    heads = ("views", "passes", "tokens", "prompt", "seconds", "ms/pass", "tok/s", "share")
    lines = [f"{'way':10}" + "".join(f"{head:>9}" for head in heads)]
    for each in measured:
        share = weight_bytes * each.passes / max(each.seconds - each.prompt_seconds, 1e-9) / peak
        rate = each.tokens / max(each.seconds - each.prompt_seconds, 1e-9)
        lines.append(
            f"{each.way:10}{each.views:9}{each.passes:9}{each.tokens:9}{each.prompt_tokens:9}{each.seconds:9.2f}"
            f"{each.pass_ms:9.1f}{rate:9.0f}{share:9.2f}"
        )
    return "\n".join(lines)
