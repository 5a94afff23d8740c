"""Checks of files without loading them: sha256 manifests, and safetensors that are cut short.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from submission.errors import BadInput

MODEL_MANIFEST = "manifest.json"
"""The manifest of a model folder: {"files": {path in the folder: sha256}, ...}."""


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_mismatches(folder: Path, manifest: str) -> list[str]:
    """One sentence for each file that is missing or is not the one in the folder's manifest; [] without a manifest."""
    if not (folder / manifest).exists():
        return []
    try:
        expected: dict[str, str] = dict(json.loads((folder / manifest).read_text())["files"])
    except (ValueError, KeyError, TypeError) as error:
        return [f"{folder / manifest}: cannot be read ({error!r})"]
    missing = [f"{folder / name}: is missing" for name in expected if not (folder / name).is_file()]
    present = {name: digest for name, digest in expected.items() if (folder / name).is_file()}
    changed = [name for name, digest in present.items() if sha256(folder / name) != digest]
    return missing + [f"{folder / name}: is not the file that {manifest} names" for name in changed]


def require_complete_weights(model: Path) -> None:
    """BadInput where a safetensors file of a model folder is cut short or has an unreadable header."""
    for path in sorted(model.glob("*.safetensors")):
        if fault := safetensors_fault(path):
            raise BadInput(f"{path}: {fault}; upload the model again")


def safetensors_fault(file: Path) -> str:
    """What is wrong with a safetensors file by its own header; "" if nothing is.

    The format: 8 bytes with the header's length, the header in JSON with the byte range of each tensor, the tensors.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > size - 8:
            return "is cut short within its header"
        try:
            header: dict[str, Any] = json.loads(opened.read(length))
            end = max((each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "has a header that cannot be read"
    missing = 8 + length + end - size
    return f"is cut short: {missing} bytes are missing" if missing > 0 else ""
