"""The sorts of attacks: which there are, and how many of them are made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from tests.attacks import files as in_files
from tests.attacks import folders as in_folders
from tests.attacks import options as in_options
from tests.attacks import programs as in_programs
from tests.attacks.bombs import bombs
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
    # They take seconds each, and all are made with the others.
    every += [] if number else [*bombs()]
    attacks: list[Attack] = [in_files.attack_of(*named, each) for named, each in chosen(every, number, seed)]
    return tallied("files of tasks, solutions, submissions", attacks, folder)


def models(folder: Path, number: int = 0, seed: int = 0) -> Tally:
    """Model folders: config, weights, tokenizer, and what lies beside them."""
    from tests.attacks import models as in_models  # torch, which the other sorts do not need
    from tests.attacks.weights import weights

    every = [*in_models.models(), *weights()]
    attacks = [in_models.attack_of(*named, folder) for named, _ in chosen(every, number, seed)]
    return tallied("model folders", attacks, folder)


def folders(folder: Path, number: int = 0, seed: int = 0) -> Tally:
    """Folders of runs with damaged files, under the commands that read them."""
    every = [*in_folders.folders(seed)]
    attacks = [in_folders.attack_of(*named, each, folder) for named, each in chosen(every, number, seed)]
    return tallied("damaged folders of runs", attacks, folder, seconds=60)


def programs(folder: Path, number: int = 0, seed: int = 0) -> Tally:
    """Hostile programs under all confinements; with a number the first so many alone."""
    attacks = in_programs.attacks()
    return tallied("hostile programs x confinements", islice(attacks, number or None), folder)


def options(folder: Path, number: int = 0, seed: int = 0) -> Tally:
    """Values of settings and options."""
    attacks = [each for each, _ in chosen([*in_options.attacks()], number, seed)]
    return tallied("values of settings", attacks, folder)
