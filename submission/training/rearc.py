"""RE-ARC's pairs: a thousand generated ones for each training task of ARC-AGI-1 (M. Hodel, arXiv 2404.07353)."""

from __future__ import annotations

import json
import logging
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from submission.arc.task_parsing import grid_in
from submission.arc.tasks import LARGEST_SIDE, Pair
from submission.errors import BadInput
from submission.training.packing import Bytes, PackedPairs, starts_of

logger = logging.getLogger(__name__)

WRONG_GENERATORS = frozenset({"6cf79266", "7e0986d6", "97a05b5b", "a64e4611", "a8d7556c", "e5062a87"})
"""RE-ARC's generators that are known to disagree with the original task (RE-ARC issue 13)."""


DELIMITERS = 6
"""Tokens of a pair but its cells and the ends of its grid rows."""

UNUSABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, IndexError, RuntimeError, MemoryError, BadZipFile, zlib.error,
    struct.error,
)  # fmt: skip
"""Errors of json, zipfile and numpy for a file that is damaged, encrypted, or something else."""


@dataclass(frozen=True)
class Archive:
    """The pairs of an archive by task id, and how many of each task are none: cells that are no colours, or sides
    that are not 1 to 30."""

    families: Mapping[str, Sequence[Pair]]
    wrong: Mapping[str, int]
    right: int
    """Pairs that a task may have, those that are too long for `families` included."""


def read_rearc(path: Path, longest_pair: int) -> Mapping[str, Sequence[Pair]]:
    """The pairs of at most `longest_pair` tokens by task id: from re_arc.zip, from the folder that RE-ARC writes, or
    from a smaller packing of it (.npz).

    Pairs that no task may have are left out, and the log counts them (129 of the published archive have 31 rows or
    more: RE-ARC issue 10). BadInput where the path is none of the three, or has no right pair.
    """
    try:
        if path.is_dir():
            archive = _unpacked(path, longest_pair)
        else:
            archive = _published(path, longest_pair) if path.suffix.lower() == ".zip" else _packed(path, longest_pair)
    except UNUSABLE as error:
        raise BadInput(f"{path}: is not RE-ARC's archive, nor a packing of it ({error})") from None
    first, number = ", ".join(list(archive.wrong)[:3]), sum(archive.wrong.values())
    if not archive.right:
        raise BadInput(
            f"{path}: none of its {number} pairs is of grids of 1 to 30 rows and columns of colours 0..9"
            + (f" ({first})" if first else "")
        )
    if not any(archive.families.values()):
        logger.warning("%s: none of its %d pairs is of at most %d tokens", path, archive.right, longest_pair)
    if archive.wrong:
        logger.warning(
            "%s: %d pairs of %d tasks are left out, as their grids are not of 1 to 30 rows and columns of colours "
            "0..9: %s%s", path, number, len(archive.wrong), first, " ..." if len(archive.wrong) > 3 else "",
        )  # fmt: skip
    return archive.families


def _published(path: Path, longest_pair: int) -> Archive:
    """re_arc.zip as it is published: re_arc/tasks/ID.json, each a list of pairs. What macOS adds is passed over."""
    with ZipFile(path) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
        tasks = sorted(str(name) for name in names if _is_task_file(name))
        return _from_json(((Path(name).stem, archive.read(name)) for name in tasks), longest_pair)


def _unpacked(path: Path, longest_pair: int) -> Archive:
    """The folder that RE-ARC's generator writes: tasks/ID.json, in it or in the folder re_arc in it."""
    found = [file for file in sorted(path.rglob("*.json")) if _is_task_file(PurePosixPath(file))]
    return _from_json(((file.stem, file.read_bytes()) for file in found), longest_pair)


def _is_task_file(name: PurePosixPath) -> bool:
    visible = not name.name.startswith(".") and "__MACOSX" not in name.parts
    return visible and name.suffix == ".json" and name.parent.name == "tasks"


def _from_json(files: Iterable[tuple[str, bytes]], longest_pair: int) -> Archive:
    families: dict[str, Sequence[Pair]] = {}
    wrong: dict[str, int] = {}
    read = number = 0
    for name, content in files:
        read += 1
        if name in families or name in wrong:
            raise ValueError(f"two files are called {name}.json")
        listed = json.loads(content)
        if not isinstance(listed, list):
            raise ValueError(f"{name}.json is not a list of pairs")
        pairs = [_pair(each) for each in listed]
        right = [pair for pair in pairs if pair is not None]
        if len(right) < len(pairs):
            wrong[name] = len(pairs) - len(right)
        number += len(right)
        if right:
            families[name] = tuple(pair for pair in right if pair_length(pair) <= longest_pair)
    if not read:
        raise ValueError("there is no tasks/*.json in it")
    return Archive(families, wrong, number)


def _pair(entry: object) -> Pair | None:
    """A pair of grids; None where it is none."""
    if not isinstance(entry, dict):
        return None
    given, wanted = grid_in(entry.get("input")), grid_in(entry.get("output"))
    return Pair(given, wanted) if given is not None and wanted is not None else None


def _packed(path: Path, longest_pair: int) -> Archive:
    """An .npz of names [tasks], task [pairs] (indexes into names), and shapes and cells as in `packing`."""
    with path.open("rb") as file, np.load(file) as arrays:
        names, task, shapes, cells = (arrays[key] for key in ("names", "task", "shapes", "cells"))
    if shapes.dtype != np.uint8 or cells.dtype != np.uint8 or task.dtype.kind not in "iu":
        raise ValueError(
            f"its arrays are of {shapes.dtype}, {cells.dtype} and {task.dtype}, not of small whole numbers"
        )
    if len(task) != len(shapes) or (task.size and not 0 <= int(task.min()) <= int(task.max()) < len(names)):
        raise ValueError(f"{len(task)} pairs name one of {len(names)} tasks, and {len(shapes)} have a shape")
    starts = starts_of(shapes, cells)
    right = _right_pairs(shapes, starts, cells)
    sides = shapes.astype(np.int64)
    tokens = sides[:, 0] * (sides[:, 1] + 1) + sides[:, 2] * (sides[:, 3] + 1) + DELIMITERS
    short = np.flatnonzero(right & (tokens <= longest_pair))
    families: dict[str, Sequence[Pair]] = {}
    for number in dict.fromkeys(task[short].tolist()):  # in the order of their first pair
        chosen = short[task[short] == number]
        families[str(names[number])] = PackedPairs(shapes[chosen], starts[chosen], cells)
    counts = Counter(task[~right].tolist())
    return Archive(families, {str(names[number]): count for number, count in counts.items()}, int(right.sum()))


def _right_pairs(shapes: Bytes, starts: NDArray[np.int64], cells: Bytes) -> NDArray[np.bool_]:
    """For each packed pair whether its sides are 1 to LARGEST_SIDE and its cells colours."""
    right = np.asarray(((shapes >= 1) & (shapes <= LARGEST_SIDE)).all(axis=1))
    at = np.concatenate([2 * np.flatnonzero(cells >> 4 > 9), 2 * np.flatnonzero((cells & 15) > 9) + 1])
    if len(at) and len(starts):
        right[np.searchsorted(starts, at, side="right") - 1] = False
    return right


def pair_length(pair: Pair) -> int:
    """Tokens of one pair in the embedded model's layout."""
    return int(sum(g.shape[0] * (g.shape[1] + 1) for g in (pair.input, pair.output))) + DELIMITERS
