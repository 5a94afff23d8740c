"""What the options of a command name: settings, tasks and their source; no option is changed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from submission.arc.prompts import task_cost
from submission.arc.tasks import Solutions, Task, public_set, read_challenges, read_solutions
from submission.cli.arguments import DEFAULT_TASKS, HELD_OUT
from submission.config import PRESETS, Settings, preset, with_changes
from submission.errors import BadInput
from submission.model.memory_plan import is_large
from submission.results.journal import TaskSource


def preset_named(options: argparse.Namespace) -> str:
    """The name of the preset: --preset, or laptop; BadInput for a large model without --preset."""
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


def source_of(options: argparse.Namespace) -> TaskSource:
    """What the options say of where tasks come from, for a run to keep; paths are absolute."""
    if options.challenges is None:
        return TaskSource(options.data or "arc1-eval")
    paths = (None if path is None else str(path.absolute()) for path in (options.challenges, options.solutions))
    return TaskSource(None, *paths)


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


def paths_in(options: argparse.Namespace) -> list[Path]:
    """The paths that the user named."""
    return [value for value in vars(options).values() if isinstance(value, Path)]
