"""Which versions of Python and of libraries this package works with, and which Kaggle's image has.

What pyproject.toml and offline_wheels/image.txt say as well is held against these tables by tests/test_versions.py:
neither file is uploaded.
"""

from __future__ import annotations

import re

SUPPORTED: dict[str, tuple[str, str | None]] = {
    "python": ("3.11", None), "torch": ("2.10", "2.14"), "transformers": ("5.0", "5.25"), "peft": ("0.18", None),
    "accelerate": ("1.12", None), "bitsandbytes": ("0.50", None), "safetensors": ("0.7", None),
    "tokenizers": ("0.22", None), "numpy": ("2.0", "2.5"),
}  # fmt: skip
"""The oldest version that works, and the first one that was not tried: pyproject.toml's bounds."""

KAGGLE_IMAGE = {
    "python": "3.12.13", "torch": "2.10.0", "transformers": "5.0.0", "peft": "0.19.1", "accelerate": "1.13.0",
    "numpy": "2.0.2", "tokenizers": "0.22.2", "safetensors": "0.7.0", "torchao": "0.10.0",
}  # fmt: skip
"""Tag v170 of 2026-06-29, as in offline_wheels/image.txt; bitsandbytes is not in it."""

OLDEST_TORCHAO = (0, 16)
"""The oldest torchao that peft works beside, from peft 0.19 on; with an older one, Kaggle's, it refuses to add a LoRA.
Nothing here needs torchao. To be dropped when the image has none, or a newer one."""

KNOWN_UNSLOTH = ("2026.10.7", "2026.10.9")
"""The versions of unsloth, and of unsloth_zoo, whose kernels are known to be what `model.unsloth_import` loads."""


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: "2.10.0+cu128" is (2, 10, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def is_old_torchao(version: str) -> bool:
    """Whether peft refuses to work beside this version of torchao."""
    return numbers(version) < OLDEST_TORCHAO
