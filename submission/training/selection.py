"""Which families to train on: quality, then difficulty, then diversity, after s1K (arXiv 2501.19393, section 2.2).

Quality: families with two outputs for one input, or with one output for all, are left out. Difficulty: families that a
first model predicts already are left out, the others are drawn in proportion to its loss. Diversity: families are
grouped by what their rule does to sizes and colours; a group is drawn in proportion to the square root of its size.
"""

from __future__ import annotations

import math
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
from submission.checkpoint.checkpoint import read_checkpoint
from submission.errors import require
from submission.model.grid_lm import GridLM
from submission.model.loading import load_unquantized
from submission.rng import generator
from submission.training.batches import rows
from submission.training.corpus import Corpus, Family
from submission.training.evaluation import evaluate

ROWS_EACH = 2
"""Rows of each family by which the loss of the first model is measured."""

SOLVED = 0.01
"""Nats a token: a family with a smaller loss is left out."""

HARDEST = 1.0
"""Nats a token: a greater loss counts as this, as the family may be too hard to learn."""


def narrowed(data: Corpus, first: Path, limit: int) -> Corpus:
    """The corpus with the families to train on selected by the loss of the GridLM in the folder `first`.

    BadInput where that cannot be used, or is another kind of model.
    """
    layout = NAMED[require_grid_model(first)]
    model = load_unquantized(GridLM, read_checkpoint(first), torch.float32)
    measured = losses(model, layout, data.train, limit)
    for family, loss in zip(data.train, measured, strict=True):
        require(
            math.isfinite(loss), f"{first}: its loss on {family.name} is not a number, so it cannot select families"
        )
    families = selected(data.train, measured)
    require(
        bool(families),
        f"{first}: of {len(data.train)} families it leaves none: it predicts them already, or they are no rules",
    )
    return replace(data, train=families)


def require_grid_model(first: Path) -> str:
    """The name of the layout of an unquantized GridLM; BadInput where the folder holds none."""
    checkpoint = read_checkpoint(first)
    name = checkpoint.config.raw.get("arc_layout")
    right = checkpoint.model_type == GridLM.config_class.model_type and not checkpoint.quantized
    require(
        right and isinstance(name, str) and name in NAMED,
        f"{first}: families are selected by a model that `pretrain` made, in 16 or 32 bits, and this is none",
    )
    return str(name)


def losses(model: nn.Module, layout: Layout, families: Sequence[Family], limit: int) -> list[float]:
    """The model's loss on each family, in nats a token: on all outputs but the first of ROWS_EACH rows."""
    measured = []
    for family in families:
        rng = generator(0, "selection", family.name)
        drawn = list(islice(rows([family], limit, rng, layout, new_rules=0.0), ROWS_EACH))
        measured.append(evaluate(model, drawn, layout).loss)
    return measured


def selected(families: Sequence[Family], measured: Sequence[float]) -> tuple[Family, ...]:
    """The families to train on, by the loss on each, with new weights that sum to their number."""
    groups: dict[tuple[str, ...], list[Family]] = defaultdict(list)
    for family, loss in zip(families, measured, strict=True):
        if is_sound(family) and loss > SOLVED:
            groups[domain(family)].append(replace(family, weight=family.weight * min(loss, HARDEST)))
    if not groups:
        return ()
    hardness = {group: sum(family.weight for family in members) for group, members in groups.items()}
    scale = sum(map(len, groups.values())) / sum(np.sqrt(len(members)) for members in groups.values())
    return tuple(
        replace(family, weight=scale * np.sqrt(len(members)) * family.weight / hardness[group])
        for group, members in groups.items()
        for family in members
    )


def is_sound(family: Family) -> bool:
    """Whether equal inputs have equal outputs, and not all outputs are equal."""
    outputs: dict[bytes, bytes] = {}
    for pair in family.pairs:
        if outputs.setdefault(grid_key(pair.input), grid_key(pair.output)) != grid_key(pair.output):
            return False
    return len(set(outputs.values())) > 1


def domain(family: Family) -> tuple[str, ...]:
    """What the rule does to sizes and colours, and how large its grids are, by its first 8 pairs."""
    kinds = Counter(
        (
            "same size" if pair.input.shape == pair.output.shape
            else "larger" if pair.output.size > pair.input.size else "smaller",
            "new colours" if set(np.unique(pair.output)) - set(np.unique(pair.input)) else "same colours",
            "small" if pair.input.size + pair.output.size <= 100 else "large",
        )
        for pair in family.pairs[:8]
    )  # fmt: skip
    return kinds.most_common(1)[0][0]
