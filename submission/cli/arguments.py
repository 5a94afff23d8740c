"""The arguments of the command line: which commands there are, and what each may be told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args, get_type_hints

from submission.arc.tasks import PUBLIC_SETS
from submission.config import EMBEDDED, LAYOUTS, PRESETS
from submission.errors import BadInput
from submission.training.settings import FineTuning, Pretraining

HELD_OUT = "held-out"
"""The set, beside the public ones, by which settings are chosen: training tasks that no training has seen."""

KINDS = ("network", "programs")
"""Who may solve."""

PANEL = 24
"""Tasks of a public set that are run by default: the cheapest, by prompt length."""


BENCH_ONLY: dict[str, set[str]] = {
    "challenges": {"search", "scoring", "scaling", "plan"},
    "data": {"search", "scoring", "scaling", "plan", "synthesis"},
    "shape": {"search"}, "attempt": {"ttt"}, "minutes": {"scaling"}, "workers": {"scaling", "plan", "synthesis"},
    "hours": {"plan"}, "out": {"scaling"}, "only": {"synthesis"}, "half": {"synthesis"}, "seconds": {"synthesis"},
    **dict.fromkeys(("model", "preset", "set"), {"ttt", "search", "scoring", "scaling", "plan"}),
}  # fmt: skip
"""The options of `bench` that are not for all of them, and whom they are for."""

_PRESET = f"settings for a kind of machine and model: {', '.join(PRESETS)} (laptop: the embedded model's)"


def parser() -> argparse.ArgumentParser:
    """All commands; `command` of what is parsed is the command's name."""
    whole = argparse.ArgumentParser(prog="python -m submission", description="An ARC Prize solver.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="solve tasks and write submission.json")
    run.set_defaults(command="run")
    _source(run)
    which = run.add_mutually_exclusive_group()
    which.add_argument("--tasks", type=_count, help=f"the N cheapest tasks (public sets: {PANEL} by default)")
    which.add_argument("--only", help="these task ids, separated by commas")
    clock = run.add_mutually_exclusive_group()
    clock.add_argument("--hours", type=_positive, help="wall time of the run")
    clock.add_argument("--minutes", type=_positive, help="wall time of the run")
    run.add_argument("--model", type=Path, default=EMBEDDED, help="a model folder (default: the embedded model)")
    run.add_argument("--preset", help=_PRESET)
    run.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="change one setting")
    run.add_argument("--out", type=Path, help="output folder (default: runs/<time>-<data>)")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--workers", type=_count, default=0, help="processes (default: one a GPU, or one a CPU core)")
    run.add_argument(
        "--solvers", type=_solvers, default=KINDS, metavar="NAMES",
        help=f"who solves (default: {','.join(KINDS)}, see the README)",
    )  # fmt: skip
    run.add_argument("--ray", metavar="ADDRESS", help="work on this Ray cluster; auto: on the one there is, or here")
    again = run.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    again.add_argument("--fresh", action="store_true", help="begin anew in a folder that holds a run")

    score = commands.add_parser("score", help="score a submission against solutions")
    score.set_defaults(command="score")
    score.add_argument("out", type=Path, help="a run's folder, or a submission.json")
    _source(score)
    score.add_argument(
        "--revote", metavar="RULE", help="what another voting rule, or one kind of solver, would have scored"
    )

    report = commands.add_parser("report", help="write report.html of a run anew")
    report.set_defaults(command="report")
    report.add_argument("out", type=Path, help="a run's folder")
    _source(report)

    check = commands.add_parser("check", help="is this machine fit for a run with this model?")
    check.set_defaults(command="check")
    check.add_argument("--model", type=Path, default=EMBEDDED, help="a model folder (default: the embedded model)")
    check.add_argument("--preset", help=_PRESET)
    check.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="change one setting")

    shrink = commands.add_parser("shrink", help="cut a checkpoint's vocabulary down to one layout's")
    shrink.set_defaults(command="shrink")
    shrink.add_argument("--model", type=Path, required=True, help="a model folder, in 16 bits or in NF4")
    shrink.add_argument("--out", type=Path, required=True)
    shrink.add_argument("--layout", choices=LAYOUTS, default="auto")
    shrink.add_argument("--nf4", action="store_true", help="quantize the blocks as well")
    shrink.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu", help="where to quantize")

    bench = commands.add_parser("bench", help="measure settings, and the search against others")
    bench.set_defaults(command="bench", solutions=None)
    bench.add_argument(
        "name", choices=["ttt", "search", "scoring", "scaling", "plan", "synthesis"],
        help="ttt: how likely true answers are after training; search, scoring: ours against the field's; "
        "scaling: solved tasks against seconds, by schedule; plan: hours and tasks reached, predicted; "
        "synthesis: tasks that the search for programs solves",
    )  # fmt: skip
    bench.add_argument(
        "--tasks", type=_count,
        help="the N shortest (default: 10; plan: all that a run would take; synthesis: the first N by a hash, or all)",
    )  # fmt: skip
    bench.add_argument("--only", help="synthesis: these task ids, separated by commas; prints their programs")
    bench.add_argument("--half", type=int, choices=(0, 1), help="synthesis: only tasks of this half of the set")
    bench.add_argument("--seconds", type=_positive, default=4.0, help="synthesis: processor time for a task")
    bench.add_argument("--challenges", type=Path, help="not for ttt: a challenges file, as on Kaggle")
    bench.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT],
        help=f"default: arc1-eval; synthesis: arc1-train; ttt takes {HELD_OUT} alone",
    )  # fmt: skip
    bench.add_argument("--shape", choices=["8b", "tiny"], help="search: random weights of this shape, scripted answers")
    bench.add_argument(
        "--try", action="append", default=[], dest="attempt", metavar="SECTION.FIELD=VALUE,...",
        help="ttt: compare these settings with the others as they are; once for each choice",
    )  # fmt: skip
    bench.add_argument("--model", type=Path, default=EMBEDDED)
    bench.add_argument("--preset", help=_PRESET)
    bench.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    bench.add_argument("--seed", type=int, default=0)
    bench.add_argument("--minutes", type=_minutes, default=[2.0, 5.0, 10.0], help="scaling: as 2,5,10 (the default)")
    bench.add_argument(
        "--workers", type=_count, default=0, help="scaling, plan: processes, as in run; synthesis: 1 by default"
    )
    bench.add_argument("--hours", type=_positive, default=float("inf"), help="plan: wall time of the run")
    bench.add_argument("--out", type=Path, help="scaling: a folder for the runs (default: runs/<time>-scaling)")
    bench.add_argument("--json", type=Path, help="write the figures here as well")

    train = commands.add_parser("pretrain", help="train the embedded model, or fine-tune a large base, on many tasks")
    train.set_defaults(command="pretrain")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--base", type=Path, help="fine-tune this causal language model instead, by a LoRA on 4 bits")
    train.add_argument("--resume", action="store_true", help="go on with the training in OUT")
    train.add_argument("--rearc", type=Path, help="RE-ARC's re_arc.zip; without it, the public training tasks alone")
    train.add_argument("--generated", type=_count, default=100, help="pairs of each made-up family (default: 100)")
    named = "public sets, or files CHALLENGES[:SOLUTIONS], separated by commas"
    train.add_argument("--train-on", default="arc1-train,arc2-train", help=f"{named} (default: %(default)s)")
    train.add_argument("--against", default="arc1-eval,arc2-eval", help=f"never train on a pair of these {named}")
    train.add_argument("--select", type=Path, metavar="MODEL", help="draw what this model finds hard, see selection")
    train.add_argument("--threads", type=_count, default=0)
    for name, kind in training_fields().items():
        option = f"--{name.replace('_', '-')}"
        if kind is bool:
            train.add_argument(option, action=argparse.BooleanOptionalAction)
        else:
            train.add_argument(option, type=str if get_args(kind) else kind, choices=get_args(kind) or None)
    return whole


