"""What a command line names: settings, tasks, a submission, the records of a run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from submission.arc.prompts import task_cost
from submission.arc.tasks import Solutions, Task, public_set, read_challenges, read_solutions
from submission.cli.arguments import HELD_OUT, PANEL
from submission.config import PRESETS, Settings, preset, with_changes
from submission.errors import BadInput
from submission.model.memory_plan import is_large
from submission.results.store import FOLDERS


def settings_named(options: argparse.Namespace) -> Settings:
    """The settings that the options name, which know their preset from then on.

    BadInput for a large model without a preset that is meant for one.
    """
    if options.preset is None:
        if is_large(options.model):
            others = ", ".join(each for each in PRESETS if each != "laptop")
            raise BadInput(f"{options.model}: is a large model; name the settings for it by --preset: {others}")
        options.preset = "laptop"
    return with_changes(preset(options.preset), options.set)


def tasks_named(options: argparse.Namespace) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that are asked for, and their solutions where they are known."""
    if options.challenges is not None:
        tasks = read_challenges(options.challenges)
        solutions: Solutions | None = read_solutions(options.solutions, tasks) if options.solutions else None
    elif options.solutions is not None:
        raise BadInput("--solutions needs --challenges: a public set brings its own")
    elif options.data == HELD_OUT:
        from submission.training.corpus import held_out_tasks

        tasks, solutions = held_out_tasks()
    else:
        tasks, solutions = public_set(options.data)
    if options.only is not None:
        wanted = options.only.split(",")
        if unknown := [name for name in wanted if name not in tasks]:
            raise BadInput(
                f"there is no task {unknown[0]!r} among these {len(tasks)}: name its set by --data, or its file by "
                "--challenges"
            )
        chosen = wanted
    else:
        number = options.tasks if options.tasks is not None else (PANEL if options.challenges is None else len(tasks))
        longest = {name: task_cost(task) for name, task in tasks.items()}
        chosen = sorted(tasks, key=lambda name: (longest[name], name))[:number]
    kept = {name: tasks[name] for name in chosen}
    return kept, None if solutions is None else {name: solutions[name] for name in chosen}


def submission_in(out: Path) -> dict[str, Any]:
    """The submission in a run's folder, or in the file itself."""
    path = out / "submission.json" if out.is_dir() else out
    try:
        submission = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a submission ({error})") from None
    if not isinstance(submission, dict):
        raise BadInput(f"{path}: is not a submission, which is an object of tasks")
    return submission


def tasks_of(options: argparse.Namespace, submission: dict[str, Any]) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that a submission answers, from the file or set that the options name."""
    options.only, options.tasks = ",".join(submission), None
    return tasks_named(options)


def records_in(out: Path, names: Iterable[str], kind: str) -> dict[str, dict[str, Any]]:
    """The journal of one kind of solver, unchecked: what is read here is only shown."""
    paths = {name: out / FOLDERS[kind] / f"{name}.json" for name in names}
    try:
        return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    except (OSError, ValueError) as error:
        raise BadInput(f"{out / FOLDERS[kind]}: holds a record that cannot be read ({error})") from None
