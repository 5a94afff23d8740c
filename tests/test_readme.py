"""The README's commands exist, its tree is the real one, and the entry file runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from submission.cli.commands import _parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


def test_the_two_commands_are_there() -> None:
    assert "pip install -e . && python kernel_main.py" in COMMANDS
    assert "pip install -e '.[test]' && pytest" in COMMANDS


@pytest.mark.parametrize("command", [c for c in COMMANDS if "-m submission" in c or "kernel_main.py" in c])
def test_every_command_of_the_readme_parses(command: str) -> None:
    words = shlex.split(command.split("&&")[-1])
    entry = words.index("kernel_main.py") if "kernel_main.py" in words else words.index("submission")
    arguments = words[entry + 1 :]
    _parser().parse_args(["run", *arguments] if words[entry] == "kernel_main.py" else arguments)


def test_the_tree_names_every_package_and_module_of_the_first_level() -> None:
    tree = re.search(r"```\nsubmission/\n(.*?)```", README, re.S)
    assert tree
    lines = [line.split("  ")[0].split() for line in tree[1].splitlines()]
    named = {name.rstrip("/") for line in lines for name in line}
    package = ROOT / "submission"
    real = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == real | {path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_the_entry_file_is_short_and_runs_a_task(tiny_grid_model: Path, tmp_path: Path) -> None:
    entry = ROOT / "kernel_main.py"
    assert len(entry.read_text().splitlines()) <= 80
    sets = [
        part for change in ("training_rows.copies=1", "search.views=1", "adapt.rank=2") for part in ("--set", change)
    ]
    sets += ["--workers", "1"]
    done = subprocess.run(
        [sys.executable, str(entry), "--only", "66e6c45b", "--model", str(tiny_grid_model), "--out", "here", *sets],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "here" / "submission.json").read_text())) == {"66e6c45b"}
    assert "solved" in done.stdout
    refused = subprocess.run(
        [sys.executable, str(entry), "--only", "none"], cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
