"""The README's commands exist, its tree is the real one, and the entry file runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from submission.__main__ import _parser

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


def test_the_tree_names_every_module_and_nothing_else() -> None:
    tree = re.search(r"```\nsubmission/\n(.*?)```", README, re.S)
    assert tree
    named = set(re.findall(r"^  ([a-z_]+\.py)", tree[1], re.M))
    real = {path.name for path in (ROOT / "submission").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert named - {"__main__.py"} == real


def test_the_entry_file_is_short_and_runs_a_task(tiny_grid_model: Path, tmp_path: Path) -> None:
    entry = ROOT / "kernel_main.py"
    assert len(entry.read_text().splitlines()) <= 80
    sets = [part for change in ("lessons.copies=1", "search.views=1", "adapt.rank=2") for part in ("--set", change)]
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
