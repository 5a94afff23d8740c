"""Prepare a model folder for Kaggle: check it, shrink or quantize it on request, safetensors only, with a manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from submission.config import require_model_folder
from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, require_complete_weights, sha256

KEPT_SUFFIXES = {".safetensors", ".json", ".txt", ".model", ".jinja", ".md", ""}
"""Suffixes of the files that are copied ("" for LICENSE); pickled weights and code never are."""

REMOTE = "hf:"


def prepared_model(source: str, out: Path, shrink: str | None = None, quantize: bool = False) -> Path:
    """Write a model folder with manifest.json, {"files": {name: sha256}}, to `out`; returns `out`.

    `source` is a folder, or hf:REPO, which needs a network. `shrink` names the layout to whose tokens the vocabulary is
    cut; `quantize` turns the blocks into NF4. BadInput where the source is not a complete model in safetensors.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        folder = downloaded(source.removeprefix(REMOTE)) if source.startswith(REMOTE) else Path(source)
        require_safetensors_model(folder)
        if shrink is not None:
            words = ["shrink", "--model", str(folder), "--layout", shrink, "--out", str(Path(scratch, "small"))]
            _run_python(["-m", "submission", *words, *(["--nf4"] if quantize else [])], f"{folder} could not be shrunk")
            folder = Path(scratch, "small")
        elif quantize:
            _run_python(["-c", QUANTIZE, str(folder), str(Path(scratch, "nf4"))], f"{folder} could not be quantized")
            _copy_missing(folder, Path(scratch, "nf4"))
            folder = Path(scratch, "nf4")
        copy_with_manifest(folder, out)
    return out


QUANTIZE = """
import sys
from pathlib import Path
from submission.config import Model
from submission.model.loading import load_base, resolve_device
source, out = map(Path, sys.argv[1:])
load_base(source, Model(), resolve_device("auto")).save_pretrained(out)
"""
"""A program for a child process: this one imports no torch."""


def downloaded(repository: str) -> Path:
    """The folder of a model repository on huggingface.co, downloaded; BadInput without a network."""
    patterns = ["LICENSE*", *sorted(f"*{suffix}" for suffix in KEPT_SUFFIXES if suffix)]
    program = (
        "import sys; from huggingface_hub import snapshot_download; "
        f"print(snapshot_download(sys.argv[1], allow_patterns={patterns}))"
    )
    printed = _run_python(["-c", program, repository], f"{repository} could not be downloaded")
    return Path(printed.splitlines()[-1])


def require_safetensors_model(folder: Path) -> None:
    """BadInput unless this folder is a complete model in safetensors."""
    require_model_folder(folder)
    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder}: has no *.safetensors; pickled weights are not taken: convert them first")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(name for name in named if not (folder / name).is_file()):
            raise BadInput(f"{folder / missing[0]}: is missing, but the index names it")
    require_complete_weights(folder)


def copy_with_manifest(folder: Path, out: Path) -> None:
    """Copy the files of a model, and write their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and _is_model_file(path))
    for name in names:
        shutil.copyfile(folder / name, out / name)
    manifest = {"files": {name: sha256(out / name) for name in names}}
    (out / MODEL_MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")


def _is_model_file(path: Path) -> bool:
    return path.suffix in KEPT_SUFFIXES and not path.name.startswith(".") and path.name != MODEL_MANIFEST


def _copy_missing(folder: Path, out: Path) -> None:
    """Copy what quantizing does not write: tokenizer, licence; not the old index, which names files that are gone."""
    for path in sorted(folder.iterdir()):
        weights = path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json")
        if path.is_file() and _is_model_file(path) and not weights and not (out / path.name).exists():
            shutil.copyfile(path, out / path.name)


def _run_python(words: list[str], failed: str) -> str:
    """Run this interpreter; returns what it prints. BadInput with its last error line if it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise BadInput(f"{failed}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout
