"""Seeded random generators, one for each purpose: randomness is an argument, never a global state."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """The random numbers of one purpose (task, stage, ...): the same in every process and on every machine."""
    text = "\0".join((str(seed), *purpose))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
