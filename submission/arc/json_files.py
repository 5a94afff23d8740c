"""JSON files that a user names, plain or gzipped: read whole within a size limit, or refused in a sentence."""

from __future__ import annotations

import gc
import json
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from submission.arc import foreign_files
from submission.errors import BadInput

LIMIT = 256 << 20
"""Most bytes of a file, after decompression: 256 MiB. Kaggle's largest file has 5 MiB."""

HEAD = 1024
"""Bytes by which another kind of file is known."""

GZIP = b"\x1f\x8b"


class RepeatedKeys(dict[str, Any]):
    """An object in which keys appear more than once; it holds the last value of each, as JSON's readers do."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        """The object of these pairs; `repeated` has the keys that appear more than once."""
        super().__init__(pairs)
        self.repeated = {key for key, number in Counter(key for key, _ in pairs).items() if number > 1}


def read_json(path: Path, limit: int = LIMIT) -> Any:
    """The content of a JSON file, plain or gzipped; objects that repeat a key are `RepeatedKeys`.

    BadInput for what is no regular file, cannot be read, has more than `limit` bytes, or holds something else: the
    sentence names what was found.
    """
    return parsed(path, read_bytes(path, limit))


def parsed(path: Path, content: bytes) -> Any:
    """The JSON in the bytes of a file; BadInput where it is none."""
    try:
        with uncollected():
            return json.loads(content, object_pairs_hook=_object)
    except RecursionError:
        raise BadInput(f"{path.name}: its lists and objects are nested too deeply for tasks") from None
    except ValueError as error:  # broken JSON, broken text, or a number of endless digits
        foreign_files.require_no_other_text(path, content)
        raise BadInput(f"{path.name}: not a complete JSON file ({str(error).splitlines()[0]})") from None


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """The bytes of a regular file, decompressed if it is gzipped; BadInput as for `read_json`."""
    with _readable(path):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadInput(f"{path}: is {_kind(mode)}, not a regular file: write its content to a file first")
        # Some files of /proc call themselves regular, and a read of them waits for more without an end.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            head = file.read(HEAD) or b""
            foreign_files.require_no_other_kind(path, head)
            content = head + (file.read(max(0, limit + 1 - len(head))) or b"")
    if content.startswith(GZIP):
        content = _decompressed(path, content, limit)
        foreign_files.require_no_other_kind(path, content[:HEAD])
    if len(content) > limit:
        raise BadInput(f"{path.name}: has more than {limit >> 20} MiB, the most that is read as tasks; split the file")
    return content


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would go over millions of lists again and again and find nothing."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{str(path)!r}: cannot be a path ({error})") from None


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def _decompressed(path: Path, content: bytes, limit: int) -> bytes:
    """At most `limit` + 1 bytes of what the members of a gzip file hold."""
    made = b""
    try:
        while content and len(made) <= limit:
            member = zlib.decompressobj(wbits=31)
            made += member.decompress(content, limit + 1 - len(made))
            if not member.eof and len(made) <= limit:
                raise BadInput(f"{path.name}: its gzip data end too early; copy the file again")
            content = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise BadInput(f"{path.name}: its gzip data are damaged ({error}); copy the file again") from None
    return made


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else RepeatedKeys(pairs)
