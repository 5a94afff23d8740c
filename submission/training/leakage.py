"""The guard against evaluation data: no training task may share a pair with it, turned or recoloured or not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from submission.arc.tasks import Pair
from submission.arc.views import COLOURS, SYMMETRIES, View


class LeakageFilter:
    """Knows the pairs of the evaluation sets, up to symmetry and recolouring."""

    def __init__(self, forbidden: Iterable[Pair]) -> None:
        pairs = list(forbidden)
        self._outlines = {outline(pair) for pair in pairs}
        self._fingerprints = {fingerprint(pair) for pair in pairs}

    def refuses(self, pairs: Iterable[Pair]) -> bool:
        """Whether one of these pairs is a form of a forbidden one."""
        # Outlines are quick and settle nearly every pair; equal pairs have equal outlines.
        return any(outline(pair) in self._outlines and fingerprint(pair) in self._fingerprints for pair in pairs)


def fingerprint(pair: Pair) -> bytes:
    """The same bytes for all symmetric and recoloured forms of a pair, and for no other pair."""
    forms = []
    for symmetry in range(SYMMETRIES):
        view = View(symmetry, COLOURS, ())
        seen_in, seen_out = view.see(pair.input), view.see(pair.output)
        cells = np.concatenate([seen_in.reshape(-1), seen_out.reshape(-1)])
        _, first, which = np.unique(cells, return_index=True, return_inverse=True)
        renamed = np.argsort(np.argsort(first)).astype(np.uint8)[which]
        forms.append(bytes(seen_in.shape + seen_out.shape) + renamed.tobytes())
    return min(forms)


def outline(pair: Pair) -> bytes:
    """Equal for all forms of a pair, and for few others: the sides of both grids, and how often colours occur."""
    parts: list[int] = []
    for cells in (pair.input, pair.output):
        counts = np.bincount(cells.reshape(-1), minlength=10)
        parts += [*sorted(cells.shape), *sorted(counts.tolist())]
    return np.array(parts, np.uint16).tobytes()
