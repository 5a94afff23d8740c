"""Whether a model was trained on a layout: how well it predicts the outputs of a few public training tasks.

    python -m submission check --model DIR

There is no training and no search, only one forward pass a task. A model that was trained on ARC tasks in this layout
has a fraction of the nats of a guess by frequencies; one that never saw the layout does not have that, and one whose
tokens mean something else has more nats than any guess. Every other layout that the files allow is tried as well, so
that a wrong one is not taken in silence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from submission.arc.layouts import Layout
from submission.arc.prompts import NO_LIMIT, padded, row
from submission.arc.tasks import Grid, Pair, grid
from submission.checkpoint.layout import layout_of
from submission.config import LAYOUTS, Model
from submission.errors import BadInput
from submission.inference.language_model import give_back_memory
from submission.model.forward import predictions
from submission.model.loading import load_base, resolve_device

WRITTEN: Mapping[str, tuple[str, ...]] = {
    "c9e6f938": (
        "070/007/077>070070/007700/077770", "000/077/000>000000/077770/000000", "000/700/000>000000/700007/000000",
        "770/070/007>770077/070070/007700",
    ),
    "8be77c9e": (
        "110/111/000>110/111/000/000/111/110", "000/101/110>000/101/110/110/101/000",
        "000/001/001>000/001/001/001/001/000", "000/001/100>000/001/100/100/001/000",
    ),
    "6d0aefbc": (
        "666/161/886>666666/161161/886688", "681/611/116>681186/611116/116611", "111/816/688>111111/816618/688886",
        "111/166/666>111111/166661/666666", "686/868/161>686686/868868/161161",
    ),
    "6fa7a44f": (
        "914/914/211>914/914/211/211/914/914", "484/767/878>484/767/878/878/767/484",
        "777/955/517>777/955/517/517/955/777", "269/269/292>269/269/292/292/269/269",
        "292/852/228>292/852/228/228/852/292",
    ),
    "62c24649": (
        "333/022/110>333333/022220/110011/110011/022220/333333",
        "331/130/022>331133/130031/022220/022220/130031/331133",
        "210/023/030>210012/023320/030030/030030/023320/210012",
        "110/032/330>110011/032230/330033/330033/032230/110011",
    ),
    "74dd1130": (
        "221/151/522>215/252/112", "225/622/555>265/225/525", "995/558/589>955/958/589", "266/211/262>222/616/612",
        "934/944/934>999/343/444",
    ),
}  # fmt: skip
"""Tasks of ARC-AGI-1's training set (F. Chollet, Apache 2.0), the last pair being the test: input>output, rows by "/".

They stand here since a Kaggle notebook has no package with the public sets. Their rules are mirrors and a
transposition, which every model for ARC has learned.
"""

FITS = 1 / 3
"""The share of the nats of a guess by frequencies up to which a layout fits.

Measured shares are in docs/checkpoints.md.
"""

BETTER = 0.7
"""The share of a layout's nats a cell at which another layout is the better one."""


@dataclass(frozen=True)
class Nats:
    """What a model needs for the outputs of some tasks in one layout; all in nats (natural logarithms)."""

    layout: str
    token: float
    """The mean of a token."""
    cell: float
    """All nats by the number of cells: comparable between layouts, which have more or fewer tokens a cell."""


@dataclass(frozen=True)
class LayoutFit:
    """How a model's own layout does, and the other layouts that its files allow."""

    own: Nats
    frequencies: float
    """Nats a token of a guess by how often a token stood in the outputs before."""
    uniform: float
    """Nats a token of a uniform guess among the tokens of an answer."""
    others: tuple[Nats, ...]

    @property
    def better(self) -> Nats | None:
        """Another layout that does much better; a model without finite numbers has none."""
        best = min(self.others, key=lambda each: each.cell, default=None)
        return best if best is not None and best.cell < BETTER * self.own.cell else None

    @property
    def fits(self) -> bool:
        """Whether the model looks trained on its layout, and no other layout does much better."""
        return self.own.token <= FITS * self.frequencies and self.better is None

    def sentence(self) -> str:
        """The judgement with its figures."""
        head = "the layout fits" if self.fits else "does not look trained on this layout"
        text = (
            f"{head}: {self.own.layout}, {self.own.token:.2f} nats a token on {len(WRITTEN)} public training tasks "
            f"(a guess by frequencies has {self.frequencies:.2f}, a uniform one {self.uniform:.2f})"
        )
        if (other := self.better) is not None:
            text += f"; {other.layout} has {other.token:.2f}: --set model.layout={other.layout}"
        return text


def layout_fit(folder: Path, settings: Model) -> LayoutFit:
    """Measure the layout of a checkpoint, for the settings of its loading; the model is loaded for it, and given back.

    BadInput where the checkpoint cannot be loaded or no layout fits its files.
    """
    own = layout_of(folder, settings.layout)
    tasks = [pairs_of(each) for each in WRITTEN.values()]
    model = load_base(folder, settings, resolve_device(settings.device))
    measured = [nats(model, layout, tasks) for layout in (own, *other_layouts(folder, own))]
    del model
    give_back_memory()
    return LayoutFit(measured[0], frequency_nats(own, tasks), math.log(len(own.alphabet)), tuple(measured[1:]))


def other_layouts(folder: Path, own: Layout) -> list[Layout]:
    """The layouts besides its own that the files of a checkpoint allow."""
    found: list[Layout] = []
    for name in LAYOUTS:
        try:
            layout = layout_of(folder, name)
        except BadInput:  # The files rule it out: it names another one, or its tokenizer cannot write this one.
            continue
        if layout not in (own, *found):
            found.append(layout)
    return found


@torch.no_grad()
def nats(model: Any, layout: Layout, tasks: Sequence[Sequence[Pair]]) -> Nats:
    """The nats of all outputs but each task's first one, each token predicted from the true ones before it."""
    total, tokens = 0.0, 0
    for pairs in tasks:
        made = row(layout, pairs, NO_LIMIT, first_learned=1)
        logits, targets = predictions(model, *(torch.from_numpy(each) for each in padded(layout, [made])))
        total += F.cross_entropy(logits, targets, reduction="sum").item()
        tokens += len(targets)
    return Nats(layout.name, total / tokens, total / sum(pair.output.size for pairs in tasks for pair in pairs[1:]))


def frequency_nats(layout: Layout, tasks: Sequence[Sequence[Pair]]) -> float:
    """Nats a token of a guess by the tokens of a task's outputs so far, each of the alphabet counted once more."""
    total, tokens = 0.0, 0
    for pairs in tasks:
        seen = Counter(layout.alphabet)
        for k, pair in enumerate(pairs):
            answer = layout.answer(pair.output).tolist()
            if k > 0:
                total -= sum(math.log(seen[token] / seen.total()) for token in answer)
                tokens += len(answer)
            seen.update(answer)
    return total / tokens


def pairs_of(written: Sequence[str]) -> list[Pair]:
    """The pairs of a task in `WRITTEN`."""
    return [Pair(*map(_grid, each.split(">"))) for each in written]


def _grid(text: str) -> Grid:
    return grid(np.array([[int(cell) for cell in line] for line in text.split("/")]))
