"""Prompts and training rows: a task as token ids of a model, to be answered or to be trained on.

A prompt is the demonstrations and a test input, up to where the answer begins. A row is a prompt with its answer, and
says which tokens count in the loss. Both drop demonstrations, the earliest first, to fit into the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import CHAT16, Ids, Layout, as_ids
from submission.arc.tasks import Grid, Pair, Task

NO_LIMIT = 1 << 30
"""As a limit of tokens: nothing is dropped."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Demonstrations and a test input, up to where the answer begins."""

    ids: Ids
    """Token ids: int64 [length]."""
    dropped: int
    """Demonstrations that were dropped because the context is too short."""


@dataclass(frozen=True, eq=False)
class Row:
    """A training row: one sequence of tokens."""

    ids: Ids
    """Token ids: int64 [length]."""
    learn: NDArray[np.bool_]
    """[length]: whether the prediction of ids[k] from ids[:k] counts in the loss."""


def prompt(layout: Layout, demonstrations: Sequence[Pair], query: Grid, limit: int) -> Prompt:
    """Return the prompt for the output of `query`, with the latest demonstrations that fit into `limit` tokens.

    Cells are never dropped: a query that is over the limit stands alone and complete.
    """
    end = [as_ids(layout.query_open), layout.grid_ids(query), as_ids(layout.query_to_answer)]
    pairs = _context(layout, demonstrations)
    dropped = _dropped([len(pair) for pair in pairs], limit - len(layout.opening) - sum(map(len, end)))
    return Prompt(np.concatenate([as_ids(layout.opening), *pairs[dropped:], *end]), dropped)


def row(layout: Layout, pairs: Sequence[Pair], limit: int, first_learned: int = 0) -> Row:
    """Return a training row: the last of `pairs` is the query with its answer, the others are demonstrations.

    Outputs count in the loss from pair `first_learned` on, the answer always. Over `limit` tokens the earliest
    demonstrations are dropped, never the last pair, and never cells; of the pairs that remain, the first
    `first_learned` do not count.
    """
    *context, last = pairs
    end = [
        as_ids(layout.query_open),
        layout.grid_ids(last.input),
        as_ids(layout.query_to_answer),
        layout.answer(last.output),
    ]
    whole = _context(layout, context)
    dropped = _dropped([len(pair) for pair in whole], limit - len(layout.opening) - sum(map(len, end)))
    ids = np.concatenate([as_ids(layout.opening), *whole[dropped:], *end])
    learn = np.zeros(len(ids), bool)
    at = len(layout.opening)
    for k, (pair, written) in enumerate(zip(context[dropped:], whole[dropped:], strict=True)):
        before = len(layout.input_open) + len(layout.grid_ids(pair.input)) + len(layout.input_to_output)
        output = len(written) - before
        at += len(written)
        learn[at - output : at] = k >= first_learned
    learn[len(ids) - len(end[-1]) :] = True
    return Row(ids, learn)


def padded(layout: Layout, rows: Sequence[Row], multiple: int = 32) -> tuple[Ids, NDArray[np.bool_], Ids]:
    """Return a batch, padded on the right: ids [batch, length], learn [batch, length], positions [axes, batch, length].

    The length is rounded up to a `multiple`, so that kernels and memory plans are reused from step to step. Positions
    continue over the padding: transformers takes positions that start anew for another packed text, which would need a
    mask.
    """
    width = -(-max(len(each.ids) for each in rows) // multiple) * multiple
    ids = np.full((len(rows), width), layout.pad, np.int64)
    learn = np.zeros((len(rows), width), bool)
    positions = np.zeros((layout.axes, len(rows), width), np.int64)
    for k, each in enumerate(rows):
        n = len(each.ids)
        ids[k, :n], learn[k, :n], positions[:, k, :n] = each.ids, each.learn, layout.positions_of(each.ids)
        positions[:, k, n:] = positions[:, k, n - 1 : n] + np.arange(1, width - n + 1)
    return ids, learn, positions


def _context(layout: Layout, pairs: Sequence[Pair]) -> list[Ids]:
    """Return the ids of each demonstration, with what stands between it and the next one."""
    closes = [layout.output_close] * (len(pairs) - 1) + [layout.context_close]
    return [_demonstration(layout, pair, close) for pair, close in zip(pairs, closes, strict=False)]


def _demonstration(layout: Layout, pair: Pair, close: tuple[int, ...]) -> Ids:
    """Return the ids of one demonstration."""
    return np.concatenate(
        [
            as_ids(layout.input_open),
            layout.grid_ids(pair.input),
            as_ids(layout.input_to_output),
            layout.grid_ids(pair.output),
            as_ids(close),
        ]
    )


def _dropped(lengths: Sequence[int], max_tokens: int) -> int:
    """Return how many of the earliest pieces must be dropped so that the rest has at most `max_tokens` tokens."""
    dropped = 0
    while dropped < len(lengths) and sum(lengths[dropped:]) > max_tokens:
        dropped += 1
    return dropped


# -- sizes of a task --------------------------------------------------------------------------------------------


def task_length(layout: Layout, demonstrations: Sequence[Pair], query: Grid) -> int:
    """Return the tokens of the whole prompt, nothing dropped."""
    return len(prompt(layout, demonstrations, query, NO_LIMIT).ids)


def task_cost(task: Task) -> int:
    """Return the relative cost of solving a task: the tokens of its longest prompt, in the layout chat16.

    Runs solve the cheapest tasks first and share their time by this number; nearly all of the time goes by it.
    """
    return max(task_length(CHAT16, task.demonstrations, query) for query in task.tests)


def expected_shape(task: Task, query: Grid) -> tuple[int, int]:
    """Guess height and width of the output for a test input.

    The size of the input, if that holds in all demonstrations; otherwise the mean of their outputs, rounded up.
    """
    shapes = [(pair.input.shape, pair.output.shape) for pair in task.demonstrations]
    if all(before == after for before, after in shapes):
        return query.shape[0], query.shape[1]
    outputs = np.array([after for _, after in shapes])
    height, width = np.ceil(outputs.mean(axis=0)).astype(int)
    return int(height), int(width)
