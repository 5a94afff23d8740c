"""JSON files of a model folder, read within bounds: regular files, a limit of bytes, a limit of depth.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from submission.errors import BadInput
from submission.input_files import json_kind, read_at_most, size_of

MAX_BYTES = 16_000_000
"""Bytes of a JSON file that are read at most: the index of a model with a hundred thousand tensors has less."""

MAX_DEPTH = 32
"""Lists and objects within each other at most; config.json has five or six."""

LFS_POINTER = b"version https://git-lfs"
"""How a text file begins that Git LFS leaves in the place of a large one."""


def require_file(path: Path) -> int:
    """The size in bytes of a regular file, links followed; BadInput for anything else, and for a Git LFS pointer."""
    size = size_of(path)
    if read_at_most(path, len(LFS_POINTER)) == LFS_POINTER:
        raise BadInput(f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository")
    return size


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; BadInput where there is none, or one that is too large or nested too deeply."""
    if require_file(path) > MAX_BYTES:
        raise BadInput(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB, too large for what it should hold")
    try:
        content = json.loads(read_at_most(path, MAX_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not valid JSON ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: should hold a JSON object, and holds {json_kind(content)}")
    if is_deeper(content, MAX_DEPTH):
        raise BadInput(f"{path}: is nested more than {MAX_DEPTH} levels deep")
    return content


def is_deeper(content: object, limit: int) -> bool:
    """Whether lists and objects stand more than `limit` levels within each other."""
    level: list[object] = [content]
    for _ in range(limit):
        inside = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [value for values in inside for value in values]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)