def require_own_options(options: argparse.Namespace) -> None:
    """BadInput where a bench was given an option that is for others."""
    usual = vars(parser().parse_args(["bench", options.name]))
    for name, whose in BENCH_ONLY.items():
        if options.name not in whose and vars(options)[name] != usual[name]:
            named = "--try" if name == "attempt" else f"--{name}"
            raise BadInput(f"{named} is not for bench {options.name}, but for {', '.join(sorted(whose))}")


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--challenges", type=Path, help="a challenges file, as on Kaggle")
    parser.add_argument("--solutions", type=Path, help="its solutions, for scoring only")
    parser.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT], default="arc1-eval",
        help="a public set, or the training tasks that the embedded model has not seen (default: arc1-eval)",
    )  # fmt: skip


def training_fields() -> dict[str, Any]:
    """The settings of both kinds of training, with their types."""
    return {**get_type_hints(Pretraining), **get_type_hints(FineTuning)}


def _solvers(text: str) -> tuple[str, ...]:
    chosen = text.split(",")
    if wrong := [each for each in chosen if each not in KINDS]:
        raise argparse.ArgumentTypeError(f"no solver is called {wrong[0]!r}; there are {', '.join(KINDS)}")
    return tuple(each for each in KINDS if each in chosen)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def _minutes(text: str) -> list[float]:
    return [_positive(each) for each in text.split(",")]


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
