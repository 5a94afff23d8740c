"""What the sandbox and its server say to each other, and what a program's process says to the server.

Messages between sandbox and server: a length in 4 bytes, then JSON. Frames from a program's process to the server: one
for each grid, b"g", height, width and the cells in reading order, a byte each; or b"r" and a sentence in UTF-8.
`frame_of` runs in the program's process, on whatever the program returned; `read_frame` runs in the server, on whatever
the process wrote: it trusts nothing.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_SIDE = 30
"""The longest side of a grid: `tasks.LARGEST_SIDE`, without importing that module in the server."""
MAX_FRAME_BYTES = 3 + MAX_SIDE * MAX_SIDE
"""Bytes of the longest frame."""

Rows = list[list[int]]
"""A grid as JSON writes it: its grid rows, each a list of colours."""

HEADER = struct.Struct(">I")
"""The length of a message in bytes."""


@dataclass(frozen=True)
class Request:
    """One program to be run on some grids."""

    source: str
    grids: list[Rows]
    call_seconds: float
    """Wall time for one grid."""
    seconds: float
    """Wall time for all grids together."""
    megabytes: int
    """Address space beyond what the server holds."""
    seed: int
    """Seed of `random` and `numpy.random` when the program starts."""


# -- messages ---------------------------------------------------------------------------------------------------


def send_message(descriptor: int, content: Any) -> None:
    """Write a message of JSON content; BrokenPipeError if nobody reads it."""
    body = json.dumps(content).encode()
    left = memoryview(HEADER.pack(len(body)) + body)
    while left:
        left = left[os.write(descriptor, left) :]


def receive_message(descriptor: int, until: float = math.inf) -> Any:
    """Read a message and return its content.

    `until` is a moment of time.monotonic(). TimeoutError after it; EOFError if the other side has closed the pipe.
    """
    (length,) = HEADER.unpack(_read_exactly(descriptor, HEADER.size, until))
    return json.loads(_read_exactly(descriptor, length, until))


def _read_exactly(descriptor: int, length: int, until: float) -> bytes:
    """Read `length` bytes; TimeoutError and EOFError as `receive_message`."""
    kept = b""
    while len(kept) < length:
        left = until - time.monotonic()
        if left <= 0 or (left < math.inf and not select.select([descriptor], [], [], left)[0]):
            raise TimeoutError
        more = os.read(descriptor, length - len(kept))
        if not more:
            raise EOFError
        kept += more
    return kept


# -- frames -----------------------------------------------------------------------------------------------------


def frame_of(value: Any) -> bytes:
    """Return the frame of a value that `transform` returned: the grid, or what is wrong with it."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iuO":
            return b"r" + f"its output is an array of {value.dtype}, not of ints".encode()
        if value.ndim != 2 or not 1 <= min(value.shape) <= max(value.shape) <= MAX_SIDE:
            sides = f"1 to {MAX_SIDE} by 1 to {MAX_SIDE}"
            return b"r" + f"its output is an array of shape {value.shape}, not of {sides}".encode()
        value = value.tolist()
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_SIDE:
        return b"r" + f"its output is no grid of 1 to {MAX_SIDE} rows".encode()
    rows = [row.tolist() if isinstance(row, np.ndarray) and row.size <= MAX_SIDE else row for row in value]
    if not all(isinstance(row, list | tuple) and 1 <= len(row) <= MAX_SIDE for row in rows):
        return b"r" + f"a row of its output is no list of 1 to {MAX_SIDE} cells".encode()
    if len({len(row) for row in rows}) != 1:
        return b"rthe rows of its output differ in length"
    cells = [cell for row in rows for cell in row]
    if not all(isinstance(cell, int | np.integer) and not isinstance(cell, bool) and 0 <= cell <= 9 for cell in cells):
        return b"ra cell of its output is not an int 0..9"
    return b"g" + bytes([len(rows), len(rows[0]), *map(int, cells)])


def read_frame(frame: bytes) -> dict[str, Any]:
    """Return {"grid": rows} or {"reason": sentence} of any bytes that a program's process wrote as a frame."""
    if frame[:1] == b"r":
        # It goes into logs and onto terminals, which control characters would drive.
        text = frame[1:].decode("utf-8", "replace")
        return {"reason": "".join(each if each.isprintable() else " " for each in text)}
    height, width = (frame[1], frame[2]) if len(frame) > 2 else (0, 0)
    complete = len(frame) == 3 + height * width
    legal = frame[:1] == b"g" and 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and complete
    if not legal or max(frame[3:]) > 9:
        return {"reason": "it wrote something else than answers"}
    return {"grid": [list(frame[3 + r * width : 3 + (r + 1) * width]) for r in range(height)]}
