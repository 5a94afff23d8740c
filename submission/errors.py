"""Errors that a user can cause."""

from __future__ import annotations


class BadInput(ValueError):
    """Something the user gave cannot be used; the message is one sentence that says what and where."""


def require(holds: bool, sentence: str) -> None:
    """BadInput with this sentence unless the condition holds."""
    if not holds:
        raise BadInput(sentence)
