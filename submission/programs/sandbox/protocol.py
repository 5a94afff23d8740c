"""What a program's output is on its way out of the sandbox: a few bytes that say a grid, or why there is none.

A frame is b"g", height, width and the cells row by row, a byte each; or b"r" and a sentence in UTF-8. `framed` works
where the program ran, on whatever it returned; `read` works outside, on whatever came out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE = 30
"""The longest side of a grid: `tasks.LARGEST_SIDE`, without what that module brings along."""
LONGEST = 3 + SIDE * SIDE
"""Bytes of the longest frame."""

Rows = list[list[int]]


def framed(value: Any) -> bytes:
    """The frame of what `transform` has returned: the grid, or what is wrong with it."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iuO":
            return b"r" + f"its output is an array of {value.dtype}, not of ints".encode()
        if value.ndim != 2 or not 1 <= min(value.shape) <= max(value.shape) <= SIDE:
            return b"r" + f"its output is an array of shape {value.shape}, not of 1 to {SIDE} by 1 to {SIDE}".encode()
        value = value.tolist()
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= SIDE:
        return b"r" + f"its output is no grid of 1 to {SIDE} rows".encode()
    rows = [row.tolist() if isinstance(row, np.ndarray) and row.size <= SIDE else row for row in value]
    if not all(isinstance(row, list | tuple) and 1 <= len(row) <= SIDE for row in rows):
        return b"r" + f"a row of its output is no list of 1 to {SIDE} cells".encode()
    if len({len(row) for row in rows}) != 1:
        return b"rthe rows of its output differ in length"
    cells = [cell for row in rows for cell in row]
    if not all(isinstance(cell, int | np.integer) and not isinstance(cell, bool) and 0 <= cell <= 9 for cell in cells):
        return b"ra cell of its output is not an int 0..9"
    return b"g" + bytes([len(rows), len(rows[0]), *map(int, cells)])


def read(frame: bytes) -> dict[str, Any]:
    """{"grid": rows} or {"reason": sentence} of a frame, whoever wrote it."""
    if frame[:1] == b"r":
        return {"reason": frame[1:].decode("utf-8", "replace")}
    height, width = (frame[1], frame[2]) if len(frame) > 2 else (0, 0)
    sized = frame[:1] == b"g" and 1 <= height <= SIDE and 1 <= width <= SIDE and len(frame) == 3 + height * width
    if not sized or max(frame[3:]) > 9:
        return {"reason": "it wrote something else than answers"}
    return {"grid": [list(frame[3 + r * width : 3 + (r + 1) * width]) for r in range(height)]}
