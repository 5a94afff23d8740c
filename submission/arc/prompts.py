"""Prompts and training rows: a task as token ids of a model, to be answered or to be trained on.

A prompt is the demonstrations and a test input, up to where the answer begins. A row is a prompt with its answer, and
says which tokens count in the loss. Both drop whole demonstrations to fit into the context: the first ones (as the
Architects and NVARC do) or the last ones (as PoE does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.layouts import CHAT16, Ids, Layout, as_ids
from submission.arc.tasks import Grid, Pair, Task
from submission.config import Dropped

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


def prompt(
    layout: Layout, demonstrations: Sequence[Pair], query: Grid, limit: int, dropped: Dropped = "first"
) -> Prompt:
    """Return the prompt for the output of `query`, with as many demonstrations as fit into `limit` tokens.

    Cells are never dropped: a query that is over the limit stands alone and complete.
    """
    end = [as_ids(layout.query_open), layout.grid_ids(query), as_ids(layout.query_to_answer)]
    for number in range(len(demonstrations) + 1):
        context = _context(layout, _kept(demonstrations, number, dropped))
        if sum(map(len, [*context, *end])) <= limit:
            break
    return Prompt(np.concatenate([*context, *end]), number)


def row(layout: Layout, pairs: Sequence[Pair], limit: int, first_learned: int = 0, dropped: Dropped = "first") -> Row:
    """Return a training row: the last of `pairs` is the query with its answer, the others are demonstrations.

    Outputs count in the loss from pair `first_learned` on, the answer always. Over `limit` tokens whole pairs are
    dropped until one is left, and never cells: the first ones, so that the last pair stays the answer, or the last
    ones, so that the one before becomes it. Of the pairs that remain, the first `first_learned` do not count.
    """
    for number in range(len(pairs)):
        made = _whole_row(layout, _kept(pairs, number, dropped), first_learned)
        if len(made.ids) <= limit:
            break
    return made


def _whole_row(layout: Layout, pairs: Sequence[Pair], first_learned: int) -> Row:
    """Return the row of all these pairs, however long it is."""
    *context, last = pairs
    opening, *whole = _context(layout, context)
    answer = layout.answer(last.output)
    end = [as_ids(layout.query_open), layout.grid_ids(last.input), as_ids(layout.query_to_answer), answer]
    ids = np.concatenate([opening, *whole, *end])
    learn = np.zeros(len(ids), bool)
    at = len(opening)
    for k, (pair, written) in enumerate(zip(context, whole, strict=True)):
        unlearned = len(layout.input_open) + len(layout.grid_ids(pair.input)) + len(layout.input_to_output)
        learn[at + unlearned - layout.learned_before_output : at + len(written)] = k >= first_learned
        at += len(written)
    learn[len(ids) - len(answer) - layout.learned_before_answer :] = True
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


def _kept(pairs: Sequence[Pair], number: int, dropped: Dropped) -> Sequence[Pair]:
    """Return the pairs without the first or the last `number`."""
    return pairs[number:] if dropped == "first" else pairs[: len(pairs) - number]


def _context(layout: Layout, pairs: Sequence[Pair]) -> list[Ids]:
    """Return the ids of the opening, and of each demonstration with what stands between it and the next one."""
    opening = layout.opening if pairs else layout.opening_alone or layout.opening
    closes = [layout.output_close] * (len(pairs) - 1) + [layout.context_close]
    return [as_ids(opening), *(_demonstration(layout, *each) for each in zip(pairs, closes, strict=False))]


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
