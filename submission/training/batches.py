"""Training rows drawn from families of pairs, in endless padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from submission.arc.layouts import GRID16, NAMED, Ids, Layout
from submission.arc.prompts import Row, padded, row
from submission.arc.tasks import Pair
from submission.arc.views import SYMMETRIES, Background, View, recolouring
from submission.rng import generator
from submission.training.corpus import Family
from submission.training.rearc import pair_length
from submission.training.rule_augmentation import varied
from submission.training.settings import Training

Batch = tuple[Tensor, Tensor, Tensor, int]
"""ids [rows, length], learn [rows, length], positions [axes, rows, length], and the number of tokens but padding."""

Arrays = tuple[Ids, NDArray[np.bool_], Ids, int]
"""A Batch of numpy arrays."""

PERMUTED_BACKGROUND = 0.2
"""Share of the rows in which black is permuted with the other colours."""

POOL = 256
"""Rows that are drawn before they are grouped by length."""


def loader(families: Sequence[Family], settings: Training, step: int) -> Iterator[Batch]:
    """Endless batches for a training that starts at `step`, made by `settings.workers` processes ahead of their use.

    They come as arrays through pipes: tensors would come through shared memory, of which containers have little.
    """
    arrays = DataLoader(
        _Batches(families, settings, step),
        batch_size=None,
        num_workers=settings.workers,
        prefetch_factor=8 if settings.workers else None,
        collate_fn=_unchanged,
    )
    return ((*map(torch.from_numpy, made), tokens) for *made, tokens in arrays)


def _unchanged(batch: Any) -> Any:
    """Instead of DataLoader's own conversion to tensors."""
    return batch


class _Batches(IterableDataset[Arrays]):
    """The batches of one worker; each worker, and each call that starts at another step, draws its own rows."""

    def __init__(self, families: Sequence[Family], settings: Training, step: int) -> None:
        self.families, self.settings, self.step = families, settings, step
        self.layout = NAMED[settings.layout]

    def __iter__(self) -> Iterator[Arrays]:
        worker = get_worker_info()
        s = self.settings
        rng = generator(s.seed, "training", str(self.step), str(worker.id if worker else 0))
        drawn = rows(self.families, s.limit, rng, self.layout, s.first_learned, s.new_rules)
        for group in groups(drawn, s.tokens, rng):
            yield *padded(self.layout, group), sum(len(each.ids) for each in group)


def rows(
    families: Sequence[Family],
    limit: int,
    rng: np.random.Generator,
    layout: Layout = GRID16,
    first_learned: int = 1,
    new_rules: float = 0.3,
) -> Iterator[Row]:
    """Endless training rows of at most `limit` tokens: 2 to 7 pairs of one family, under one random view.

    A share `new_rules` of the rows has its rule changed, see `rule_augmentation.varied`. Outputs count in the loss from
    pair `first_learned` on. The layout must be one of 16 ids.
    """
    weights = np.array([family.weight for family in families])
    weights /= weights.sum()
    while True:
        family = families[rng.choice(len(families), p=weights)]
        drawn = [family.pairs[k] for k in rng.permutation(len(family.pairs))[: rng.integers(3, 8)]]
        pairs = varied(drawn, rng) if rng.random() < new_rules else drawn
        fitting: list[Pair] = []
        tokens_left = limit
        for pair in _under_random_view(pairs, rng):
            if pair_length(pair) <= tokens_left:
                tokens_left -= pair_length(pair)
                fitting.append(pair)
        if len(fitting) >= 2:
            yield row(layout, fitting, limit, first_learned)


def _under_random_view(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    background: Background = "permute" if rng.random() < PERMUTED_BACKGROUND else "keep"
    view = View(int(rng.integers(SYMMETRIES)), recolouring(rng, background), ())
    return [Pair(view.see(pair.input), view.see(pair.output)) for pair in pairs]


def groups(source: Iterator[Row], tokens: int, rng: np.random.Generator, pool: int = POOL) -> Iterator[list[Row]]:
    """Endless groups of rows of like length, in random order: at most `tokens` each, padded to a multiple of 32.

    Rows are sorted by length `pool` at a time; the last, unfinished group of a pool goes into the next.
    """
    group: list[Row] = []
    while True:
        finished = []
        drawn = sorted([*group, *islice(source, pool)], key=lambda each: len(each.ids))
        group = []
        for each in drawn:
            if group and (len(group) + 1) * (-(-len(each.ids) // 32) * 32) > tokens:
                finished.append(group)
                group = []
            group.append(each)
        yield from (finished[k] for k in rng.permutation(len(finished)))
