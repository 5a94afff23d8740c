"""Install the attached wheels on a Kaggle machine: without an index, against their hashes.

Standard library alone: before this, nothing is installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from submission.errors import BadInput
from submission.kaggle.manifests import manifest_mismatches
from submission.versions import is_old_torchao

WHEELS_MANIFEST = "wheels_manifest.json"
"""The manifest of the wheels, by which their folder is found: {"files": {path in its folder: sha256}, ...}."""

REQUIREMENTS = "requirements.txt"
"""In the folder of the wheels: what to install, pinned, with hashes."""


def install_wheels(inputs: Path) -> list[str]:
    """Install the attached wheels and remove a torchao that peft refuses; returns a line for each thing done.

    BadInput where a wheel is missing or changed, or where neither the wheels nor the image have bitsandbytes.
    """
    folders = folders_with(inputs, WHEELS_MANIFEST)
    if not folders:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise BadInput(
                f"bitsandbytes is not installed and no {WHEELS_MANIFEST} is under {inputs}: attach the wheels"
            )
        return ["no wheels are attached; bitsandbytes is installed already", *remove_old_torchao()]
    wheels = folders[0]
    if wrong := manifest_mismatches(wheels, WHEELS_MANIFEST):
        raise BadInput(f"{wrong[0]}; upload the wheels again")
    pip("install", "--no-index", "--no-deps", "--require-hashes", f"--find-links={wheels / 'wheelhouse'}",
        "--requirement", str(wheels / REQUIREMENTS))  # fmt: skip
    pins = [line.split()[0] for line in (wheels / REQUIREMENTS).read_text().splitlines() if "==" in line]
    has_torchao = any(pin.startswith("torchao==") for pin in pins)
    return [f"installed from {wheels}: {', '.join(pins)}", *([] if has_torchao else remove_old_torchao())]


def remove_old_torchao() -> list[str]:
    """Remove a torchao beside which peft refuses to be imported; nothing here needs it. Returns a line if it did."""
    importlib.invalidate_caches()
    try:
        version = importlib.metadata.version("torchao")
    except importlib.metadata.PackageNotFoundError:
        return []
    if not is_old_torchao(version):
        return []
    pip("uninstall", "--yes", "torchao")
    importlib.invalidate_caches()
    if importlib.util.find_spec("torchao") is not None:
        return [f"torchao {version} could not be removed: peft may refuse to be imported beside it"]
    return [f"removed torchao {version}, beside which peft cannot be imported"]


def pip(command: str, *words: str) -> None:
    """Run this interpreter's pip; BadInput with its first error line if it fails."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    done = subprocess.run([sys.executable, "-m", "pip", command, *quiet, *words], capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BadInput(f"pip {command}: {' '.join(lines[:1]) or f'exit status {done.returncode}'}")


def folders_with(inputs: Path, name: str) -> list[Path]:
    """The folders below `inputs` that hold a file of this name, under whatever layout Kaggle mounts them."""
    return sorted(Path(folder) for folder, _, names in os.walk(inputs, followlinks=True) if name in names)
