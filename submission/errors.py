"""Errors that a user can cause."""

from __future__ import annotations


class BadInput(ValueError):
    """Something the user gave cannot be used; the message is one sentence that says what and where."""
