"""Files that a user names: regular ones alone, read up to a limit; and JSON in which a key stands twice.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submission.errors import BadInput


def size_of(path: Path) -> int:
    """The size in bytes of a regular file, links followed; BadInput, with what is there instead, for anything else."""
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise BadInput(f"{path}: is a link to a file that is not there; download or copy the file itself") from None
        raise BadInput(f"{path}: there is no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BadInput(f"{str(path)!r}: cannot be a path ({error})") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path}: is {_kind_of_file(found.st_mode)}, not a regular file")
    return found.st_size


def read_at_most(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file that `size_of` takes, or all; BadInput where they cannot be read."""
    try:
        # Some files of /proc call themselves regular, and a read of them waits for more without an end.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return file.read(count) or b""
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _kind_of_file(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


class RepeatedKeys(dict[str, Any]):
    """An object in which keys appear more than once; it holds the last value of each, as JSON's readers do."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        """The object of these pairs; `repeated` has the keys that appear more than once."""
        super().__init__(pairs)
        self.repeated = {key for key, number in Counter(key for key, _ in pairs).items() if number > 1}


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, for json's `object_pairs_hook`: `RepeatedKeys` where a key appears twice."""
    made = dict(pairs)
    return made if len(made) == len(pairs) else RepeatedKeys(pairs)


def repeated_keys(value: object) -> set[str]:
    """The keys that appear more than once in an object; none in one that was not read from a file."""
    return value.repeated if isinstance(value, RepeatedKeys) else set()


def json_kind(value: object) -> str:
    """What a value is, in the words of JSON."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "a number")
