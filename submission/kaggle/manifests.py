"""Checks of files without loading them, by sha256 manifests.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

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
