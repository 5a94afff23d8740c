"""Which families to train on: quality, then difficulty, then diversity, after s1K (arXiv 2501.19393, section 2.2).

Quality: families that contradict themselves, or whose answer never changes, go. Difficulty: families that a first
model already answers go, the others are drawn in proportion to its loss. Diversity: families are grouped by what
their rule does to sizes and colours, and no group is drawn more than the square root of its number allows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from submission.arc.layouts import NAMED, Layout
from submission.arc.tasks import grid_key
from submission.errors import BadInput
from submission.model.grid_lm import GridLM
from submission.rng import generator
from submission.training.batches import rows
from submission.training.corpus import Corpus, Family
from submission.training.loop import examine

ROWS_EACH = 2
"""Rows of each family that a first model is measured on."""

SOLVED = 0.01
"""Nats a token: below, a family has nothing left to teach."""

HARDEST = 1.0
"""Nats a token that count at most: beyond, a family may be beyond reach, not only hard."""


def narrowed(data: Corpus, first: Path, limit: int) -> Corpus:
    """The corpus with the families that are worth training on, by what the GridLM in the folder `first` finds hard."""
    if not (first / "config.json").is_file():
        raise BadInput(f"{first}: there is no config.json, so this is not a model folder")
    model = GridLM.from_pretrained(first, dtype=torch.float32)
    layout = NAMED[model.config.arc_layout]
    return replace(data, train=selected(data.train, losses(model, layout, data.train, limit)))


def losses(model: nn.Module, layout: Layout, families: Sequence[Family], limit: int) -> list[float]:
    """Nats a token of the model on each family, on all outputs but the first of a few rows."""
    measured = []
    for family in families:
        rng = generator(0, "selection", family.name)
        some = list(islice(rows([family], limit, rng, layout, new_rules=0.0), ROWS_EACH))
        measured.append(examine(model, some, layout).nats)
    return measured


def selected(families: Sequence[Family], measured: Sequence[float]) -> tuple[Family, ...]:
    """The families worth training on, by the loss on each, with new weights that sum to their number."""
    groups: dict[tuple[str, ...], list[Family]] = defaultdict(list)
    for each, loss in zip(families, measured, strict=True):
        if is_sound(each) and loss > SOLVED:
            groups[domain(each)].append(replace(each, weight=each.weight * min(loss, HARDEST)))
    hardness = {group: sum(each.weight for each in members) for group, members in groups.items()}
    scale = sum(map(len, groups.values())) / sum(np.sqrt(len(members)) for members in groups.values())
    return tuple(
        replace(each, weight=scale * np.sqrt(len(members)) * each.weight / hardness[group])
        for group, members in groups.items()
        for each in members
    )


def is_sound(family: Family) -> bool:
    """Whether equal inputs have equal outputs, and not all outputs are the same grid."""
    outputs: dict[bytes, bytes] = {}
    for pair in family.pairs:
        if outputs.setdefault(grid_key(pair.input), grid_key(pair.output)) != grid_key(pair.output):
            return False
    return len(set(outputs.values())) > 1


def domain(family: Family) -> tuple[str, ...]:
    """What the rule does to sizes and colours, and how large its grids are, by its first pairs."""
    kinds = Counter(
        (
            "same size" if pair.input.shape == pair.output.shape
            else "larger" if pair.output.size > pair.input.size else "smaller",
            "new colours" if set(np.unique(pair.output)) - set(np.unique(pair.input)) else "its colours",
            "small" if pair.input.size + pair.output.size <= 100 else "large",
        )
        for pair in family.pairs[:8]
    )  # fmt: skip
    return kinds.most_common(1)[0][0]
