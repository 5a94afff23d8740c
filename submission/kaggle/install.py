"""Install the attached wheels on a Kaggle machine: without an index, against their hashes.

They go to the interpreter's own packages, never below /kaggle/working: all of that becomes the notebook's output, and
Kaggle fails a version whose output is an installation. So pip hears neither its variables nor its configuration files.
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
from submission.kaggle.mounts import distinct, folders_with, require_one
from submission.versions import SUPPORTED, is_old_torchao, numbers

WHEELS_MANIFEST = "wheels_manifest.json"
"""The manifest of the wheels, by which their folder is found: {"files": {path in its folder: sha256}, ...}."""

REQUIREMENTS = "requirements.txt"
"""In the folder of the wheels: what to install, pinned, with hashes."""


def install_wheels(inputs: Path, scored: bool) -> list[str]:
    """Install the attached wheels and remove a torchao that peft refuses; returns a line for each thing done.

    BadInput where a wheel is missing or changed, where neither the wheels nor the image have a bitsandbytes that is new
    enough, or where several sets of wheels are attached and the run is not `scored`.
    """
    found = folders_with(inputs, WHEELS_MANIFEST)
    folders = distinct(found, lambda folder: (folder / WHEELS_MANIFEST).read_bytes())
    doubts = require_one(folders, "sets of wheels", scored)
    if not folders:
        return [f"no wheels are attached; {installed_bitsandbytes(inputs)}", *remove_old_torchao()]
    wheels = folders[0]
    if wrong := manifest_mismatches(wheels, WHEELS_MANIFEST):
        raise BadInput(f"{wrong[0]}; upload the wheels again")
    pip("install", "--no-index", "--no-deps", "--require-hashes", f"--find-links={wheels / 'wheelhouse'}",
        "--requirement", str(wheels / REQUIREMENTS))  # fmt: skip
    pins = [line.split()[0] for line in (wheels / REQUIREMENTS).read_text().splitlines() if "==" in line]
    has_torchao = any(pin.startswith("torchao==") for pin in pins)
    return [f"installed from {wheels}: {', '.join(pins)}", *doubts, *([] if has_torchao else remove_old_torchao())]


def installed_bitsandbytes(inputs: Path) -> str:
    """A line with the version of the bitsandbytes that is installed; BadInput where it is none, or too old."""
    oldest, _ = SUPPORTED["bitsandbytes"]
    try:
        version = importlib.metadata.version("bitsandbytes")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if numbers(version) < numbers(oldest):
        found = f"only bitsandbytes {version} is installed" if version else "bitsandbytes is not installed"
        raise BadInput(f"{found} ({oldest} is needed) and no {WHEELS_MANIFEST} is under {inputs}: attach the wheels")
    return f"bitsandbytes {version} is installed already"


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
    # And --isolated: a target set elsewhere may be in the output.
    alone = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", command, *quiet, *words], capture_output=True, text=True, env=alone
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BadInput(f"pip {command}: {' '.join(lines[:1]) or f'exit status {done.returncode}'}")
