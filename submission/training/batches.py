"""Training rows drawn from families of pairs, and batches of rows of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row, row
from submission.arc.tasks import Pair
from submission.arc.views import SYMMETRIES, Background, View, recolouring
from submission.training.corpus import Family
from submission.training.rearc import pair_length
from submission.training.rule_augmentation import varied


def rows(
    families: Sequence[Family],
    limit: int,
    rng: np.random.Generator,
    layout: Layout = GRID16,
    first_learned: int = 1,
    new_rules: float = 0.3,
) -> Iterator[Row]:
    """Endless training rows of at most `limit` tokens: 2 to 7 pairs of one family, seen through one random view.

    A share `new_rules` of them follows a new rule besides, see `rules.varied`. Outputs count in the loss from pair
    `first_learned` on. The layout must be one of 16 ids.
    """
    weights = np.array([each.weight for each in families])
    weights /= weights.sum()
    while True:
        family = families[rng.choice(len(families), p=weights)]
        drawn = [family.pairs[k] for k in rng.permutation(len(family.pairs))[: rng.integers(3, 8)]]
        pairs = varied(drawn, rng) if rng.random() < new_rules else drawn
        chosen: list[Pair] = []
        room = limit
        for pair in _seen(pairs, rng):
            if pair_length(pair) <= room:
                room -= pair_length(pair)
                chosen.append(pair)
        if len(chosen) >= 2:
            yield row(layout, chosen, limit, first_learned)


def batches(source: Iterator[Row], tokens: int, rng: np.random.Generator, pool: int = 256) -> Iterator[list[Row]]:
    """Group rows of like length, so that little is padded: each batch is at most `tokens` with its padding."""
    group: list[Row] = []
    while True:
        groups = []
        drawn = sorted([*group, *islice(source, pool)], key=lambda each: len(each.ids))
        group = []
        for each in drawn:
            if group and (len(group) + 1) * (-(-len(each.ids) // 32) * 32) > tokens:
                groups.append(group)
                group = []
            group.append(each)
        yield from (groups[k] for k in rng.permutation(len(groups)))


def _seen(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    background: Background = "permute" if rng.random() < 0.2 else "keep"
    view = View(int(rng.integers(SYMMETRIES)), recolouring(rng, background), ())
    return [Pair(view.see(pair.input), view.see(pair.output)) for pair in pairs]
