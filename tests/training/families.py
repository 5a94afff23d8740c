"""Small families that several tests train on."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import Pair, grid
from submission.training.corpus import Family


def families(number: int = 3) -> list[Family]:
    """Families of six pairs of 2x3 cells: turn the grid upside down."""
    rng = np.random.default_rng(0)
    grids = [[grid(rng.integers(0, 10, (2, 3))) for _ in range(6)] for _ in range(number)]
    return [Family(f"f{k}", tuple(Pair(g, grid(g[::-1])) for g in each), 1.0) for k, each in enumerate(grids)]
