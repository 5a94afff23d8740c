"""Oldest versions of libraries that more than one package of ours has to know."""

from __future__ import annotations

OLDEST_TORCHAO = (0, 16)
"""peft from 0.19 on refuses to adapt a model while an older torchao, such as Kaggle's 0.10, can be imported."""
