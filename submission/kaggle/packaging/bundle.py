"""The bundle: one folder with all that goes to Kaggle, byte by byte the same for the same input.

DIR/code/      a data set: kernel_main.py, submission/, code_manifest.json
DIR/wheels/    a data set: wheelhouse/*.whl, requirements.txt (the lock), wheels_manifest.json
DIR/model/     a model: model-metadata.json, and weights/, its variation (only with --model)
DIR/notebook/  the notebook and kernel-metadata.json
DIR/bundle.json  what it was made of, and the sha256 of every file
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, sha256, wrong_files
from submission.kaggle.packaging import metadata as named
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.image import Profile, read_image
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.model_upload import checked
from submission.kaggle.packaging.notebook import notebook
from submission.kaggle.prepare import CODE_MANIFEST, REQUIREMENTS, WHEELS_MANIFEST

ROOT = Path(__file__).parents[3]
BUNDLE = "bundle.json"
WHEELHOUSE = "wheelhouse"


def bundle(names: Names, out: Path, profile: Profile, wheelhouse: Path | None, model: Path | None) -> list[str]:
    """Write a bundle to `out`, an empty or new folder; returns what is worth saying. BadInput where it cannot be made.

    The wheels are those of `wheelhouse`, or of offline_wheels/<profile>/, downloaded into it if they are not there.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is not an empty folder; nothing is overwritten")
    if model is not None:
        checked_model(model)
    chosen = gathered(profile, wheelhouse)
    write_code(out / "code", names)
    write_wheels(out / "wheels", names, profile, chosen)
    if model is not None:
        write_model(out / "model", names, model)
    write_json(out / "notebook" / "kernel-metadata.json", named.kernel_metadata(names))
    (out / "notebook" / f"{names.name}.ipynb").write_bytes(notebook(names))
    write_json(out / BUNDLE, {"names": asdict(names), "profile": profile.name, "files": digests(out)})
    sizes = {
        part: sum(size for _, size in _sized(out / part)) / 1e6 for part in ("code", "wheels", "model", "notebook")
    }
    return [f"{out / part}: {size:.1f} MB" for part, size in sizes.items() if (out / part).exists()]


def gathered(profile: Profile, wheelhouse: Path | None) -> list[Path]:
    """The locked wheels of a profile; BadInput where they are not what the lock says."""
    folder = wheelhouse or profile.folder
    pins, image = wheels.read_lock(profile), read_image(profile.image)
    if wheelhouse is None and wheels.problems(sorted(folder.glob("*.whl")), pins, image):
        wheels.download(profile, folder)
    locked = {pin.sha256 for pin in pins}
    there = [path for path in sorted(folder.glob("*.whl")) if wheelhouse is not None or sha256(path) in locked]
    if wrong := wheels.problems(there, pins, image):
        raise BadInput(f"{folder}: {wrong[0]}")
    return there


def checked_model(model: Path) -> None:
    """BadInput unless this is a model that `build.py model` has made, as it made it."""
    if not (model / MODEL_MANIFEST).is_file():
        raise BadInput(f"{model}: has no {MODEL_MANIFEST}: run `python build.py model {model} --out READY` first")
    if wrong := wrong_files(model, MODEL_MANIFEST):
        raise BadInput(wrong[0])
    checked(model)


def write_code(folder: Path, names: Names) -> None:
    """The data set of the code: what a run needs of this clone, and nothing else that may lie in it."""
    for path in code_files(ROOT):
        _copied(ROOT / path, folder / path)
    write_json(folder / CODE_MANIFEST, {"files": digests(folder)})
    write_json(folder / "dataset-metadata.json", named.dataset_metadata(names.code))


def code_files(root: Path) -> list[str]:
    """The files of a clone that a run needs, as paths below it."""
    package = root / "submission"
    packaging = package / "kaggle" / "packaging"
    inside = [path for path in package.rglob("*.py") if packaging not in path.parents]
    inside += [package / "results" / name for name in ("report.css", "report.js")]
    inside += [path for path in (package / "models" / "embedded").iterdir() if path.is_file()]
    return sorted(["LICENSE", "kernel_main.py", *(path.relative_to(root).as_posix() for path in inside)])


def write_wheels(folder: Path, names: Names, profile: Profile, chosen: Iterable[Path]) -> None:
    """The data set of the wheels. They lie in a folder of their own, which travels as one archive, however many."""
    for path in chosen:
        _copied(path, folder / WHEELHOUSE / path.name)
    _copied(profile.lock, folder / REQUIREMENTS)
    write_json(folder / WHEELS_MANIFEST, {"profile": profile.name, "files": digests(folder)})
    write_json(folder / "dataset-metadata.json", named.dataset_metadata(names.wheels))


def write_model(folder: Path, names: Names, model: Path) -> None:
    """The model and its variation."""
    for path in sorted(model.iterdir()):
        _copied(path, folder / "weights" / path.name)
    write_json(folder / "model-metadata.json", named.model_metadata(names))
    write_json(folder / "weights" / "model-instance-metadata.json", named.variation_metadata(names))


def digests(folder: Path) -> dict[str, str]:
    """Path below a folder -> sha256, of all its files."""
    return {path: sha256(folder / path) for path, _ in _sized(folder)}


def write_json(path: Path, content: Any) -> None:
    """The same bytes for the same content, whatever the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _sized(folder: Path) -> list[tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files)


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
