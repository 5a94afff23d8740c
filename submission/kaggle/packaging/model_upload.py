"""Prepare a model folder for Kaggle: check it, shrink or quantize it on request, safetensors only, with a manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from submission.checkpoint.checkpoint import Checkpoint, read_checkpoint
from submission.checkpoint.weight_files import PICKLED, has_safetensors
from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, sha256

KEPT_SUFFIXES = {".safetensors", ".json", ".txt", ".model", ".jinja", ".md", ""}
"""Suffixes of the files that are copied ("" for LICENSE); pickled weights and code never are."""

WEIGHT_NAMES = (".safetensors", ".safetensors.index.json", ".bin.index.json")
"""How the names of weights and of their indexes end: which of them are copied, the checkpoint tells."""

REMOTE = "hf:"


def prepared_model(source: str, out: Path, shrink: str | None = None, quantize: bool = False) -> Path:
    """Write a model folder with manifest.json, {"files": {name: sha256}}, to `out`; returns `out`.

    `source` is a folder, or hf:REPO, which needs a network. `shrink` names the layout to whose tokens the vocabulary is
    cut; `quantize` turns the blocks into NF4. BadInput where the source cannot be used, or is quantized already and
    should be quantized. What was written is read back.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    folder = downloaded(source.removeprefix(REMOTE)) if source.startswith(REMOTE) else Path(source)
    checkpoint = read_checkpoint(folder)
    if quantize and checkpoint.quantized:
        raise BadInput(f"{folder}: is quantized already; prepare it without --quantize")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        if shrink is not None:
            words = ["shrink", "--model", str(folder), "--layout", shrink, "--out", str(Path(scratch, "small"))]
            _run_python(["-m", "submission", *words, *(["--nf4"] if quantize else [])], f"{folder} could not be shrunk")
            folder = Path(scratch, "small")
        elif quantize:
            _run_python(["-c", QUANTIZE, str(folder), str(Path(scratch, "nf4"))], f"{folder} could not be quantized")
            _copy_missing(folder, Path(scratch, "nf4"))
            folder = Path(scratch, "nf4")
        copy_with_manifest(read_checkpoint(folder), Path(scratch, "ready"))
        read_checkpoint(Path(scratch, "ready"))
        if out.exists():
            out.rmdir()  # It is empty.
        Path(scratch, "ready").replace(out)
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
    """The folder of a model repository on huggingface.co, downloaded.

    BadInput without a network, and where the weights are in no format that is taken: such files are not downloaded.
    """
    failed = f"{repository} could not be downloaded"
    patterns = ["LICENSE*", "NOTICE*", *sorted(f"*{suffix}" for suffix in KEPT_SUFFIXES if suffix)]
    program = (
        "import sys; from huggingface_hub import snapshot_download; "
        f"print(snapshot_download(sys.argv[1], allow_patterns={patterns}))"
    )
    folder = Path(_run_python(["-c", program, repository], failed).splitlines()[-1])
    if not has_safetensors(folder):
        program = (
            "import sys; from huggingface_hub import list_repo_files; print(*list_repo_files(sys.argv[1]), sep='\\n')"
        )
        require_safetensors(repository, _run_python(["-c", program, repository], failed).splitlines())
    return folder


def require_safetensors(repository: str, names: Sequence[str]) -> None:
    """BadInput where the files of a repository hold no safetensors; pickled weights can be converted."""
    if any(name.endswith(".safetensors") for name in names):
        return
    pickled = sorted(name for name in names if name.endswith(PICKLED))
    if not pickled:
        raise BadInput(f"{repository}: has no *.safetensors among its {len(names)} files")
    raise BadInput(
        f"{repository}: has no *.safetensors; pickled weights ({pickled[0]}) are not taken: download them by `hf "
        f"download {repository} --local-dir FOLDER`, convert them by AutoModelForCausalLM.from_pretrained(FOLDER)"
        ".save_pretrained(OUT), and give OUT, with the tokenizer's files, in place of the repository"
    )


def copy_with_manifest(checkpoint: Checkpoint, out: Path) -> None:
    """Copy the weight files of a model and what else belongs to it, and write their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    index = [] if checkpoint.weights.index is None else [checkpoint.weights.index]
    names = sorted([path.name for path in (*checkpoint.files, *index)] + _other_files(checkpoint.folder))
    for name in names:
        shutil.copyfile(checkpoint.folder / name, out / name)
    manifest = {"files": {name: sha256(out / name) for name in names}}
    (out / MODEL_MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")


def _other_files(folder: Path) -> list[str]:
    """The names of the files of a model folder that are no weights: config, tokenizer, licence."""
    names = [path.name for path in folder.iterdir() if path.is_file() and path.suffix in KEPT_SUFFIXES]
    return [
        name
        for name in names
        if not name.startswith(".") and name != MODEL_MANIFEST and not name.endswith(WEIGHT_NAMES)
    ]


def _copy_missing(folder: Path, out: Path) -> None:
    """Copy what quantizing does not write: tokenizer, licence."""
    for name in sorted(_other_files(folder)):
        if not (out / name).exists():
            shutil.copyfile(folder / name, out / name)


def _run_python(words: list[str], failed: str) -> str:
    """Run this interpreter; returns what it prints. BadInput with its last error line if it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise BadInput(f"{failed}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout
