"""All of a bundle that can be checked without a network, a sentence for each thing that is wrong."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, sha256, whole, wrong_files
from submission.kaggle.packaging import metadata as named
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.bundle import BUNDLE, ROOT, WHEELHOUSE, code_files, digests
from submission.kaggle.packaging.image import OFFLINE_WHEELS, PROFILES, Profile, read_image
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.notebook import notebook
from submission.kaggle.prepare import CODE_MANIFEST, REQUIREMENTS, WHEELS_MANIFEST

MOST_FILES = 50
"""Files of one upload: Kaggle's own limit where more are not packed (kagglehub, MAX_FILES_TO_UPLOAD)."""

MOST_BYTES = 100e9
"""Private data of one Kaggle account."""


def read_bundle(folder: Path) -> tuple[Names, str, dict[str, str]]:
    """The names, profile and digests of a bundle; BadInput where there is none."""
    try:
        content: dict[str, Any] = json.loads((folder / BUNDLE).read_bytes())
        return Names(**content["names"]), str(content["profile"]), dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: has no readable {BUNDLE}, so it is not a bundle ({error})") from None


def verify(folder: Path, home: Path = OFFLINE_WHEELS) -> tuple[list[str], list[str]]:
    """What is wrong with a bundle, and what is only worth knowing; a sentence each. BadInput if it is no bundle.

    `home` holds the locks that the wheels must be of.
    """
    names, profile, files = read_bundle(folder)
    if profile not in PROFILES:
        raise BadInput(f"{folder / BUNDLE}: no profile is called {profile!r}")
    wrong = changed_files(folder, files)
    wrong += wrong_metadata(folder, names)
    wrong += wrong_notebook(folder, names)
    wrong += wrong_files(folder / "code", CODE_MANIFEST) or missing_code(folder / "code")
    wrong += wrong_wheels(folder / "wheels", Profile(profile, home))
    if names.model_version is not None:
        wrong += wrong_model(folder / "model" / "weights")
    wrong += oversized(folder)
    return wrong, [] if wrong else newer_code(folder / "code")


def changed_files(folder: Path, files: dict[str, str]) -> list[str]:
    """Files that are missing, changed, or not from the bundle."""
    there = {path: digest for path, digest in digests(folder).items() if path != BUNDLE}
    found = [f"{path}: is missing" for path in files if path not in there]
    found += [f"{path}: does not belong to the bundle" for path in there if path not in files]
    return found + [f"{path}: was changed" for path, digest in there.items() if files.get(path, digest) != digest]


def wrong_metadata(folder: Path, names: Names) -> list[str]:
    """Metadata files that are not what these names make: internet off, the right GPU, all sources."""
    expected = {
        "notebook/kernel-metadata.json": named.kernel_metadata(names),
        "code/dataset-metadata.json": named.dataset_metadata(names.code),
        "wheels/dataset-metadata.json": named.dataset_metadata(names.wheels),
    }
    if names.model_version is not None:
        expected["model/model-metadata.json"] = named.model_metadata(names)
        expected["model/weights/model-instance-metadata.json"] = named.variation_metadata(names)
    found = []
    for path, content in expected.items():
        try:
            actual = json.loads((folder / path).read_bytes())
        except (OSError, ValueError):
            actual = {}
        found += [f"{path}: {key} should be {value!r}" for key, value in content.items() if actual.get(key) != value]
    return found


def wrong_notebook(folder: Path, names: Names) -> list[str]:
    """Whether the notebook is the one that is generated, and its cells are Python."""
    path = folder / "notebook" / f"{names.name}.ipynb"
    fresh = notebook(names)
    for cell in json.loads(fresh)["cells"]:
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))
    same = path.is_file() and path.read_bytes() == fresh
    return [] if same else [f"{path.name}: is not the notebook that is generated: bundle again"]


def missing_code(code: Path) -> list[str]:
    """What a run needs and the manifest does not name."""
    needed = ("kernel_main.py", "submission/__main__.py", "submission/models/embedded/model.safetensors")
    return [f"code/{path}: is missing" for path in needed if not (code / path).is_file()]


def wrong_wheels(folder: Path, profile: Profile) -> list[str]:
    """Wheels that are not the locked ones or do not fit the image, among them torch, triton and nvidia's."""
    found = wrong_files(folder, WHEELS_MANIFEST)
    lock = folder / REQUIREMENTS
    if not lock.is_file() or sha256(lock) != sha256(profile.lock):
        found.append(f"{REQUIREMENTS}: is not offline_wheels/{profile.lock.name}: bundle again")
    there = sorted((folder / WHEELHOUSE).glob("*"))
    return found + wheels.problems(there, wheels.read_lock(profile), read_image(profile.image))


def wrong_model(folder: Path) -> list[str]:
    """Weights that are missing, changed or cut off."""
    if not (folder / MODEL_MANIFEST).is_file():
        return [f"model/weights/{MODEL_MANIFEST}: is missing"]
    try:
        whole(folder)
    except BadInput as error:
        return [str(error)]
    return wrong_files(folder, MODEL_MANIFEST)


def oversized(folder: Path) -> list[str]:
    """Uploads with too many files or bytes. A folder inside an upload travels as one archive."""
    found = []
    for upload in (folder / "code", folder / "wheels", folder / "model" / "weights"):
        count = len(list(upload.iterdir())) if upload.is_dir() else 0
        size = sum(path.stat().st_size for path in upload.rglob("*") if path.is_file())
        if count > MOST_FILES:
            found.append(f"{upload.name}: {count} files at its top, of which Kaggle takes {MOST_FILES}")
        if size > MOST_BYTES:
            found.append(f"{upload.name}: {size / 1e9:.0f} GB, and an account holds {MOST_BYTES / 1e9:.0f}")
    return found


def newer_code(code: Path) -> list[str]:
    """Whether this clone has gone on since the bundle was made."""
    differ = [
        path for path in code_files(ROOT) if not (code / path).is_file() or sha256(code / path) != sha256(ROOT / path)
    ]
    return [f"the clone has changed since ({differ[0]}, ...): bundle again to take that along"] if differ else []
