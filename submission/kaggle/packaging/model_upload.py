"""A model folder made ready for Kaggle: checked, shrunk or quantized on request, safetensors only, with a manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, sha256, whole

KEPT = {".safetensors", ".json", ".txt", ".model", ".jinja", ".md", ""}
"""Suffixes of the files of a model that go along (without one: LICENSE); pickled weights and code never do."""

REMOTE = "hf:"


def prepared_model(source: str, out: Path, shrink: str | None = None, quantize: bool = False) -> Path:
    """Write a model folder with manifest.json, {"files": {name: sha256}}, to `out`; returns `out`.

    `source` is a folder, or hf:REPO, which needs a network. `shrink` names the layout to whose tokens the vocabulary is
    cut; `quantize` turns the blocks into NF4. BadInput where the source is no whole model in safetensors.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    with tempfile.TemporaryDirectory(dir=_made(out.parent)) as scratch:
        folder = fetched(source.removeprefix(REMOTE)) if source.startswith(REMOTE) else Path(source)
        checked(folder)
        if shrink is not None:
            words = ["shrink", "--model", str(folder), "--layout", shrink, "--out", str(Path(scratch, "small"))]
            _called(["-m", "submission", *words, *(["--nf4"] if quantize else [])], f"{folder} could not be shrunk")
            folder = Path(scratch, "small")
        elif quantize:
            _called(["-c", QUANTIZE, str(folder), str(Path(scratch, "nf4"))], f"{folder} could not be quantized")
            _copied_missing(folder, Path(scratch, "nf4"))
            folder = Path(scratch, "nf4")
        copied(folder, out)
    return out


QUANTIZE = """
import sys
from pathlib import Path
from submission.config import Model
from submission.model.loading import load_base, resolve_device
source, out = map(Path, sys.argv[1:])
load_base(source, Model(), resolve_device("auto")).save_pretrained(out)
"""
"""In a process of its own: this one imports no torch, and gives all of its memory back."""


def fetched(repository: str) -> Path:
    """The folder of a model repository on huggingface.co, downloaded; BadInput without a network."""
    program = (
        "import sys; from huggingface_hub import snapshot_download; "
        f"print(snapshot_download(sys.argv[1], allow_patterns={['LICENSE*', *sorted(f'*{s}' for s in KEPT if s)]}))"
    )
    told = _called(["-c", program, repository], f"{repository} could not be downloaded")
    return Path(told.splitlines()[-1])


def checked(folder: Path) -> None:
    """BadInput unless this is a whole model in safetensors."""
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: there is no config.json, so this is not a model folder")
    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{folder}: has no *.safetensors; pickled weights are not taken: convert them first")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(name for name in named if not (folder / name).is_file()):
            raise BadInput(f"{folder / missing[0]}: is missing, but the index names it")
    whole(folder)


def copied(folder: Path, out: Path) -> None:
    """Copy what belongs to a model, and write the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and _belongs(path))
    for name in names:
        shutil.copyfile(folder / name, out / name)
    manifest = {"files": {name: sha256(out / name) for name in names}}
    (out / MODEL_MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")


def _belongs(path: Path) -> bool:
    return path.suffix in KEPT and not path.name.startswith(".") and path.name != MODEL_MANIFEST


def _copied_missing(folder: Path, out: Path) -> None:
    """What quantizing does not write: tokenizer, licence. The old index would name files that are no more."""
    for path in sorted(folder.iterdir()):
        weights = path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json")
        if path.is_file() and _belongs(path) and not weights and not (out / path.name).exists():
            shutil.copyfile(path, out / path.name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _called(words: list[str], failed: str) -> str:
    """What a process of this Python prints; BadInput with its last line if it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise BadInput(f"{failed}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout
