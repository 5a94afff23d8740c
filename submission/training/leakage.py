"""The guard against evaluation data: what has an id, a rule or a pair of an evaluation set is not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from submission.arc.tasks import Pair
from submission.arc.views import COLOURS, SYMMETRIES, View

Leak = Literal["id", "rule", "pair"]
"""Why a family is left out: it has the id of an evaluation task; of a training task that shares a pair with an
evaluation set, whose rule it repeats; or it shares a pair itself."""

SOURCES = ("arcgen", "tgi")
"""Prefixes of family names of which the second part is the name of the task: `arcgen:ID`, `tgi:NAME:N`."""


def task_of(family: str) -> str:
    """The name of the task that a family belongs to: its id, where it was made for a task of a public set."""
    parts = family.split(":")
    return parts[1] if parts[0] in SOURCES and len(parts) > 1 else family


@dataclass(frozen=True)
class Guard:
    """What may not be trained on."""

    pairs: LeakageFilter
    """The pairs of the evaluation sets."""
    ids: frozenset[str]
    """The ids of their tasks."""
    rules: frozenset[str]
    """The ids of training tasks that share a pair with them."""

    def leak(self, family: str, pairs: Iterable[Pair]) -> Leak | None:
        """Why this family may not be trained on; None where it may."""
        parts = set(family.split(":"))
        if parts & self.ids:
            return "id"
        if parts & self.rules:
            return "rule"
        return "pair" if self.pairs.shares_pair(pairs) else None

    def leaks(self, families: Mapping[str, Iterable[Pair]]) -> dict[str, Leak]:
        """Family -> why it may not be trained on; only those that may not."""
        found = {name: self.leak(name, pairs) for name, pairs in families.items()}
        return {name: why for name, why in found.items() if why is not None}


def counted(leaks: Mapping[str, Leak]) -> str:
    """How many families leak in which way, as a phrase."""
    counts = Counter(leaks.values())
    return (
        f"{counts['id']} have the id of an evaluation task, {counts['rule']} that of a training task which shares a "
        f"pair with one, {counts['pair']} share a pair themselves"
    )


class LeakageFilter:
    """The pairs of the evaluation sets, up to symmetry and recolouring."""

    def __init__(self, forbidden: Iterable[Pair]) -> None:
        pairs = list(forbidden)
        self._outlines = {outline(pair) for pair in pairs}
        self._fingerprints = {fingerprint(pair) for pair in pairs}

    @classmethod
    def joined(cls, filters: Iterable[LeakageFilter]) -> LeakageFilter:
        """A filter for the pairs of all these filters."""
        whole = cls(())
        for each in filters:
            whole._outlines |= each._outlines
            whole._fingerprints |= each._fingerprints
        return whole

    def shares_pair(self, pairs: Iterable[Pair]) -> bool:
        """Whether one of these pairs is a symmetric or recoloured form of a forbidden one."""
        # Outlines are quick to compute and tell nearly all pairs apart; equal outlines are settled by fingerprints.
        return any(outline(pair) in self._outlines and fingerprint(pair) in self._fingerprints for pair in pairs)


def fingerprint(pair: Pair) -> bytes:
    """The same bytes for all symmetric and recoloured forms of a pair, and for no other pair."""
    forms = []
    for symmetry in range(SYMMETRIES):
        view = View(symmetry, COLOURS, ())
        input_form, output_form = view.see(pair.input), view.see(pair.output)
        cells = np.concatenate([input_form.reshape(-1), output_form.reshape(-1)])
        # Colours are numbered by their first cell.
        _, first, colour_index = np.unique(cells, return_index=True, return_inverse=True)
        renamed = np.argsort(np.argsort(first)).astype(np.uint8)[colour_index]
        forms.append(bytes(input_form.shape + output_form.shape) + renamed.tobytes())
    return min(forms)


def outline(pair: Pair) -> bytes:
    """The sorted sides and colour counts of both grids: equal for all forms of a pair, and for few other pairs."""
    parts: list[int] = []
    for cells in (pair.input, pair.output):
        counts = np.bincount(cells.reshape(-1), minlength=10)
        parts += [*sorted(cells.shape), *sorted(counts.tolist())]
    return np.array(parts, np.uint16).tobytes()
