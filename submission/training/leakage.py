"""The leakage filter: no training task may share a pair with an evaluation set, in whatever symmetry or colours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from submission.arc.tasks import Pair
from submission.arc.views import COLOURS, SYMMETRIES, View


class LeakageFilter:
    """The pairs of the evaluation sets, up to symmetry and recolouring."""

    def __init__(self, forbidden: Iterable[Pair]) -> None:
        pairs = list(forbidden)
        self._outlines = {outline(pair) for pair in pairs}
        self._fingerprints = {fingerprint(pair) for pair in pairs}

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
