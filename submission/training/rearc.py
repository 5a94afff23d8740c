"""RE-ARC's pairs: a thousand generated ones for each training task of ARC-AGI-1 (M. Hodel, arXiv 2404.07353)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from submission.arc.tasks import Pair, grid
from submission.errors import BadInput
from submission.training.packing import PackedPairs, starts_of

WRONG_GENERATORS = frozenset({"6cf79266", "7e0986d6", "97a05b5b", "a64e4611", "a8d7556c", "e5062a87"})
"""RE-ARC's generators that are known to disagree with the original task (RE-ARC issue 13)."""


DELIMITERS = 6
"""Tokens of a pair but its cells and the ends of its grid rows."""


def read_rearc(path: Path, longest_pair: int) -> Mapping[str, Sequence[Pair]]:
    """The pairs of at most `longest_pair` tokens by task id, from re_arc.zip or from a smaller packing of it (.npz).

    BadInput where the file is neither.
    """
    try:
        return _published(path, longest_pair) if path.suffix == ".zip" else _packed(path, longest_pair)
    except (OSError, ValueError, KeyError, TypeError, IndexError, BadZipFile) as error:
        raise BadInput(f"{path}: is not RE-ARC's archive, nor a packing of it ({error})") from None


def _published(path: Path, longest_pair: int) -> dict[str, Sequence[Pair]]:
    """re_arc.zip as it is published: re_arc/tasks/ID.json, each a list of pairs."""
    families: dict[str, Sequence[Pair]] = {}
    with ZipFile(path) as archive:
        tasks = [name for name in archive.namelist() if name.endswith(".json") and Path(name).parent.name == "tasks"]
        if not tasks:
            raise ValueError("there is no tasks/*.json in it")
        for name in sorted(tasks):
            pairs = (Pair(grid(each["input"]), grid(each["output"])) for each in json.loads(archive.read(name)))
            families[Path(name).stem] = tuple(each for each in pairs if pair_length(each) <= longest_pair)
    return families


def _packed(path: Path, longest_pair: int) -> dict[str, Sequence[Pair]]:
    """An .npz of names [tasks], task [pairs] (indexes into names), and shapes and cells as in `packing`."""
    with np.load(path) as arrays:
        names, task, shapes, cells = (arrays[key] for key in ("names", "task", "shapes", "cells"))
    starts = starts_of(shapes, cells)
    sides = shapes.astype(np.int64)
    tokens = sides[:, 0] * (sides[:, 1] + 1) + sides[:, 2] * (sides[:, 3] + 1) + DELIMITERS
    short = np.flatnonzero(tokens <= longest_pair)
    families: dict[str, Sequence[Pair]] = {}
    for number in dict.fromkeys(task[short].tolist()):  # in the order of their first pair
        chosen = short[task[short] == number]
        families[str(names[number])] = PackedPairs(shapes[chosen], starts[chosen], cells)
    return families


def pair_length(pair: Pair) -> int:
    """Tokens of one pair in the embedded model's layout."""
    return int(sum(g.shape[0] * (g.shape[1] + 1) for g in (pair.input, pair.output))) + DELIMITERS
