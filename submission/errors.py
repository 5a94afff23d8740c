"""Errors that a user can cause and correct."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

TRACEBACKS = logging.getLogger("submission.tracebacks")
"""Tracebacks behind errors that the log tells in one line: they go into log.txt alone, see `runner.lifecycle`."""


class BadInput(ValueError):
    """Something that the user gave cannot be used; the message is one sentence: what, where, and what to do."""


def concerns(error: OSError, paths: Iterable[Path]) -> bool:
    """Whether the system failed on one of these paths, or on a path above or below one.

    Of paths that the user named, such an error is the user's to correct; any other OSError may be a bug.
    """
    failed = [Path(name).absolute() for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    named = [path.absolute() for path in paths]
    return any(a == b or a in b.parents or b in a.parents for a in failed for b in named)


def require(holds: bool, sentence: str) -> None:
    """BadInput with this sentence unless the condition holds."""
    if not holds:
        raise BadInput(sentence)
