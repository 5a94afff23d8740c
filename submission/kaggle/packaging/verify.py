"""Check a bundle without a network; one sentence for each thing that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from submission.checkpoint.checkpoint import read_checkpoint
from submission.errors import BadInput
from submission.kaggle.install import REQUIREMENTS, WHEELS_MANIFEST
from submission.kaggle.manifests import MODEL_MANIFEST, manifest_mismatches, sha256
from submission.kaggle.packaging import metadata, wheels
from submission.kaggle.packaging.bundle import BUNDLE, ROOT, WHEELHOUSE, code_files, digests, unchecked_model
from submission.kaggle.packaging.image import OFFLINE_WHEELS, PROFILES, Profile, read_image
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.notebook import edited_settings
from submission.kaggle.prepare import CODE_MANIFEST

MAX_FILES = 50
"""Files at the top of one upload that Kaggle takes unpacked (kagglehub, MAX_FILES_TO_UPLOAD)."""

MAX_BYTES = 100e9
"""Private data that one Kaggle account may hold."""


def read_bundle(folder: Path) -> tuple[Names, str, dict[str, str]]:
    """The names, profile and digests of a bundle; BadInput where there is none."""
    try:
        content: dict[str, Any] = json.loads((folder / BUNDLE).read_bytes())
        return Names(**content["names"]), str(content["profile"]), dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: has no readable {BUNDLE}, so it is not a bundle ({error})") from None


def verify(folder: Path, home: Path = OFFLINE_WHEELS) -> tuple[list[str], list[str]]:
    """What is wrong with a bundle, and notes that are no errors; one sentence each. BadInput where it is no bundle.

    `home` is the folder of the wheels' locks.
    """
    names, profile, files = read_bundle(folder)
    if profile not in PROFILES:
        raise BadInput(f"{folder / BUNDLE}: no profile is called {profile!r}")
    notebook = f"notebook/{names.name}.ipynb"  # Its settings may be edited.
    wrong = changed_files(folder, files, besides=notebook)
    wrong += wrong_metadata(folder, names)
    edited, bad = judged_notebook(folder / notebook, names)
    wrong += bad
    wrong += manifest_mismatches(folder / "code", CODE_MANIFEST) or missing_code(folder / "code")
    wrong += wrong_wheels(folder / "wheels", Profile(profile, home))
    if names.model_version is not None:
        wrong += wrong_model(folder / "model" / "weights")
    wrong += oversized(folder)
    return wrong, unchecked_model(names) + ([] if wrong else edited + newer_code(folder / "code"))


def changed_files(folder: Path, files: dict[str, str], besides: str) -> list[str]:
    """Files that are missing, changed or added since the bundle was made; `besides` may have changed."""
    present = {path: digest for path, digest in digests(folder).items() if path != BUNDLE}
    present |= {besides: files.get(besides, "")} if besides in present else {}
    found = [f"{path}: is missing" for path in files if path not in present]
    found += [f"{path}: does not belong to the bundle" for path in present if path not in files]
    return found + [f"{path}: was changed" for path, digest in present.items() if files.get(path, digest) != digest]


def wrong_metadata(folder: Path, names: Names) -> list[str]:
    """Metadata files that differ from those for these names: internet off, the right GPU, all sources."""
    expected = {
        "notebook/kernel-metadata.json": metadata.kernel_metadata(names),
        "code/dataset-metadata.json": metadata.dataset_metadata(names.code),
        "wheels/dataset-metadata.json": metadata.dataset_metadata(names.wheels),
    }
    if names.model_version is not None:
        expected["model/model-metadata.json"] = metadata.model_metadata(names)
        expected["model/weights/model-instance-metadata.json"] = metadata.variation_metadata(names)
    found = []
    for path, content in expected.items():
        try:
            actual = json.loads((folder / path).read_bytes())
        except (OSError, ValueError):
            actual = {}
        found += [f"{path}: {key} should be {value!r}" for key, value in content.items() if actual.get(key) != value]
    return found


def judged_notebook(path: Path, names: Names) -> tuple[list[str], list[str]]:
    """A note for each setting that was edited, and what is wrong: only the cell of settings may be edited."""
    if not path.is_file():
        return [], []  # It is told as missing.
    try:
        edited = edited_settings(path.read_bytes(), names)
    except BadInput as error:
        return [], [f"{path.name}: {error}"]
    return [f"{path.name}: edited, {name} = {value!r}" for name, value in edited.items()], []


def missing_code(code: Path) -> list[str]:
    """Files that no run can do without and that are missing."""
    needed = ("kernel_main.py", "submission/__main__.py", "submission/models/embedded/model.safetensors")
    return [f"code/{path}: is missing" for path in needed if not (code / path).is_file()]


def wrong_wheels(folder: Path, profile: Profile) -> list[str]:
    """Wheels that are not the locked ones or do not fit the image; torch, triton and nvidia's are never allowed."""
    found = manifest_mismatches(folder, WHEELS_MANIFEST)
    lock = folder / REQUIREMENTS
    if not lock.is_file() or sha256(lock) != sha256(profile.lock):
        found.append(f"{REQUIREMENTS}: is not offline_wheels/{profile.lock.name}: bundle again")
    present = sorted((folder / WHEELHOUSE).glob("*"))
    return found + wheels.problems(present, wheels.read_lock(profile), map(read_image, profile.images))


def wrong_model(folder: Path) -> list[str]:
    """A model that cannot be used, or whose files are missing or changed."""
    if not (folder / MODEL_MANIFEST).is_file():
        return [f"model/weights/{MODEL_MANIFEST}: is missing"]
    try:
        read_checkpoint(folder)
    except BadInput as error:
        return [str(error)]
    return manifest_mismatches(folder, MODEL_MANIFEST)


def oversized(folder: Path) -> list[str]:
    """Uploads with too many files or bytes. A folder inside an upload is one file: it is uploaded as an archive."""
    found = []
    for upload in (folder / "code", folder / "wheels", folder / "model" / "weights"):
        count = len(list(upload.iterdir())) if upload.is_dir() else 0
        size = sum(path.stat().st_size for path in upload.rglob("*") if path.is_file())
        if count > MAX_FILES:
            found.append(f"{upload.name}: {count} files at its top, and Kaggle takes {MAX_FILES}")
        if size > MAX_BYTES:
            found.append(f"{upload.name}: {size / 1e9:.0f} GB, and an account holds {MAX_BYTES / 1e9:.0f}")
    return found


def newer_code(code: Path) -> list[str]:
    """A note where the code of this clone has changed since the bundle was made."""
    differ = [
        path for path in code_files(ROOT) if not (code / path).is_file() or sha256(code / path) != sha256(ROOT / path)
    ]
    return [f"the code has changed since the bundle was made ({differ[0]}, ...): bundle again"] if differ else []
