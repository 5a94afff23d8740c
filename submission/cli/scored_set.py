"""Which tasks a submission is scored on: those that options name, or those of the run that made it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from submission.arc.prompts import task_cost
from submission.arc.task_files import read_solutions
from submission.arc.tasks import NO_GRID, PUBLIC_SETS, Solutions, Task, public_set
from submission.atomic import read_json
from submission.cli.inputs import Chosen, all_tasks, ids_in
from submission.errors import BadInput
from submission.results import journal, submission_file
from submission.results.journal import Stamp, TaskSource

logger = logging.getLogger(__name__)

DEFAULT_SET = "arc1-eval"
"""The set of a submission whose tasks nobody names."""


@dataclass(frozen=True)
class ScoredSet:
    """The tasks that count, in order: the denominator of every score."""

    tasks: dict[str, Task] | None
    """None where a solutions file alone was named."""
    solutions: Solutions | None
    """The true outputs of these tasks; None where they are unknown."""
    known: Container[str]
    """Ids that the submission may hold without a fault: of the whole set, where only a part of it is scored."""


def scored_set(options: argparse.Namespace) -> ScoredSet:
    """The tasks that a submission is scored on, and a run's report shows.

    They are all tasks of the set or file that the options name; of a run's folder, and of the submission in it, the
    tasks of that run, which must have the content that the run saw (and are those of a public set where its own file is
    not here); of these the ones of --only and --tasks. BadInput where they cannot be read, are others than those of the
    run, or are not there.
    """
    stamp = _stamp_of(options)
    named = options.challenges is not None or options.data is not None
    if options.solutions is not None and not named and (stamp is None or stamp.source is None):
        return _of_solutions_alone(options, stamp)
    own = None if named or stamp is None or stamp.source is None else _found(options.out, stamp.source, stamp.tasks)
    source = own or _named(options)
    read = _read(options, source, stamp)
    tasks, solutions = read.tasks, read.solutions
    blank = {name: bad.tests for name, bad in read.blank.items()} if stamp is None else stamp.left_blank
    whole = tasks if stamp is None else _tasks_of_run(options.out, stamp, tasks, source)
    chosen = _narrowed(options, whole, blank)
    if len(chosen) < len(tasks):
        logger.info("scored on %d of these tasks", len(chosen))
    if options.solutions is not None and not named:
        solutions = read_solutions(options.solutions, {name: whole[name] for name in chosen if name in whole})
    _compare_solutions(options, stamp, source, tasks, solutions)
    if solutions is not None:
        # Nothing is known of the outputs of a task that cannot be read, but that no answer to it is right.
        solutions = {n: (NO_GRID,) * blank[n] if n in blank else solutions[n] for n in chosen}
    return ScoredSet({name: whole[name] for name in chosen if name in whole}, solutions, {*whole, *blank, *tasks})


def _stamp_of(options: argparse.Namespace) -> Stamp | None:
    """Which run is in a folder; None for a file and for a folder that holds no journal.

    Where the stamp is missing or damaged, the tasks are those of the submission, and the log says so.
    """
    if not (options.out / "journal").is_dir():
        return None
    try:
        stamp = journal.read_stamp(options.out)
        if stamp is not None:
            if stamp.source is None and not (options.data or options.challenges or options.solutions):
                told = "%s: does not say where its tasks are from; they are taken from %s (--data names another set)"
                logger.warning(told, options.out, DEFAULT_SET)
            return stamp
        doubt = f"{options.out / 'journal' / '.run'}: is missing"
    except BadInput as error:
        doubt = str(error)
    if options.solutions is not None or options.only is not None:
        logger.warning("%s: which tasks were the run's is not known", doubt)
        return None
    names = list(submission_file.read(submission_path(options.out)))
    number = read_json(options.out / "summary.json").get("tasks", len(names))
    if not names or number != len(names):
        raise BadInput(f"{doubt}, and submission.json holds {len(names)} tasks of {number}: name the tasks by --only")
    logger.warning("%s: the tasks are taken to be the %d of submission.json", doubt, len(names))
    return Stamp("", dict.fromkeys(names, ""))


def _named(options: argparse.Namespace) -> TaskSource:
    """The source that the options name, or the default one."""
    if options.challenges is None:
        return TaskSource(options.data or DEFAULT_SET)
    if options.data is not None:
        raise BadInput("--data and --challenges name two sources of tasks: leave one of them out")
    return TaskSource(None, *(None if path is None else str(path) for path in (options.challenges, options.solutions)))


def _found(out: Path, own: TaskSource, tasks: Mapping[str, str]) -> TaskSource:
    """Where the tasks of a run are: in its own source or, if that file is not here, in a public set with all of them.

    So the output of a Kaggle notebook, whose tasks are public but in the scored rerun, can be scored anywhere.
    """
    if own.challenges is None or Path(own.challenges).exists() or not tasks:
        return own
    for name in PUBLIC_SETS:
        known, _ = public_set(name)
        if all(each in known and seen == journal.task_digest(known[each]) for each, seen in tasks.items()):
            logger.warning("%s: %s is not here; %s has all tasks of this run", out, own.challenges, name)
            return TaskSource(name)
    return own


def _read(options: argparse.Namespace, source: TaskSource, stamp: Stamp | None) -> Chosen:
    """All tasks of a source, and their solutions where the source has them."""
    own = stamp is not None and source is stamp.source
    if options.solutions is not None and (own or options.challenges is None):
        if options.data is not None:
            raise BadInput(f"--data {options.data} has its own solutions: leave --solutions out, or name --challenges")
        source = replace(source, solutions=None)
    paths = {name: None if path is None else Path(path) for name, path in vars(source).items() if name != "data"}
    try:
        skip_bad = options.skip_bad or bool(stamp and stamp.left_blank)
        return all_tasks(argparse.Namespace(**{**vars(options), **paths, "data": source.data, "skip_bad": skip_bad}))
    except BadInput as error:
        if not own:
            raise
        moved = "if they have moved, name them by --challenges and --solutions"
        raise BadInput(f"{options.out}: the tasks of this run cannot be read ({error}); {moved}") from None


def _tasks_of_run(out: Path, stamp: Stamp, tasks: Mapping[str, Task], source: TaskSource) -> dict[str, Task]:
    """The tasks of the run in a folder; BadInput where one is not there, or has other content than the run saw."""
    lost = [name for name in stamp.tasks if name not in tasks]
    other = [n for n, seen in stamp.tasks.items() if n in tasks and seen not in ("", journal.task_digest(tasks[n]))]
    if lost or other:
        what = f"there is no task {lost[0]!r}" if lost else f"task {other[0]!r} has other content"
        own = "" if stamp.source is None else f"; the run read them from {stamp.source}"
        raise BadInput(
            f"{out}: {len(lost + other)} of the run's {len(stamp.tasks)} tasks are not those of {source}: {what} "
            f"there{own}: name the run's own by --data or --challenges"
        )
    return {name: tasks[name] for name in stamp.tasks}


def _narrowed(options: argparse.Namespace, tasks: Mapping[str, Task], blank: Mapping[str, int]) -> list[str]:
    """The tasks that --only names, or the --tasks shortest; all without these options, those left blank too."""
    if options.tasks is not None:
        costs = {name: task_cost(task) for name, task in tasks.items()}
        return sorted(tasks, key=lambda name: (costs[name], name))[: options.tasks]
    return _only(options, {**tasks, **blank})


def _only(options: argparse.Namespace, known: Mapping[str, object]) -> list[str]:
    """The ids of --only; all known ones without it. BadInput for one that is not known."""
    if options.only is None:
        return list(known)
    names = ids_in(options.only, known)
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"--only: there is no task {unknown[0]!r} among these {len(known)}")
    return names


def _of_solutions_alone(options: argparse.Namespace, stamp: Stamp | None) -> ScoredSet:
    """The tasks of a solutions file, or those of the run; their content cannot be compared."""
    if options.tasks is not None:
        raise BadInput("--tasks takes the shortest tasks: name their file by --challenges")
    solutions = read_solutions(options.solutions)
    known: Mapping[str, object] = solutions if stamp is None else stamp.tasks
    names = _only(options, known)
    if lost := [name for name in names if name not in solutions]:
        raise BadInput(f"{options.solutions}: task {lost[0]}: no solution is given, but the run has this task")
    return ScoredSet(None, {name: solutions[name] for name in names}, known)


def _compare_solutions(
    options: argparse.Namespace, stamp: Stamp | None, source: TaskSource, tasks: Mapping[str, Task],
    solutions: Solutions | None,
) -> None:  # fmt: skip
    """BadInput where a run's own solutions have changed since; a line in the log where others were named."""
    if stamp is None or stamp.solutions is None or solutions is None or set(stamp.tasks) - set(solutions):
        return
    of_run = {name: tasks[name] for name in stamp.tasks}
    if journal.solutions_digest(of_run, solutions) == stamp.solutions:
        return
    if source is stamp.source and options.solutions is None:
        raise BadInput(
            f"{options.out}: the solutions of {source} are not those that the run was scored against: "
            "name the ones to score against by --solutions"
        )
    logger.warning("%s: these solutions are not those that the run was scored against", options.out)


def submission_path(out: Path) -> Path:
    """The submission in the output folder of a run, or the file itself."""
    return out / "submission.json" if out.is_dir() else out
