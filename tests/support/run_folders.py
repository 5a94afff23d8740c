"""The folder of a finished run of two tasks, copied for each test; Kaggle's pair of files; a command that refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from submission.arc.task_files import read_challenges, read_solutions
from submission.cli.commands import main
from submission.config import EMBEDDED
from submission.results import journal
from submission.results.journal import TaskSource
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.cell import SCRIPTED
from tests.faults.scripted import Loader

ANSWERS = {"a": [[[1]]], "b": [[[1, 2]]]}
"""Task -> its true outputs, which are its test inputs."""

DEMONSTRATIONS = [{"input": [[k]], "output": [[k]]} for k in (3, 4)]


def kaggle_files(folder: Path, answers: dict[str, Any] = ANSWERS) -> tuple[Path, Path]:
    """A challenges file of tasks whose outputs are their inputs, and its solutions."""
    folder.mkdir(exist_ok=True, parents=True)
    files = folder / "challenges.json", folder / "solutions.json"
    body = {n: {"train": DEMONSTRATIONS, "test": [{"input": rows} for rows in each]} for n, each in answers.items()}
    for path, content in zip(files, (body, answers), strict=True):
        path.write_text(json.dumps(content))
    return files


def finished_run(folder: Path) -> Path:
    """The folder of a run that solved both tasks, with a scripted engine."""
    files = kaggle_files(folder / "files")
    tasks = read_challenges(files[0])
    job = RunSpec(folder / "out", EMBEDDED, SCRIPTED, workers=1, load=Loader())
    assert run(job, tasks, read_solutions(files[1], tasks))["solved_tasks"] == 2
    return folder / "out"


def copied(finished: Path, folder: Path) -> Path:
    """A copy of it in folder/out, whose stamp names files of its own in folder/files."""
    files = kaggle_files(folder / "files")
    tasks = read_challenges(files[0])
    out = Path(shutil.copytree(finished, folder / "out"))
    journal.write_stamp(out, "0", tasks, read_solutions(files[1], tasks), TaskSource(None, *map(str, files)))
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence that a command refuses its input with."""
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert told
    assert "\n" not in told
    assert "Traceback" not in told
    return told
