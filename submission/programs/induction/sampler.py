"""A causal language model that writes programs for a task: prefill, batched sampling, budget forcing.

Works for every checkpoint that has a tokenizer. The decoding loop is our own because it checks the deadline and forces
tokens at every step; without forced tokens it gives exactly the tokens of `generate`.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerFast

from submission.arc.tasks import Task
from submission.checkpoint.tokenizer_files import Words, chat_template, read_words
from submission.config import Model
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.model.kv_cache import CACHE
from submission.model.loading import load_base, resolve_device
from submission.programs.induction.budget_forcing import Codec, Completion, TokenBudget
from submission.programs.induction.dialogue import CellFormat, WriterFormat, messages

logger = logging.getLogger(__name__)

CHUNK = 512
"""Prompt tokens per prefill pass; the deadline is checked between two passes."""


@dataclass(frozen=True)
class Sampling:
    """How programs are prompted for and sampled. BARC: temperature 0.8, prompts of at most 8000 tokens."""

    form: WriterFormat = "plain"
    """How a program is asked for, see `dialogue`."""
    cells: CellFormat = "colours"
    """How a cell is written: the name of its colour, or its digit (in the format plain)."""
    temperature: float = 0.8
    """Sampling temperature; 0 takes the most likely token, so that all texts are the same."""
    prompt_tokens: int = 8000
    """Longest prompt; from a longer one the last demonstrations are dropped, never cells."""
    cache_tokens: int = 65_536
    """Tokens in the KV cache of all texts of a batch (an 8B with grouped attention: 128 KiB a token in 16 bits)."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.prompt_tokens < 1 or self.cache_tokens < 1:
            raise BadInput(
                "sampling: temperature must not be negative; prompt_tokens and cache_tokens must be positive"
            )


@dataclass(frozen=True, eq=False)
class _Prefix:
    """A prompt after its prefill."""

    ids: list[int]
    cache: DynamicCache
    logits: Tensor
    """[1, vocabulary], of the first token of the completion."""


