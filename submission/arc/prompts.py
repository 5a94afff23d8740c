"""Prompts and rows: a task put into the context of a model, to be answered or to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import CHAT16, Ids, Layout, as_ids
from submission.arc.tasks import Grid, Pair, Task


@dataclass(frozen=True, eq=False)
class Prompt:
    """A question to a model: demonstrations and a test input, up to where the answer begins."""

    ids: Ids
    dropped: int
    """Demonstrations left out because the context is too short for them."""


@dataclass(frozen=True, eq=False)
class Row:
    """A sequence to train on. `learn[k]` says that predicting ids[k] counts in the loss."""

    ids: Ids
    learn: NDArray[np.bool_]


def prompt(layout: Layout, demonstrations: Sequence[Pair], query: Grid, limit: int) -> Prompt:
    """Ask for the output of `query`; earliest demonstrations are dropped until at most `limit` tokens are left.

    Cells are never dropped: where the query alone is over the limit, it stands alone, whole.
    """
    end = [as_ids(layout.query_open), layout.rows(query), as_ids(layout.query_to_answer)]
    pairs = _context(layout, demonstrations)
    dropped = _fitting([len(pair) for pair in pairs], limit - len(layout.opening) - sum(map(len, end)))
    return Prompt(np.concatenate([as_ids(layout.opening), *pairs[dropped:], *end]), dropped)


def row(layout: Layout, pairs: Sequence[Pair], limit: int, first_learned: int = 0) -> Row:
    """Train on `pairs`, the last one asked as a test would be; outputs count in the loss from pair `first_learned` on.

    The last pair's answer always counts. Over `limit` tokens the earliest pairs are dropped, never the last, and
    never cells; of the pairs that stay, the first `first_learned` are still left out of the loss.
    """
    *context, last = pairs
    end = [
        as_ids(layout.query_open),
        layout.rows(last.input),
        as_ids(layout.query_to_answer),
        layout.answer(last.output),
    ]
    whole = _context(layout, context)
    dropped = _fitting([len(pair) for pair in whole], limit - len(layout.opening) - sum(map(len, end)))
    ids = np.concatenate([as_ids(layout.opening), *whole[dropped:], *end])
    learn = np.zeros(len(ids), bool)
    at = len(layout.opening)
    for k, (pair, written) in enumerate(zip(context[dropped:], whole[dropped:], strict=True)):
        before = len(layout.input_open) + len(layout.rows(pair.input)) + len(layout.input_to_output)
        output = len(written) - before
        at += len(written)
        learn[at - output : at] = k >= first_learned
    learn[len(ids) - len(end[-1]) :] = True
    return Row(ids, learn)


def padded(layout: Layout, rows: Sequence[Row], multiple: int = 32) -> tuple[Ids, NDArray[np.bool_], Ids]:
    """A batch, padded on the right: ids [batch, length], learn [batch, length], positions [axes, batch, length].

    Lengths are rounded up to a `multiple`: kernels and memory plans are then reused from step to step. Positions run on
    over the padding: one that starts anew means to transformers that another text begins, and costs a mask.
    """
    width = -(-max(len(each.ids) for each in rows) // multiple) * multiple
    ids = np.full((len(rows), width), layout.pad, np.int64)
    learn = np.zeros((len(rows), width), bool)
    where = np.zeros((layout.axes, len(rows), width), np.int64)
    for k, each in enumerate(rows):
        n = len(each.ids)
        ids[k, :n], learn[k, :n], where[:, k, :n] = each.ids, each.learn, layout.where(each.ids)
        where[:, k, n:] = where[:, k, n - 1 : n] + np.arange(1, width - n + 1)
    return ids, learn, where


def task_length(layout: Layout, demonstrations: Sequence[Pair], query: Grid) -> int:
    """Tokens of the whole prompt, nothing dropped: how long, and so how dear, a task is."""
    return len(prompt(layout, demonstrations, query, limit=1 << 30).ids)


def _context(layout: Layout, pairs: Sequence[Pair]) -> list[Ids]:
    closes = [layout.output_close] * (len(pairs) - 1) + [layout.context_close]
    return [_demonstration(layout, pair, close) for pair, close in zip(pairs, closes, strict=False)]


def _demonstration(layout: Layout, pair: Pair, close: tuple[int, ...]) -> Ids:
    return np.concatenate(
        [
            as_ids(layout.input_open),
            layout.rows(pair.input),
            as_ids(layout.input_to_output),
            layout.rows(pair.output),
            as_ids(close),
        ]
    )


def _fitting(lengths: Sequence[int], room: int) -> int:
    """How many of the earliest pieces must go so that the rest fits into `room` tokens."""
    dropped = 0
    while dropped < len(lengths) and sum(lengths[dropped:]) > room:
        dropped += 1
    return dropped


def task_cost(task: Task) -> int:
    """What a task costs to solve, in tokens of its longest prompt: nearly all of the time goes by it."""
    return max(task_length(CHAT16, task.demonstrations, query) for query in task.tests)


def expected_shape(task: Task, query: Grid) -> tuple[int, int]:
    """The size of the answer: as its input, as all outputs, or the mean output, where the demonstrations agree so."""
    shapes = [(pair.input.shape, pair.output.shape) for pair in task.demonstrations]
    if all(before == after for before, after in shapes):
        return query.shape[0], query.shape[1]
    outputs = np.array([after for _, after in shapes])
    height, width = np.ceil(outputs.mean(axis=0)).astype(int)
    return int(height), int(width)
