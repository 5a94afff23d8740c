"""Make the bundle: one folder with everything that is uploaded to Kaggle; the same input gives the same bytes.

DIR/code/      a data set: kernel_main.py, submission/, code_manifest.json
DIR/wheels/    a data set: wheelhouse/*.whl, requirements.txt (the lock), wheels_manifest.json
DIR/model/     a model: model-metadata.json, and weights/, its variation (only with --model; not with --model-source)
DIR/notebook/  the notebook and kernel-metadata.json
DIR/bundle.json  names, profile, and the sha256 of every file
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from submission.checkpoint.checkpoint import read_checkpoint
from submission.errors import BadInput
from submission.kaggle.install import REQUIREMENTS, WHEELS_MANIFEST
from submission.kaggle.manifests import MODEL_MANIFEST, manifest_mismatches, sha256
from submission.kaggle.packaging import metadata, wheels
from submission.kaggle.packaging.image import Profile, read_image
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.notebook import notebook
from submission.kaggle.prepare import CODE_MANIFEST, PUBLIC_TASKS

ROOT = Path(__file__).parents[3]
BUNDLE = "bundle.json"
WHEELHOUSE = "wheelhouse"


def bundle(
    names: Names, out: Path, profile: Profile, wheelhouse: Path | None, model: Path | None,
    public: Mapping[str, Any] | None = None,
) -> list[str]:  # fmt: skip
    """Write a bundle to `out`, a new or empty folder; returns one line with the size of each part.

    The wheels come from `wheelhouse` or, where that is None, from offline_wheels/<profile>/, to which missing ones are
    downloaded. `model` is a folder that `build.py model` wrote; None for the embedded model, and for one that is on
    Kaggle already (`names.model_source`). BadInput where a wheel or the model is not fit. `public`: file name ->
    content of the tasks that go along where there is no competition.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is not an empty folder; nothing is overwritten")
    if model is not None:
        require_prepared_model(model)
    wheel_files = locked_wheels(profile, wheelhouse)
    write_code(out / "code", names, public)
    write_wheels(out / "wheels", names, profile, wheel_files)
    if model is not None:
        write_model(out / "model", names, model)
    write_json(out / "notebook" / "kernel-metadata.json", metadata.kernel_metadata(names))
    (out / "notebook" / f"{names.name}.ipynb").write_bytes(notebook(names))
    write_json(out / BUNDLE, {"names": asdict(names), "profile": profile.name, "files": digests(out)})
    sizes = {
        part: sum(size for _, size in _sized(out / part)) / 1e6 for part in ("code", "wheels", "model", "notebook")
    }
    parts = [f"{out / part}: {size:.1f} MB" for part, size in sizes.items() if (out / part).exists()]
    return parts + unchecked_model(names)


def unchecked_model(names: Names) -> list[str]:
    """A sentence on a model that is attached from Kaggle: what nobody can check before the notebook runs; or none."""
    if names.model_source is None:
        return []
    return [
        f"model {names.model_source}: is attached from Kaggle and not in the bundle, so that neither its existence nor "
        "its files can be checked here, and no hash of them is known: the notebook's commit run checks config, tensors "
        "and layout of what is mounted"
    ]


def locked_wheels(profile: Profile, wheelhouse: Path | None) -> list[Path]:
    """The wheel files of a profile; BadInput where they are not the ones in its lock or do not fit the image."""
    folder = wheelhouse or profile.folder
    pins, images = wheels.read_lock(profile), [read_image(path) for path in profile.images]
    if wheelhouse is None and wheels.problems(sorted(folder.glob("*.whl")), pins, images):
        wheels.download(profile, folder)
    locked = {pin.sha256 for pin in pins}
    found = [path for path in sorted(folder.glob("*.whl")) if wheelhouse is not None or sha256(path) in locked]
    if wrong := wheels.problems(found, pins, images):
        raise BadInput(f"{folder}: {wrong[0]}")
    return found


def require_prepared_model(model: Path) -> None:
    """BadInput unless this is a whole model that `build.py model` wrote, and nothing has changed in it since."""
    read_checkpoint(model)
    if not (model / MODEL_MANIFEST).is_file():
        raise BadInput(f"{model}: has no {MODEL_MANIFEST}: run `python build.py model {model} --out READY` first")
    if wrong := manifest_mismatches(model, MODEL_MANIFEST):
        raise BadInput(wrong[0])


def write_code(folder: Path, names: Names, public: Mapping[str, Any] | None = None) -> None:
    """The data set of the code: the files of this clone that a run needs, and no others but public tasks."""
    for path in code_files(ROOT):
        _copy(ROOT / path, folder / path)
    for name, content in (public or {}).items():
        (folder / PUBLIC_TASKS).mkdir(exist_ok=True)
        (folder / PUBLIC_TASKS / name).write_bytes(json.dumps(content).encode())
    manifest = {"accelerator": names.accelerator, "model": metadata.attached_model(names), "files": digests(folder)}
    write_json(folder / CODE_MANIFEST, manifest)
    write_json(folder / "dataset-metadata.json", metadata.dataset_metadata(names.code))


def code_files(root: Path) -> list[str]:
    """The files of a clone that a run needs, as paths relative to `root`, sorted."""
    package = root / "submission"
    packaging = package / "kaggle" / "packaging"
    inside = [path for path in package.rglob("*.py") if packaging not in path.parents]
    inside += [package / "results" / name for name in ("report.css", "report.js")]
    inside += [path for path in (package / "models" / "embedded").iterdir() if path.is_file()]
    return sorted(["LICENSE", "kernel_main.py", *(path.relative_to(root).as_posix() for path in inside)])


def write_wheels(folder: Path, names: Names, profile: Profile, wheel_files: Iterable[Path]) -> None:
    """The data set of the wheels, all in one folder of it: Kaggle's command line uploads that as one archive."""
    for path in wheel_files:
        _copy(path, folder / WHEELHOUSE / path.name)
    _copy(profile.lock, folder / REQUIREMENTS)
    write_json(folder / WHEELS_MANIFEST, {"profile": profile.name, "files": digests(folder)})
    write_json(folder / "dataset-metadata.json", metadata.dataset_metadata(names.wheels))


def write_model(folder: Path, names: Names, model: Path) -> None:
    """The model's metadata, and its variation with the weights."""
    for path in sorted(model.iterdir()):
        _copy(path, folder / "weights" / path.name)
    write_json(folder / "model-metadata.json", metadata.model_metadata(names))
    write_json(folder / "weights" / "model-instance-metadata.json", metadata.variation_metadata(names))


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> sha256, of all files below a folder."""
    return {path: sha256(folder / path) for path, _ in _sized(folder)}


def write_json(path: Path, content: Any) -> None:
    """Write JSON as UTF-8 with "\\n" on every machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _sized(folder: Path) -> list[tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
