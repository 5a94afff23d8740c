"""A causal language model that writes programs for a task: prompt, sampling side by side, budget forcing.

One path for all checkpoints that bring a tokenizer. The decoding loop is our own, since it has to look at the clock
and to put tokens in the model's place at every step; with nothing forced it is `generate`, token for token.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache

from submission.arc.tasks import Task
from submission.config import Model
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.model.loading import load_base, read_tokenizer, resolve_device
from submission.programs.induction.budget_forcing import Draft, Effort, Tokens
from submission.programs.induction.dialogue import Cells, asked

logger = logging.getLogger(__name__)

CHUNK = 512
"""Tokens of a prompt read at once: between two chunks the clock is looked at."""


@dataclass(frozen=True)
class Writing:
    """How programs are asked for and sampled. BARC: temperature 0.8, prompts of at most 8000 tokens."""

    cells: Cells = "colours"
    """How a cell is written: the name of its colour, or its digit."""
    temperature: float = 0.8
    """Of the samples; 0 takes the likeliest token, and every text is the same."""
    prompt: int = 8000
    """Tokens of a prompt; a longer one loses its last demonstrations, never cells."""
    cached: int = 65_536
    """Tokens whose keys and values are kept for the texts that are written side by side (an 8B with grouped
    attention takes 128 KiB for each in 16 bits)."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.prompt < 1 or self.cached < 1:
            raise BadInput("writing: temperature must not be negative, prompt and cached must be positive")


@dataclass(frozen=True, eq=False)
class _Prefix:
    """A prompt that has been read."""

    ids: list[int]
    cache: DynamicCache
    logits: Tensor  # [1, vocabulary], of the first token to be written


class LanguageWriter:
    """A checkpoint and its tokenizer. Implements `induction.Writer`."""

    def __init__(self, path: Path, settings: Model, writing: Writing, effort: Effort) -> None:
        """Load a checkpoint folder; BadInput where it is none, or has no tokenizer."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.writing = writing
        self.effort = effort
        self.device = resolve_device(settings.device)
        self.model = load_base(path, settings, self.device).eval()
        try:
            self.tokenizer = read_tokenizer(path)
        except ValueError as error:
            raise BadInput(f"{path}: cannot write programs: {error}") from error
        ends = self.model.generation_config.eos_token_id
        stops = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self.tokens = Tokens(
            lambda text: list(self.tokenizer.encode(text, add_special_tokens=False)),
            lambda ids: str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)),
            frozenset(stops),
        )
        self._prefix: _Prefix | None = None

    def write(self, task: Task, count: int, until: Deadline, seed: int) -> list[str]:
        """So many texts, fewer where the deadline comes first: what a cut text has is kept."""
        prompt = self.prompt(task)
        prefix = self._read(prompt, until) if prompt is not None else None
        if prefix is None:
            return []
        rng = torch.Generator(self.device).manual_seed(seed)
        longest = len(prefix.ids) + self.effort.reasoning + self.effort.program
        abreast = max(1, self.writing.cached // longest)
        drafts: list[Draft] = []
        while len(drafts) < count and not until.passed():
            drafts += self._continue(prefix, min(abreast, count - len(drafts)), until, rng)
        return [str(self.tokenizer.decode(each.ids, skip_special_tokens=True)) for each in drafts]

    def prompt(self, task: Task) -> list[int] | None:
        """The dialogue's ids, with as many demonstrations as there is room for; None if there is none for one."""
        for shown in range(len(task.demonstrations), 0, -1):
            ids = self._dialogue(task, shown)
            if len(ids) <= self.writing.prompt:
                return ids
        logger.warning("task %s: not one demonstration fits into %d tokens", task.id, self.writing.prompt)
        return None

    def _dialogue(self, task: Task, shown: int) -> list[int]:
        messages = asked(task, self.writing.cells, shown)
        if not self.tokenizer.chat_template:
            return list(self.tokenizer.encode("\n\n".join(each.content for each in messages) + "\n\n"))
        turns = [{"role": each.role, "content": each.content} for each in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.tokens.encode(text)

    @torch.inference_mode()
    def _read(self, ids: list[int], until: Deadline) -> _Prefix | None:
        """Read a prompt, or take it as it was last read; None where the deadline comes first."""
        if self._prefix is not None and self._prefix.ids == ids:
            return self._prefix
        self._prefix = None
        cache = DynamicCache()
        whole = torch.tensor([ids], device=self.device)
        for at in range(0, len(ids), CHUNK):
            if until.passed():
                return None
            logits = self._step(whole[:, at : at + CHUNK], cache)
        self._prefix = _Prefix(ids, cache, logits)
        return self._prefix

    @torch.inference_mode()
    def _continue(self, prefix: _Prefix, count: int, until: Deadline, rng: torch.Generator) -> list[Draft]:
        """Write texts side by side, a token of each a step; what ends early leaves the batch."""
        drafts = [Draft(self.effort, self.tokens) for _ in range(count)]
        live: Sequence[Draft] = drafts
        cache = copy.deepcopy(prefix.cache)
        cache.batch_repeat_interleave(count)
        logits = prefix.logits.expand(count, -1)
        began, steps = time.monotonic(), 0
        while not until.passed():
            if steps and until.left() < (time.monotonic() - began) / steps * self.effort.program:
                # A program that is begun in time is worth more than the end of a thought.
                for draft in live:
                    draft.conclude()
            proposed = choose(logits, self.writing.temperature, rng).tolist()
            taken = [draft.take(token) for draft, token in zip(live, proposed, strict=True)]
            rows = [k for k, draft in enumerate(live) if not draft.done]
            if not rows:
                break
            if len(rows) < len(live):
                live = [live[k] for k in rows]
                cache.batch_select_indices(torch.tensor(rows, device=self.device))
            logits = self._step(torch.tensor([[taken[k]] for k in rows], device=self.device), cache)
            steps += 1
        return drafts

    def _step(self, ids: Tensor, cache: DynamicCache) -> Tensor:
        """Logits [batch, vocabulary] after these ids [batch, length], which the cache then holds too."""
        read = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        last: Tensor = read.logits[:, -1]
        return last


def choose(logits: Tensor, temperature: float, rng: torch.Generator) -> Tensor:
    """A token for each row [batch, vocabulary]: the likeliest at temperature 0, a sample otherwise."""
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=rng)[:, 0]
