"""JSON files that a user names, plain or gzipped: read whole within a size limit, or refused in a sentence."""

from __future__ import annotations

import gc
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from submission.arc import foreign_files
from submission.errors import BadInput
from submission.input_files import object_of, read_at_most, size_of

LIMIT = 256 << 20
"""Most bytes of a file, after decompression: 256 MiB. Kaggle's largest file has 5 MiB."""

MOST_PARTS = 20_000_000
"""Most lists, objects and texts of a file: each takes some 100 bytes of memory, whatever it takes in the file."""

HEAD = 1024
"""Bytes by which another kind of file is known."""

GZIP = b"\x1f\x8b"

PIECE = 1 << 14
"""Bytes of gzip data that are decompressed at a time."""

MOST_MEMBERS = 100_000
"""Most members of a gzip file; bgzip, which writes many, has one for 64 KiB."""

NOT_ZERO = re.compile(rb"[^\0]")
"""The end of the zeros that may fill a gzip file up."""


def read_json(path: Path, limit: int = LIMIT) -> Any:
    """The content of a JSON file, plain or gzipped; objects that repeat a key are `RepeatedKeys`.

    BadInput for what is no regular file, cannot be read, has more than `limit` bytes, or holds something else: the
    sentence names what was found.
    """
    return parsed(path, read_bytes(path, limit))


def parsed(path: Path, content: bytes) -> Any:
    """The JSON in the bytes of a file; BadInput where it is none, or one that would fill the memory."""
    require_few_parts(path, content)
    try:
        with uncollected():
            return json.loads(content, object_pairs_hook=object_of)
    except RecursionError:
        raise BadInput(f"{path.name}: its lists and objects are nested too deeply for tasks") from None
    except ValueError as error:  # broken JSON, broken text, or a number of endless digits
        foreign_files.require_no_other_text(path, content)
        raise BadInput(f"{path.name}: not a complete JSON file ({str(error).splitlines()[0]})") from None


def require_few_parts(path: Path, content: bytes) -> None:
    """BadInput for JSON that would take far more memory than its bytes: of 256 MiB of empty lists it were 6 GB."""
    parts = content.count(b"[") + content.count(b"{") + content.count(b'"') // 2
    if parts > MOST_PARTS:
        most = f"{MOST_PARTS // 10**6} million"
        raise BadInput(f"{path.name}: has more than {most} lists, objects and texts; split the file")


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """The bytes of a regular file, decompressed if it is gzipped; BadInput as for `read_json`."""
    size_of(path)
    foreign_files.require_no_other_kind(path, read_at_most(path, HEAD))
    content = read_at_most(path, limit + 1)
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


def _decompressed(path: Path, content: bytes, limit: int) -> bytes:
    """At most `limit` + 1 bytes of what the members of a gzip file hold."""
    parts: list[bytes] = []
    at, members, left = 0, 0, limit + 1
    try:
        while at < len(content) and left > 0:
            member, members = zlib.decompressobj(wbits=31), members + 1
            if members > MOST_MEMBERS:
                raise BadInput(f"{path.name}: has more than {MOST_MEMBERS} gzip members; compress it anew")
            while not member.eof and left > 0:
                # In pieces: what follows a member is copied, and there may be many members.
                piece = content[at : at + PIECE]
                if not piece:
                    raise BadInput(f"{path.name}: its gzip data end too early; copy the file again")
                parts.append(member.decompress(piece, left))
                left -= len(parts[-1])
                at += len(piece) - len(member.unused_data)
            following = NOT_ZERO.search(content, at)
            at = following.start() if following else len(content)
    except zlib.error as error:
        raise BadInput(f"{path.name}: its gzip data are damaged ({error}); copy the file again") from None
    return b"".join(parts)
