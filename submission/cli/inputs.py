"""What the options of a command name: settings, tasks, a submission, the records of a run; no option is changed."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from submission.arc.prompts import task_cost
from submission.arc.tasks import Solutions, Task, public_set, read_challenges, read_solutions
from submission.checkpoint.checkpoint import Checkpoint, read_checkpoint
from submission.cli.arguments import DEFAULT_TASKS, HELD_OUT
from submission.config import PRESETS, Settings, preset, with_changes
from submission.errors import BadInput
from submission.model.memory_plan import is_large
from submission.results import journal
from submission.results.store import FOLDERS
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)


def checkpoint_named(folder: Path) -> Checkpoint:
    """The checkpoint in a folder that the user named, and a line in the log for what is odd about it.

    BadInput where it cannot be used. Every command calls this before anything is loaded or written.
    """
    checkpoint = read_checkpoint(folder)
    for note in checkpoint.notes():
        logger.warning("%s", note)
    return checkpoint


def preset_named(options: argparse.Namespace) -> str:
    """The name of the preset: --preset, or laptop.

    BadInput for a large model without --preset, or one that cannot be used.
    """
    if options.preset is not None:
        return str(options.preset)
    if is_large(options.model):
        others = ", ".join(each for each in PRESETS if each != "laptop")
        raise BadInput(f"{options.model}: is a large model; name the settings for it by --preset: {others}")
    return "laptop"


def settings_named(options: argparse.Namespace) -> Settings:
    """The settings of the preset with the changes of --set; BadInput where one of them does not exist."""
    return with_changes(preset(preset_named(options)), options.set)


def tasks_named(options: argparse.Namespace, number: int | None = None) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that --only names, or the `number` shortest of the source (None: the default number of the source).

    With them their solutions, None where they are unknown.
    """
    tasks, solutions = _source(options)
    if options.only is not None:
        chosen = options.only.split(",")
    else:
        if number is None:
            number = DEFAULT_TASKS if options.challenges is None else len(tasks)
        longest = {name: task_cost(task) for name, task in tasks.items()}
        chosen = sorted(tasks, key=lambda name: (longest[name], name))[:number]
    return _selected(chosen, tasks, solutions)


def tasks_of(options: argparse.Namespace, submission: dict[str, Any]) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that a submission answers, from the source that the options name, and their solutions where known."""
    tasks, solutions = _source(options)
    return _selected(list(submission), tasks, solutions)


def _source(options: argparse.Namespace) -> tuple[dict[str, Task], Solutions | None]:
    """All tasks of the file or set that the options name."""
    if options.challenges is not None:
        tasks = read_challenges(options.challenges)
        return tasks, read_solutions(options.solutions, tasks) if options.solutions else None
    if options.solutions is not None:
        raise BadInput("--solutions needs --challenges: a public set has its own solutions")
    if options.data == HELD_OUT:
        from submission.training.corpus import held_out_tasks

        return held_out_tasks()
    return public_set(options.data or "arc1-eval")


def _selected(
    names: Sequence[str], tasks: dict[str, Task], solutions: Solutions | None
) -> tuple[dict[str, Task], Solutions | None]:
    if unknown := [name for name in names if name not in tasks]:
        raise BadInput(
            f"there is no task {unknown[0]!r} among these {len(tasks)}: name its set by --data, or its file by "
            "--challenges"
        )
    kept = {name: tasks[name] for name in names}
    return kept, None if solutions is None else {name: solutions[name] for name in names}


def submission_in(out: Path) -> dict[str, Any]:
    """The submission in the output folder of a run, or in the file itself; BadInput where there is none."""
    path = out / "submission.json" if out.is_dir() else out
    try:
        submission = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a submission ({error})") from None
    if not isinstance(submission, dict):
        raise BadInput(f"{path}: is not a submission, which is an object of tasks")
    return submission


def records_in(out: Path, names: Iterable[str], kind: str) -> dict[str, TaskRecord]:
    """The journal records of one kind of solver by task, their fingerprints unchecked.

    A record that cannot be read is left out, and the log names it; BadInput where none can be read.
    """
    paths = {name: out / FOLDERS[kind] / f"{name}.json" for name in names}
    there = {name: path for name, path in paths.items() if path.exists()}
    records: dict[str, TaskRecord] = {}
    doubts = []
    for name, path in there.items():
        try:
            records[name] = journal.read_record(path, name, None)
        except BadInput as error:
            doubts.append(f"{path} {error}")
            logger.warning("%s: it is left out", doubts[-1])
    if there and not records:
        raise BadInput(doubts[0])
    return records


def paths_in(options: argparse.Namespace) -> list[Path]:
    """The paths that the user named."""
    return [value for value in vars(options).values() if isinstance(value, Path)]
