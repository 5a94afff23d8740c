"""What the options of a command name: settings, tasks and their source; no option is changed."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from submission.arc.prompts import task_cost
from submission.arc.task_files import TaskFile, read_solutions, read_tasks, require_agreement
from submission.arc.tasks import NO_GRID, BadTask, Solutions, Task, public_set
from submission.checkpoint.checkpoint import Checkpoint, layout_name, names_its_layout, read_checkpoint
from submission.cli.arguments import DEFAULT_SET, DEFAULT_TASKS, HELD_OUT
from submission.cli.option_values import listed
from submission.config import Settings, with_changes
from submission.errors import BadInput, require
from submission.model.memory_plan import is_large
from submission.presets import PRESETS, names_for, preset, recipe_of
from submission.results.journal import TaskSource

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
        layout = layout_name(options.model)
        fitting = ", ".join(names_for(layout)) or "none of them"
        raise BadInput(
            f"{options.model}: is a large model; name the settings for it by --preset: {others} (for its layout, "
            f"{layout}: {fitting})"
        )
    return "laptop"


def settings_named(options: argparse.Namespace) -> Settings:
    """The settings of the preset with the changes of --set; BadInput where one of them does not exist.

    A preset that is another recipe than that of the model's layout is told in the log.
    """
    name = preset_named(options)
    settings = with_changes(preset(name), options.set)
    layout = layout_name(options.model)
    if settings.model.layout == "auto" and not names_its_layout(options.model):
        told = "%s: layout %s, concluded from its vocabulary; python -m submission check --model %s measures if it fits"
        logger.info(told, options.model, layout, options.model)
    if recipe_of(name) and name not in names_for(layout):
        fitting = ", ".join(names_for(layout)) or "no preset"
        logger.warning(
            "preset %s is not for layout %s, which %s has; for that there is %s", name, layout, options.model, fitting
        )
    return settings


@dataclass(frozen=True, eq=False)
class Chosen:
    """The tasks that the options name."""

    tasks: dict[str, Task]
    solutions: Solutions | None
    """The outputs of these tasks and of those left blank; None where some are unknown."""
    blank: Mapping[str, BadTask] = field(default_factory=dict)
    """Bad tasks that --skip-bad leaves blank; of the outputs of such a task nothing is known but that it is wrong."""


def tasks_chosen(options: argparse.Namespace, number: int | None = None) -> Chosen:
    """The tasks that --only names, or the `number` shortest of the source (None: the default number of the source).

    Bad tasks among them are a BadInput, or with --skip-bad left blank. Of a file, all its tasks count where no number
    leaves some out.
    """
    source = _source(options)
    if options.only is not None:
        return _selected(options, source, ids_in(options.only, {**source.tasks, **source.bad}))
    if number is None:
        number = DEFAULT_TASKS if options.challenges is None else len(source.tasks)
    if not options.skip_bad:
        source.require_good([*source.tasks, *source.bad], SKIPPING)
    longest = {name: task_cost(task) for name, task in source.tasks.items()}
    chosen = sorted(source.tasks, key=lambda name: (longest[name], name))[:number]
    return _selected(options, source, [*chosen, *(source.bad if number >= len(source.tasks) else ())])


def tasks_named(options: argparse.Namespace, number: int | None = None) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks of `tasks_chosen` that can be read, and their solutions, None where some are unknown."""
    chosen = tasks_chosen(options, number)
    return chosen.tasks, chosen.solutions


def all_tasks(options: argparse.Namespace) -> Chosen:
    """All tasks of the source that the options name."""
    source = _source(options)
    return _selected(options, source, [*source.tasks, *source.bad])


def source_of(options: argparse.Namespace) -> TaskSource:
    """What the options say of where tasks come from, for a run to keep; paths are absolute."""
    if options.challenges is None:
        return TaskSource(options.data or DEFAULT_SET)
    paths = (None if path is None else str(path.absolute()) for path in (options.challenges, options.solutions))
    return TaskSource(None, *paths)


def ids_in(text: str, known: Mapping[str, object]) -> list[str]:
    """The ids in an option, each once: as they stand in the list, or without spaces around them."""
    ids = [name if name in known else name.strip() for name in listed(text)]
    if not ids:
        raise BadInput("--only names no task: give ids, separated by commas")
    return list(dict.fromkeys(ids))


SKIPPING = "--skip-bad leaves such tasks blank and solves the others"


def _source(options: argparse.Namespace) -> TaskFile:
    """All tasks of the file, folder or set that the options name."""
    if options.challenges is not None:
        require(options.data is None, "--data and --challenges name two sources of tasks: leave one of them out")
        return read_tasks(options.challenges)
    if options.solutions is not None:
        raise BadInput("--solutions needs --challenges: a public set has its own solutions")
    name = options.data or DEFAULT_SET
    if name == HELD_OUT:
        from submission.training.corpus import held_out_tasks

        return TaskFile(name, *held_out_tasks())
    return TaskFile(name, *public_set(name))


def _selected(options: argparse.Namespace, source: TaskFile, names: Sequence[str]) -> Chosen:
    """These tasks of a source, with their solutions; the log says what was read."""
    if unknown := [name for name in names if name not in source.tasks and name not in source.bad]:
        raise BadInput(
            f"there is no task {unknown[0]!r} among these {len(source.tasks) + len(source.bad)}: name its set by "
            "--data, or its file by --challenges"
        )
    if not options.skip_bad:
        source.require_good(names, SKIPPING)
    tasks = {name: source.tasks[name] for name in names if name in source.tasks}
    blank = {name: source.bad[name] for name in names if name in source.bad}
    if not tasks:
        source.require_good(names)
    if options.solutions is not None:
        solutions: Solutions | None = read_solutions(options.solutions, tasks)
        require_agreement(source, solutions or {}, options.solutions)
    else:
        inside = source.solutions()
        solutions = {name: inside[name] for name in tasks} if all(name in inside for name in tasks) else None
    logger.info("%s", _line(source, tasks, blank, solutions, options.solutions))
    if solutions is not None:
        solutions = {**solutions, **{name: (NO_GRID,) * bad.tests for name, bad in blank.items()}}
    return Chosen(tasks, solutions, blank)


def _line(
    source: TaskFile, tasks: Mapping[str, Task], blank: Mapping[str, BadTask], solutions: Solutions | None,
    answers: Path | None,
) -> str:  # fmt: skip
    """What was read: tasks, test inputs, outputs, and from where."""
    tests = sum(len(task.tests) for task in tasks.values())
    parts = [f"{source.name}: {len(tasks)} of its {len(source.tasks) + len(source.bad)} tasks, {tests} test inputs"]
    if solutions is not None:
        parts.append(f"all outputs known (from {answers.name if answers else source.name})")
    else:
        known = sum(each is not None for name in tasks for each in source.outputs.get(name, ()))
        parts.append(f"{known} outputs known{', too few to score the run' if known else ''}")
    if blank:
        parts.append(f"{len(blank)} bad tasks left blank")
    return ", ".join(parts)


def paths_in(options: argparse.Namespace) -> list[Path]:
    """The paths that the user named."""
    return [value for value in vars(options).values() if isinstance(value, Path)]
