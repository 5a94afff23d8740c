"""The notebook that Kaggle runs, as bytes, and the one cell of it that may be edited: its settings."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from submission.config import with_changes
from submission.errors import BadInput
from submission.kaggle.limits import COMMIT_MINUTES, COMMIT_TASKS, HOURS, RANGES, require_in_range
from submission.kaggle.packaging.metadata import NO_COMPETITION, Names
from submission.kaggle.prepare import CODE_MANIFEST
from submission.presets import PRESETS

TITLE = """\
# ARC Prize: test-time training, exact search, and a vote

The code is in the attached data set [{code}](https://www.kaggle.com/datasets/{code}); start reading at
`submission/solver/solve.py`. For each task a 4-bit language model is trained on the task's own demonstrations, searches
for all likely answers from many views of the task, and the candidates are voted on.

`submission.json` is complete from the first seconds on: it starts blank, and each finished task replaces its blank
answers. {which}
"""

OF_A_COMPETITION = """\
On the public placeholder tasks only a few tasks run, for some minutes; in the scored rerun, all of them."""
OF_NO_COMPETITION = """\
No competition is attached: the public tasks that came with the code run, and the log has the score."""

ABOUT_SETTINGS = """\
**Settings.** The one cell to edit; `python build.py verify` knows it, and wants all others as they are.
"""

SETTINGS = f"""\
SOLVERS = "network,programs"  # Both kinds of solver, or one of them.
CHANGES = []  # Settings of the package, such as ["search.views=8", "adapt.rank=64"]; submission/config.py has them all.
HOURS = {HOURS}  # Of the run that counts, from the notebook's start. Kaggle ends it after 12.
COMMIT_TASKS = {COMMIT_TASKS}  # Tasks of the run before the scored one,
COMMIT_MINUTES = {COMMIT_MINUTES:g}  # and its minutes.
"""

ABOUT_CHECK = """\
**Check.** Writes a blank `submission.json`, installs the wheels, names the GPUs, the model and the preset, and solves a
tiny task; it fails if a part is missing or damaged.
"""

CHECK = f'''\
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("ARC_STARTED", str(time.monotonic()))  # The twelve hours start here.
limits = {{"ARC_HOURS": HOURS, "ARC_COMMIT_TASKS": COMMIT_TASKS, "ARC_COMMIT_MINUTES": COMMIT_MINUTES}}
os.environ |= {{name: str(value) for name, value in limits.items()}}
KAGGLE = Path(os.environ.get("ARC_KAGGLE_ROOT", "/kaggle"))
SCORED = bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))  # Then no error may stop the notebook.

folders = [Path(at) for at, _, names in os.walk(KAGGLE / "input", followlinks=True) if "{CODE_MANIFEST}" in names]
if not folders:
    raise RuntimeError("The code is not attached: no {CODE_MANIFEST} under /kaggle/input.")
if len(folders) > 1 and not SCORED:
    raise RuntimeError("The code is attached twice, detach one: " + " and ".join(map(str, folders)))


def call(*words: str) -> int:
    """Run kernel_main.py in a child process and show its output here; returns its exit status."""
    command = [sys.executable, "-u", str(folders[0] / "kernel_main.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    return process.returncode


if call("check") != 0 and not SCORED:
    raise RuntimeError("This machine or an attached input cannot be used: see above.")
'''

ABOUT_RUN = """\
**Run.** Solves the tasks, with a line in the log for each.
"""

RUN = """\
status = call("--solvers", SOLVERS, *(word for change in CHANGES for word in ("--set", change)))
"""

ABOUT_RESULT = """\
**Result.** Counts the answers; outside the scored rerun it fails if there are none.
"""

RESULT = """\
submission = json.loads((KAGGLE / "working" / "submission.json").read_text())
answered = [
    task for task, entries in submission.items() if any(grid != [[0]] for entry in entries for grid in entry.values())
]
print(f"{len(submission)} tasks, {len(answered)} of them with an answer: {', '.join(answered[:8])} ...")
if not SCORED and (status != 0 or not answered):
    raise RuntimeError(f"The run ended with status {status} and {len(answered)} answers: do not submit this version.")
"""


def notebook(names: Names) -> bytes:
    """The notebook of a bundle: nbformat 4.5, no outputs, no counters; the same names give the same bytes."""
    which = OF_NO_COMPETITION if names.competition == NO_COMPETITION else OF_A_COMPETITION
    cells = [
        _cell("title", "markdown", TITLE.format(code=names.code, which=which)),
        _cell("about-settings", "markdown", ABOUT_SETTINGS),
        _cell("settings", "code", SETTINGS),
        _cell("about-check", "markdown", ABOUT_CHECK),
        _cell("check", "code", CHECK),
        _cell("about-run", "markdown", ABOUT_RUN),
        _cell("run", "code", RUN),
        _cell("about-result", "markdown", ABOUT_RESULT),
        _cell("result", "code", RESULT),
    ]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": python, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source.rstrip().splitlines(True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def sources(content: bytes) -> list[tuple[str, str]]:
    """Kind and source of each cell; ValueError, KeyError or TypeError where this is no notebook."""
    cells = json.loads(content)["cells"]
    return [(str(cell["cell_type"]), "".join(cell["source"]).rstrip()) for cell in cells]


def edited_settings(content: bytes, names: Names) -> dict[str, Any]:
    """The settings of a notebook that are not the generated ones.

    BadInput where another cell is not the generated one, and where a setting is not one of them or out of its range.
    """
    fresh = sources(notebook(names))
    try:
        found = sources(content)
    except (ValueError, KeyError, TypeError):
        raise BadInput("is not a notebook") from None
    at = fresh.index(("code", SETTINGS.rstrip()))
    if len(found) != len(fresh) or any(found[k] != fresh[k] for k in range(len(fresh)) if k != at):
        raise BadInput("differs from the generated notebook in more than its settings: bundle again")
    ours, generated = settings_in(found[at][1]), settings_in(SETTINGS)
    if missing := [name for name in generated if name not in ours]:
        raise BadInput(f"the notebook's setting {missing[0]} is missing")
    return {name: value for name, value in ours.items() if value != generated[name]}


def settings_in(source: str) -> dict[str, Any]:
    """The settings that a cell assigns, by name; BadInput where it does anything else, or where a value is not fit."""
    found = {}
    try:
        for line in ast.parse(source).body:
            if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name) or len(line.targets) > 1:
                raise BadInput(f"the notebook's settings are NAME = VALUE, line by line, not {ast.unparse(line)}")
            found[line.targets[0].id] = ast.literal_eval(line.value)
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"the notebook's settings cannot be read ({error})") from None
    require_settings(found)
    return found


def require_settings(found: Mapping[str, Any]) -> None:
    """BadInput for a setting of the notebook that there is not, or whose value is not fit."""
    for name, value in found.items():
        if name in RANGES:
            require_in_range(name, str(value))
        elif name == "SOLVERS":
            if value not in ("network,programs", "programs,network", "network", "programs"):
                raise BadInput(f"the notebook's setting SOLVERS = {value!r}: expected network, programs, or both")
        elif name == "CHANGES":
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise BadInput(f"the notebook's setting CHANGES = {value!r}: expected a list of texts NAME=VALUE")
            with_changes(PRESETS["laptop"], value)
        else:
            raise BadInput(f"the notebook has no setting {name}")
