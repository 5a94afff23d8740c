"""The sorts of attacks: which there are, and how many of them are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from tests.attacks import files as in_files
from tests.attacks.places import places
from tests.attacks.structures import structures
from tests.attacks.verdicts import Attack, Tally, tallied

T = TypeVar("T")


def chosen(every: Sequence[T], number: int, seed: int) -> list[tuple[T, int]]:
    """That many of them, each with a seed: fewer at random, more by going around; 0 for all."""
    order = np.random.default_rng(seed).permutation(len(every))
    number = number or len(every)
    return [(every[order[k % len(every)]], seed + k) for k in range(number)]


def files(folder: Path, number: int = 0, seed: int = 0) -> Tally:
    """Files of tasks, solutions and submissions."""
    every = [*in_files.values(), *structures(), *places()]
    attacks: list[Attack] = [in_files.attack_of(*named, each) for named, each in chosen(every, number, seed)]
    return tallied("files of tasks, solutions, submissions", attacks, folder)
