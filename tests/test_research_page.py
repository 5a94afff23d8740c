"""The experiments of docs/research.md work: their changes apply to the package as it is, and their commands run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "research.md").read_text(encoding="utf-8")
CHANGES = re.findall(r"```diff\n(.*?)```", PAGE, re.S)
COMMANDS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)]
SMALL = ["training_rows.copies=1", "search.views=2", "adapt.rank=2", "search.threshold=0.9"]


def changed(change: str, folder: Path) -> Path:
    """A copy of the package with this change."""
    shutil.copytree(ROOT / "submission", folder / "submission", ignore=shutil.ignore_patterns("trunk", "__pycache__"))
    subprocess.run(["git", "apply", "--unidiff-zero", "-"], cwd=folder, input=change, text=True, check=True)
    return folder


def output_of(command: str, folder: Path) -> str:
    """Run a command of the page there, on one task with small settings."""
    words = re.sub(r"--tasks \d+", "--tasks 1", command)
    arguments = [sys.executable, *shlex.split(words)[1:]]
    if "score" not in arguments:
        arguments += [word for each in SMALL for word in ("--set", each)]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("change", CHANGES, ids=["rule", "recipe"])
def test_the_changes_apply(change: str, tmp_path: Path) -> None:
    folder = changed(change, tmp_path)
    code = "import submission.config, submission.solver.voting, submission.arc.training_rows"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


@pytest.mark.slow
def test_a_rule_of_ones_own_votes(tmp_path: Path) -> None:
    folder = changed(CHANGES[0], tmp_path)
    run, worst, poe = COMMANDS[0]
    output_of(run, folder)
    assert "solved by worst: " in output_of(worst, folder)
    assert "solved by poe: " in output_of(poe, folder)


@pytest.mark.slow
def test_a_recipe_of_ones_own_is_compared(tmp_path: Path) -> None:
    told = output_of(COMMANDS[1][0], changed(CHANGES[1], tmp_path))
    assert "training_rows.recipe=couples" in told
