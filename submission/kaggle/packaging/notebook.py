"""The notebook that Kaggle runs, as bytes; the same names give the same bytes."""

from __future__ import annotations

import json
from typing import Any

from submission.kaggle.packaging.metadata import Names
from submission.kaggle.prepare import CODE_MANIFEST

TITLE = """\
# ARC Prize: test-time training, exact search, and a vote

The code is in the attached data set [{code}](https://www.kaggle.com/datasets/{code}); start reading at
`submission/solver/solve.py`. For each task a 4-bit language model is trained on the task's own demonstrations, searches
for all likely answers from many views of the task, and the candidates are voted on.

`submission.json` is complete from the first seconds on: it starts blank, and each finished task replaces its blank
answers. On the public placeholder tasks only four tasks run, for ten minutes at most; in the scored rerun, all of them.
"""

CHECK = f'''\
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("ARC_STARTED", str(time.monotonic()))  # The twelve hours start here.
KAGGLE = Path(os.environ.get("ARC_KAGGLE_ROOT", "/kaggle"))
SCORED = bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))  # Then no error may stop the notebook.

folders = [Path(at) for at, _, names in os.walk(KAGGLE / "input", followlinks=True) if "{CODE_MANIFEST}" in names]
if not folders:
    raise RuntimeError("The code is not attached: no {CODE_MANIFEST} under /kaggle/input.")


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

RUN = """\
status = call()
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
    """The notebook of a bundle: nbformat 4.5, no outputs, no counters."""
    cells = [
        _cell("title", "markdown", TITLE.format(code=names.code)),
        _cell("check", "code", CHECK),
        _cell("run", "code", RUN),
        _cell("result", "code", RESULT),
    ]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": python, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source.rstrip().splitlines(True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