class LanguageWriter:
    """A checkpoint and its tokenizer; implements `induction.Writer`."""

    def __init__(self, path: Path, settings: Model, sampling: Sampling, budget: TokenBudget) -> None:
        """Load a checkpoint folder; BadInput if it is none, or has no tokenizer."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.sampling = sampling
        self.budget = budget
        self.device = resolve_device(settings.device)
        self.model = load_base(path, settings, self.device).eval()
        self.words = read_words(path)
        self._template = chat_template(path)
        ends = self.model.generation_config.eos_token_id
        stops = {self.words.eos, *(ends if isinstance(ends, list) else [ends])} - {None}
        self.codec = Codec(self._known(self.words.encode), self.words.decode, frozenset(stops))
        self._prefix: _Prefix | None = None

    def write(self, task: Task, count: int, until: Deadline, seed: int) -> list[str]:
        """Return `count` texts, fewer if the deadline comes first; a text cut by the deadline is returned as it is."""
        prompt = self.prompt(task)
        prefix = self._prefill(prompt, until) if prompt is not None else None
        if prefix is None:
            return []
        rng = torch.Generator(self.device).manual_seed(seed)
        longest = len(prefix.ids) + self.budget.reasoning + self.budget.program
        batch = max(1, self.sampling.cache_tokens // longest)
        completions: list[Completion] = []
        while len(completions) < count and not until.passed():
            completions += self._decode(prefix, min(batch, count - len(completions)), until, rng)
        return [self.words.decode(each.ids, skip_special=True) for each in completions]

    def prompt(self, task: Task) -> list[int] | None:
        """Return the prompt's ids, with as many demonstrations as fit; None if not one fits."""
        for shown in range(len(task.demonstrations), 0, -1):
            ids = self._chat_ids(task, shown)
            if len(ids) <= self.sampling.prompt_tokens:
                return ids
        logger.warning("task %s: not one demonstration fits into %d tokens", task.id, self.sampling.prompt_tokens)
        return None

    def _chat_ids(self, task: Task, shown: int) -> list[int]:
        """Return the ids of the messages with the first `shown` demonstrations; plain text without a chat template."""
        chat = messages(task, self.sampling.cells, shown, self.sampling.form)
        if not self._template:
            plain = "\n\n".join(each.content for each in chat) + "\n\n"
            return self._known(self.words.encode_whole)(plain)
        turns = [{"role": each.role, "content": each.content} for each in chat]
        return self.codec.encode(chat_text(self.words, self._template, turns))

    def _known(self, encode: Callable[[str], list[int]]) -> Callable[[str], list[int]]:
        """The function `encode`, with BadInput for ids that the model has no embeddings for."""
        rows = self.model.get_input_embeddings().num_embeddings

        def encoded(text: str) -> list[int]:
            ids = encode(text)
            self.words.require_rows(ids, rows)
            return ids

        return encoded

    @torch.inference_mode()
    def _prefill(self, ids: list[int], until: Deadline) -> _Prefix | None:
        """Prefill a prompt, or reuse the last one if it is the same; None if the deadline comes first."""
        if self._prefix is not None and self._prefix.ids == ids:
            return self._prefix
        self._prefix = None
        cache = DynamicCache()
        whole = torch.tensor([ids], device=self.device)
        for at in range(0, len(ids), CHUNK):
            if until.passed():
                return None
            logits = self._forward(whole[:, at : at + CHUNK], cache)
        self._prefix = _Prefix(ids, cache, logits)
        return self._prefix

    @torch.inference_mode()
    def _decode(self, prefix: _Prefix, count: int, until: Deadline, rng: torch.Generator) -> list[Completion]:
        """Sample `count` completions as one batch; a completion that ends leaves the batch."""
        completions = [Completion(self.budget, self.codec) for _ in range(count)]
        live: Sequence[Completion] = completions
        cache = copy.deepcopy(prefix.cache)
        cache.batch_repeat_interleave(count)
        logits = prefix.logits.expand(count, -1)
        began, steps = time.monotonic(), 0
        while not until.passed():
            if steps and until.left() < (time.monotonic() - began) / steps * self.budget.program:
                # At this pace a program just fits: begin it, reasoning finished or not.
                for each in live:
                    each.start_program()
            proposed = sample_tokens(logits, self.sampling.temperature, rng).tolist()
            taken = [each.take(token) for each, token in zip(live, proposed, strict=True)]
            kept = [k for k, each in enumerate(live) if not each.done]
            if not kept:
                break
            if len(kept) < len(live):
                live = [live[k] for k in kept]
                cache.batch_select_indices(torch.tensor(kept, device=self.device))
            logits = self._forward(torch.tensor([[taken[k]] for k in kept], device=self.device), cache)
            steps += 1
        return completions

    def _forward(self, ids: Tensor, cache: DynamicCache) -> Tensor:
        """Return the logits [batch, vocabulary] after these ids [batch, length]; the ids are added to the cache."""
        read = self.model(input_ids=ids, use_cache=True, logits_to_keep=1, **{CACHE: cache})
        last: Tensor = read.logits[:, -1]
        return last


def chat_text(words: Words, template: str, turns: Sequence[Mapping[str, str]]) -> str:
    """The turns of a chat as text, up to where the assistant begins; transformers renders the template.

    BadInput where the template cannot be rendered.
    """
    named = {"bos_token": words.word(words.bos), "eos_token": words.word(words.eos), "pad_token": words.word(words.pad)}
    renderer = PreTrainedTokenizerFast(
        tokenizer_object=words.tokenizer, **{key: word for key, word in named.items() if word is not None}
    )
    try:
        text = renderer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # The template is a program of the checkpoint's, which may raise anything.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadInput(f"{words.folder}: its chat template cannot be used ({reason})") from error
    return str(text)


def sample_tokens(logits: Tensor, temperature: float, rng: torch.Generator) -> Tensor:
    """Sample one token per text, the most likely at temperature 0: [batch, vocabulary] -> [batch]."""
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=rng)[:, 0]
