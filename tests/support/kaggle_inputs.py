"""Inputs of a Kaggle machine, in small: challenges, weights, a data set of wheels."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from submission.kaggle.install import REQUIREMENTS, WHEELS_MANIFEST
from submission.kaggle.manifests import sha256
from submission.kaggle.packaging.metadata import Names
from tests import drill
from tests.support.checkpoints import hollow

TASK = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}


NAMES = Names("someone")
"""Names of a bundle without a model."""
NAMES_WITH_MODEL = Names("someone", accelerator="l4x4", model_version=1, licence="MIT")
"""Names of a bundle with a model."""


def asked(folder: Path, tasks: dict[str, object], training: dict[str, object] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if training is not None:
        (folder / "arc-agi_training_challenges.json").write_text(json.dumps(training))
    (folder / drill.TEST_FILE).write_text(json.dumps(tasks))
    return folder / drill.TEST_FILE


def wheelhouse(folder: Path, content: str = "value = 7\n", requires: str = "") -> Path:
    """A data set of wheels with one small real wheel, as `build.py` lays it out; `requires`: another package."""
    (folder / "wheelhouse").mkdir(parents=True)
    wheel = folder / "wheelhouse" / "small_thing-1.0-py3-none-any.whl"
    info = "small_thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("small_thing.py", content)
        metadata = "Metadata-Version: 2.1\nName: small-thing\nVersion: 1.0\n"
        file.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"small_thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    digest = sha256(wheel)
    (folder / REQUIREMENTS).write_text(f"# a lock\nsmall-thing==1.0 --hash=sha256:{digest}\n")
    sealed(folder)
    return wheel


def sealed(folder: Path) -> None:
    """Write the manifest of a data set of wheels anew."""
    files = {str(p.relative_to(folder)): sha256(p) for p in folder.rglob("*") if p.suffix in (".whl", ".txt")}
    (folder / WHEELS_MANIFEST).write_text(json.dumps({"files": files}))


def attach(inputs: Path) -> Path:
    """A model among the inputs of a machine."""
    return hollow(inputs / "model")
