"""The speed of the search at an 8B's size, without real weights: a model with random weights in NF4, scripted logits.

    python -m submission bench search --shape 8b --set model.device=cuda

With the flat logits of random weights no search can be timed. Here every forward pass is computed in full, and its
logits are then replaced by scripted ones: certain of most cells of the answer, undecided at some.
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

from submission.arc.layouts import CHAT16, Layout
from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, grid
from submission.benchmarks import baselines
from submission.benchmarks.baselines import Work
from submission.benchmarks.search import BASELINES
from submission.deadline import NEVER
from submission.inference import scoring, threshold_search
from submission.inference.token_tree import TokenForest
from submission.model.loading import compute_dtype
from submission.model.modules import set_compute_dtype, without_cpu_packing

SHAPES = {
    "8b": {"hidden_size": 4096, "intermediate_size": 11520, "num_hidden_layers": 40, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "head_dim": 32},
}  # fmt: skip
"""8b: Mistral-NeMo-Minitron-8B with a vocabulary of 16 ids, as `pretrain --base` leaves it; tiny: for tests."""

PROMPT, SIDE, DOUBT_EVERY = 2000, 12, 40
"""Tokens of a prompt; grid rows and columns of the answer; one token in DOUBT_EVERY is undecided."""

VIEWS = (1, 4, 16)
"""Numbers of views that are measured."""


@dataclass(frozen=True)
class SearchSpeed:
    """What one method took to search and score a number of views."""

    method: str
    """"ours", "depth-first" or "lock-step", see `search`."""
    views: int
    passes: int
    tokens: int
    """Answer tokens, padding included."""
    prompt_tokens: int
    seconds: float
    prefill_seconds: float
    """Seconds of these for the prefill; 0 for methods whose prefill is not measured separately."""

    @property
    def pass_ms(self) -> float:
        """Milliseconds of a forward pass over answer tokens."""
        return 1000 * (self.seconds - self.prefill_seconds) / max(1, self.passes)


class Scripted(nn.Module):
    """A model that computes every forward pass, and returns scripted logits."""

    script: Tensor

    def __init__(self, inner: Any, prompt_tokens: int, script: Tensor) -> None:
        """script [answer tokens, vocabulary]: row k has the logits of answer token k, whatever the tokens before."""
        super().__init__()
        self.inner, self.config, self.prompt_tokens = inner, inner.config, prompt_tokens
        self.register_buffer("script", script)

    def forward(self, input_ids: Tensor, position_ids: Tensor, logits_to_keep: int = 0, **rest: Any) -> Any:
        """Return the scripted logits [batch, length, vocabulary]."""
        computed = self.inner(input_ids=input_ids, position_ids=position_ids, logits_to_keep=logits_to_keep, **rest)
        next_token = position_ids[:, -logits_to_keep:] - self.prompt_tokens + 1
        scripted = self.script[next_token.clamp(0, len(self.script) - 1)]
        # Added, so that the computation cannot be skipped.
        return CausalLMOutputWithPast(logits=scripted + 0 * computed.logits)


def quantized(shape: str, device: str, dtype: torch.dtype) -> Any:
    """Return a Llama of this shape with random weights, its blocks in NF4."""
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
    """Return the logits of each token of a square answer with random cells: [answer tokens, vocabulary]."""
    return script_of(CHAT16, 16, SIDE, DOUBT_EVERY)


def script_of(layout: Layout, vocabulary: int, side: int, doubt_every: int) -> Tensor:
    """Return the logits [answer tokens, vocabulary] of a square answer with random cells, of `side` rows and columns.

    At one token in `doubt_every` a second colour is about as likely as the first.
    """
    rng = np.random.default_rng(0)
    answer = layout.answer(grid(rng.integers(0, 10, (side, side))))
    chances = np.full((len(answer), vocabulary), 1.6e-3 / vocabulary)
    chances[np.arange(len(answer)), answer] = 1.0
    for k in range(doubt_every // 2, len(answer), doubt_every):
        if answer[k] in layout.cells:
            chances[k, layout.cells[(layout.cells.index(answer[k]) + 1) % 10]] = 0.7
    return torch.from_numpy(np.log(chances / chances.sum(axis=1, keepdims=True))).float()


def speeds(shape: str, device: str, views: Sequence[int], threshold: float, megabytes: float) -> list[SearchSpeed]:
    """Measure ours and the published methods for each number of views; `megabytes` of KV cache for ours."""
    dtype = compute_dtype("auto", device)
    scripted = script().to(device)
    model = Scripted(quantized(shape, device, dtype), PROMPT, scripted)
    rng = np.random.default_rng(1)
    measured: list[SearchSpeed] = []
    for number in views:
        prompts = [Prompt(rng.integers(0, 10, PROMPT), 0) for _ in range(number)]
        _ours(model, prompts, threshold, megabytes)  # warm-up
        speed, answers = _ours(model, prompts, threshold, megabytes)
        measured.append(speed)
        for method, lanes in BASELINES.items():
            if lanes <= number:
                measured.append(_baseline(model, prompts, answers, threshold, method, lanes))
    return measured


def report(
    shape: str, device: str, views: Sequence[int], threshold: float, megabytes: float
) -> tuple[list[SearchSpeed], str]:
    """Return the speeds, and the same as text."""
    measured = speeds(shape, device, views, threshold, megabytes)
    sizes = SHAPES[shape]
    heads = sizes["head_dim"] * (2 * sizes["num_attention_heads"] + 2 * sizes["num_key_value_heads"])
    weights = sizes["num_hidden_layers"] * sizes["hidden_size"] * (heads + 3 * sizes["intermediate_size"])
    return measured, table(measured, weights * 0.5, bandwidth(device))


def _ours(
    model: nn.Module, prompts: Sequence[Prompt], threshold: float, megabytes: float
) -> tuple[SearchSpeed, list[Grid]]:
    """Search and score as `search_views` does; return the speed and the answers of the first view."""
    forest = TokenForest(model, CHAT16, prompts, megabytes)
    began = _now(model)
    forest.evaluate({k: [()] for k in range(len(prompts))}, NEVER)
    prefilled = _now(model)
    first, rest = range(min(2, len(prompts))), range(2, len(prompts))
    found = threshold_search.search(forest, first, {}, threshold, NEVER)
    answers = [each.answer for each in found[0].proposals]
    threshold_search.search(forest, rest, dict.fromkeys(rest, answers[:2]), threshold, NEVER)
    scoring.score(forest, [answers] * len(prompts), 2, NEVER)
    ended, tokens = _now(model), forest.nodes + forest.padding
    seconds, prefill = ended - began, prefilled - began
    return SearchSpeed("ours", len(prompts), forest.passes, tokens, forest.prompt_tokens, seconds, prefill), answers


def _baseline(
    model: nn.Module, prompts: Sequence[Prompt], answers: Sequence[Grid], threshold: float, method: str, lanes: int
) -> SearchSpeed:
    """Search and score with a published method, `lanes` views at a time."""
    work = Work()
    began = _now(model)
    for at in range(0, len(prompts), lanes):
        baselines.lock_step(model, CHAT16, prompts[at : at + lanes], threshold, work)
    baselines.scored(model, CHAT16, prompts, [answers] * len(prompts), work)
    return SearchSpeed(method, len(prompts), work.passes, work.tokens, work.prompt_tokens, _now(model) - began, 0.0)


def _now(model: nn.Module) -> float:
    """Return the clock in seconds, after the GPU has finished its queue."""
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def bandwidth(device: str) -> float:
    """Return the bytes per second that a large copy on this device reads and writes."""
    source = torch.zeros(1 << (28 if device == "cuda" else 25), dtype=torch.float32, device=device)
    best = math.inf
    for _ in range(4):
        began = time.perf_counter()
        copied = source.clone()
        copied[0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * source.numel() * 4 / best


def table(measured: Sequence[SearchSpeed], weight_bytes: float, peak: float) -> str:
    """Return the speeds as a table.

    share: the bytes of the weights, read once per pass, as a part of what the bandwidth `peak` (bytes per second) moves
    in that time.
    """
    heads = ("views", "passes", "tokens", "prompt", "seconds", "ms/pass", "tok/s", "share")
    lines = [f"{'method':12}" + "".join(f"{head:>9}" for head in heads)]
    for each in measured:
        seconds = max(each.seconds - each.prefill_seconds, 1e-9)
        share = weight_bytes * each.passes / seconds / peak
        lines.append(
            f"{each.method:12}{each.views:9}{each.passes:9}{each.tokens:9}{each.prompt_tokens:9}{each.seconds:9.2f}"
            f"{each.pass_ms:9.1f}{each.tokens / seconds:9.0f}{share:9.2f}"
        )
    return "\n".join(lines)
