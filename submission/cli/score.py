"""The commands `score` and `report`: what a submission is worth, and what a run leaves to be seen."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from submission.arc.tasks import Solutions
from submission.atomic import read_json
from submission.cli.arguments import KINDS
from submission.cli.scored_set import scored_set, submission_path
from submission.errors import BadInput
from submission.results import journal, scores, submission_file
from submission.results.scores import TaskScore
from submission.results.store import FOLDERS
from submission.solver.ensemble import ProgramsPlace
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

NO_RECORD = "has no record"
"""A task that the solver of a rule has not taken, or has left to programs."""

TOLD = 10
"""Faults of a submission that are printed one by one; --per-task prints all."""

# -- score --------------------------------------------------------------------------------------------------------


def score(options: argparse.Namespace) -> int:
    """Print the score of a submission; returns 0, or 1 where the submission has faults, which are told on stderr."""
    chosen = scored_set(options)
    if not chosen.solutions:
        raise BadInput("there is nothing to score against: name a solutions file by --solutions")
    if options.revote:
        scored = revoted(options.out, options.revote, chosen.solutions)
        faults: list[str] = []
        left = sum(each.faults == (NO_RECORD,) for each in scored)
        told = f" ({left} have no record of the {_kind_of(options.revote)}: wrong here)" if left else ""
        print(f"solved by {options.revote}: {sum(each.solved for each in scored)} of {len(scored)}{told}")
    else:
        submission = submission_file.read(submission_path(options.out))
        scored = scores.score_tasks(submission, chosen.solutions)
        faults = faults_of(scored, [name for name in submission if name not in chosen.known])
        print_scores({"tasks": len(scored), **scores.totals(scored)})
    if options.per_task:
        print(*(each.line() for each in scored), sep="\n")
    if faults:
        print(f"{submission_path(options.out)}: is not valid, and Kaggle would refuse it whole", file=sys.stderr)
        print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


def faults_of(scored: Sequence[TaskScore], unknown: Sequence[str]) -> list[str]:
    """What is wrong with a submission, in lines: counts with examples, and the first damaged tasks one by one."""
    missing = [each.task for each in scored if each.faults == ("is missing",)]
    damaged = [each for each in scored if each.faults and each.task not in set(missing)]
    lines = [f"{_named_few(missing)} missing: counted as wrong"] if missing else []
    lines += [f"{_named_few(unknown)} not among the tasks: not counted"] if unknown else []
    lines += [f"task {each.task}: {'; '.join(each.faults)}: counted as wrong" for each in damaged[:TOLD]]
    more = len(damaged) - TOLD
    return lines + ([f"{more} more damaged tasks, counted as wrong: --per-task names all"] if more > 0 else [])


def _named_few(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"task {names[0][:40]} is"
    return f"{len(names)} tasks ({', '.join(each[:40] for each in names[:3])}{', ...' * (len(names) > 3)}) are"


def revoted(out: Path, rule: str, solutions: Solutions) -> list[TaskScore]:
    """What a run would have scored by another voting rule, or by one kind of solver alone."""
    from submission.solver.voting import NAMES

    if rule not in (*NAMES, *KINDS):
        raise BadInput(f"no rule is called {rule!r}; there are {', '.join((*NAMES, *KINDS))}")
    records, doubts = records_in(out, {name: len(truth) for name, truth in solutions.items()}, _kind_of(rule))
    if not records and (doubts or not _has_any_record(out)):
        why = f": {len(doubts)} records are left out, the first: {doubts[0]}" if doubts else ""
        raise BadInput(f"{out}: is not the folder of a run whose journal has what {rule} needs{why}")
    if rule not in KINDS and rule not in scores.by_rule(records, solutions):
        raise BadInput(f"{out}: only what poe needs was scored; --set search.exhaustive=True scores everything")
    attempts = {name: each.attempts if rule in KINDS else scores.voted(each, rule) for name, each in records.items()}
    scored = scores.score_tasks(scores.submission_of(attempts), solutions)
    return [each if each.task in records else replace(each, faults=(NO_RECORD,)) for each in scored]


def _has_any_record(out: Path) -> bool:
    """Whether any kind of solver has a record: the network may have left every task to programs."""
    return any(any((out / folder).glob("*.json")) for folder in FOLDERS.values())


def _kind_of(rule: str) -> str:
    return rule if rule in KINDS else "network"


def print_scores(summary: Mapping[str, Any]) -> None:
    """Print the scores that a summary has, one per line."""
    if "solved_tasks" in summary:
        print(f"solved {summary['solved_tasks']} of {summary['tasks']} tasks{who_solved(summary)}")
    if "left_blank" in summary:
        print(f"{summary['left_blank']} of these tasks cannot be read, and were left blank")
    for name in ("score_by_output", "score_by_task", "score_strict", "coverage", "seconds_per_task", "peak_rss_mb"):
        if summary.get(name) is not None:
            print(f"{name:18} {summary[name]:.4g}")


def who_solved(summary: Mapping[str, Any]) -> str:
    """What programs solve alone, and what the network adds to it or leaves out; "" for one kind of solver."""
    alone = summary.get("by_solver", {})
    if set(alone) != {"programs", "network"}:
        return ""
    added = summary["solved_tasks"] - alone["programs"]
    told = (
        f": programs {alone['programs']}, the network {added} more" if added >= 0 else f": programs {alone['programs']}"
    )
    settled = summary.get("tasks_settled_by_programs", 0)
    left = ("1 task was" if settled == 1 else f"{settled} tasks were") + " left to programs that are certain"
    return told + (f" ({left})" if settled else "")


# -- report -------------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace) -> int:
    """Write the report of a run again, with the scores of what is on disk now; returns 0."""
    from submission.results.report import write_report
    from submission.solver.ensemble import joined

    summary, order, min_stability = summary_in(options.out)
    chosen = scored_set(options)
    if chosen.tasks is None:
        raise BadInput("--solutions needs --challenges: the report shows the tasks as well")
    tests = {name: len(task.tests) for name, task in chosen.tasks.items()}
    network, programs = (records_in(options.out, tests, kind)[0] for kind in ("network", "programs"))
    both = {name: joined(network.get(name), programs.get(name), order, min_stability) for name in tests}
    records = {name: record for name, record in both.items() if record is not None}
    summary["tasks"] = len(tests)
    if chosen.solutions is not None:
        submission = submission_file.read(submission_path(options.out))
        summary |= scores.score(submission, chosen.solutions)
        summary["coverage"] = scores.coverage(records, chosen.solutions)
    try:
        print(write_report(options.out, chosen.tasks, records, summary, chosen.solutions))
    except OSError as error:
        raise BadInput(f"{options.out / 'report.html'}: cannot be written ({error.strerror})") from None
    return 0


FIGURES: Mapping[str, tuple[type, ...]] = {
    "seconds": (int, float), "seconds_per_task": (int, float), "model": (str,), "seed": (int,), "finished": (bool,),
}  # fmt: skip
"""What the report takes from a summary, and of which type it is; scores are computed anew."""


def summary_in(out: Path) -> tuple[dict[str, Any], ProgramsPlace, float]:
    """The figures in a run's summary that a report shows; and the two settings by which solvers are joined.

    A figure of another type is left out, and the log names it. BadInput where there is no summary, or no settings.
    """
    path = out / "summary.json"
    summary = read_json(path)
    if not summary:
        raise BadInput(f"{out}: has no summary.json that can be read, so there is nothing to report on")
    try:
        order = summary["settings"]["vote"]["programs"]
        min_stability = float(summary["settings"]["programs"]["min_stability"])
    except (LookupError, TypeError, ValueError) as error:
        raise BadInput(f"{out}: its summary.json is not one that this version wrote ({error!r})") from None
    if order not in get_args(ProgramsPlace) or not math.isfinite(min_stability):
        raise BadInput(f"{out}: its summary.json is not one that this version wrote (its settings are not valid)")
    figures = {}
    for name, types in FIGURES.items():
        value = summary.get(name)
        if type(value) in types and not (isinstance(value, float) and not 0 <= value < math.inf):
            figures[name] = value
        elif value is not None:
            logger.warning("%s: %s is not valid and left out", path, name)
    return figures, order, min_stability


# -- files of a run -----------------------------------------------------------------------------------------------


def records_in(out: Path, tests: Mapping[str, int], kind: str) -> tuple[dict[str, TaskRecord], list[str]]:
    """The records of one kind of solver, and a sentence for each that is left out; their fingerprints are unchecked.

    `tests` are the tasks with their numbers of test inputs. As in a run that is resumed, a record that cannot be read,
    or is of another number of test inputs, is left out; the log names and counts these.
    """
    records: dict[str, TaskRecord] = {}
    doubts = []
    for name, asked in tests.items():
        path = journal.record_path(out / FOLDERS[kind], name)
        if not path.exists():
            continue
        try:
            record = journal.read_record(path, name, None)
            if len(record.attempts) != asked:
                raise BadInput(f"answers {len(record.attempts)} test inputs of {asked}")
            records[name] = record
        except BadInput as doubt:
            doubts.append(f"{path} {doubt}")
            logger.warning("%s: it is left out", doubts[-1])
    if doubts:
        logger.warning("%s: %d of %d records are left out", out / FOLDERS[kind], len(doubts), len(doubts + [*records]))
    return records, doubts
