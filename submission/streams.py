"""Standard streams that outlive their readers: what a process does must not depend on who listens to it.

A closed standard stream is opened on the null device, so that no file of a run gets its number. A stream that can no
longer be written to (a reader that has gone, a full disk) takes the rest of the text and drops it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO


class _Lasting(io.FileIO):
    """A file whose writes never fail: after the first error everything is dropped."""

    failure: OSError | None = None
    """Why text was dropped; None where all was written, or where the reader has gone, which is its right."""
    _broken = False

    def write(self, data: Any, /) -> int:
        """Write or drop bytes (any buffer); returns their number."""
        view = memoryview(data)
        done = 0
        while not self._broken and done < view.nbytes:
            try:
                done += super().write(view[done:]) or 0
            except OSError as error:
                self._broken = True
                if error.errno != errno.EPIPE:
                    self.failure = error
        return view.nbytes


class _LastingText(io.TextIOWrapper):
    """Text over a lasting file."""

    def __init__(self, number: int, encoding: str) -> None:
        self.raw = _Lasting(number, "w", closefd=False)
        terminal = number == 2 or self.raw.isatty()
        # A path may hold bytes that no encoding writes: they are shown escaped.
        super().__init__(io.BufferedWriter(self.raw), encoding, "backslashreplace", line_buffering=terminal)


def make_lasting() -> None:
    """Replace sys.stdout and sys.stderr of this process by lasting ones; open what is closed on the null device."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = _lasting(1, sys.stdout)
    sys.stderr = _lasting(2, sys.stderr)


def failure(stream: TextIO) -> OSError | None:
    """Why text that was written to a lasting stream was lost; None for any other stream."""
    if not isinstance(stream, _LastingText):
        return None
    return stream.raw.failure


def _lasting(number: int, before: TextIO | None) -> TextIO:
    if before is None:
        return _LastingText(number, "utf-8")
    before.flush()
    return _LastingText(number, before.encoding)
