"""The README's commands run: as they are written, but on few tasks, with small settings and short times."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from submission.config import EMBEDDED

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

LINES = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.S)
    for line in block.splitlines()
]

RUN = ("kernel_main.py", "run", "score", "report", "check", "settings", "bench")
"""Commands that are run; the others train for hours, cut a large model, or make a bundle: they have tests elsewhere."""

SMALL = {
    "run": ["training_rows.copies=1", "search.views=2", "adapt.rank=2", "programs.seconds=1"],
    "bench": ["training_rows.copies=1", "search.views=2", "adapt.rank=2", "search.threshold=0.9"],
}

SHORT = {"--tasks": "1", "--hours": "0.01", "--minutes": "0.3", "--workers": "1"}
"""Options whose values are replaced."""


def commands() -> list[list[str]]:
    """The commands that are run, as words, without `python` and without what a cluster or a GPU is needed for."""
    found = []
    for line in LINES:
        words = shlex.split(line.split("&&")[-1])
        if words[:1] == ["python"] and not {"--ray", "--gpu", "8b"} & set(words):
            rest = words[3:] if words[1:3] == ["-m", "submission"] else words[1:]
            if rest and rest[0] in RUN:
                found.append(words[1:])
    return found


def shortened(words: list[str], folder: Path) -> list[str]:
    """The same with placeholders filled in, short times, few tasks and small settings."""
    filled = {"DIR": str(folder / "model"), "FILE": str(folder / "challenges.json")}
    made = [filled.get(word, word) for word in words]
    for option, value in SHORT.items():
        if option in made:
            at = made.index(option) + 1
            made[at] = ",".join([value, *(f"{float(value) + k / 20:.2f}" for k in range(1, 1 + made[at].count(",")))])
    name = next(word for word in made if word in RUN)
    kind = {"kernel_main.py": "run", "run": "run", "bench": "bench"}.get(name)
    if kind == "bench" and "plan" not in made and "--tasks" not in made:
        made += ["--tasks", "1"]
    if kind == "run" and not {"--tasks", "--only", "--challenges"} & set(made):
        made += ["--tasks", "1"]
    if kind and "plan" not in made:
        made += [part for change in SMALL[kind] for part in ("--set", change)]
    return made


@pytest.mark.slow
def test_every_command_that_needs_no_more_than_this_machine_runs(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED, tmp_path / "model")
    pair = {"input": [[1, 2], [3, 4]], "output": [[4, 3], [2, 1]]}
    task = {"train": [pair] * 3, "test": [{"input": [[1]]}]}
    (tmp_path / "challenges.json").write_text(json.dumps({"a": task, "b": task}))
    shutil.copyfile(ROOT / "kernel_main.py", tmp_path / "kernel_main.py")
    (tmp_path / "submission").symlink_to(ROOT / "submission")
    every = commands()
    assert len(every) >= 8
    failed = {}
    for words in every:
        short = shortened(words, tmp_path)
        done = subprocess.run([sys.executable, *short], cwd=tmp_path, capture_output=True, text=True)
        if done.returncode != 0:
            failed[" ".join(words)] = (" ".join(short), done.returncode, done.stderr[-500:])
    assert failed == {}
