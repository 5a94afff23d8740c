"""The arguments of the command line: the commands, and the options of each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from submission import __version__
from submission.arc.tasks import PUBLIC_SETS
from submission.cli import option_values as values
from submission.cli.examples import examples_of
from submission.cli.training_arguments import add_pretrain
from submission.config import EMBEDDED, LAYOUTS
from submission.errors import BadInput
from submission.model.memory_plan import CARDS
from submission.presets import PRESETS

HELD_OUT = "held-out"
"""A task set beside the public ones, on which settings are chosen: training tasks that no training has seen."""

KINDS = ("network", "programs")
"""The kinds of solver."""

DEFAULT_SET = "arc1-eval"
"""The public set that is run by default."""

DEFAULT_TASKS = 24
"""How many tasks of a public set are run by default: those with the shortest prompts."""

_OF_TASKS = {"search", "scoring", "scaling", "plan", "training", "walk"}
"""The benchmarks of any tasks."""

BENCH_ONLY: dict[str, set[str]] = {
    **dict.fromkeys(("challenges", "skip_bad"), _OF_TASKS), "solutions": {"scaling"},
    "data": {*_OF_TASKS, "synthesis"}, "turns": {"training", "walk"},
    "shape": {"search"}, "attempt": {"ttt", "network"}, "minutes": {"scaling"},
    "workers": {"scaling", "plan", "synthesis", "ablation", "network"},
    "out": {"scaling"}, **dict.fromkeys(("hours", "card"), {"plan"}),
    **dict.fromkeys(("only", "half"), {"synthesis"}), "seconds": {"synthesis", "network"},
    **dict.fromkeys(("seeds", "records"), {"ablation", "network"}), "chart": {"ablation"},
    **dict.fromkeys(("model", "preset", "set"), {*_OF_TASKS, "ttt", "ablation", "network"}),
}  # fmt: skip
"""Option of `bench` -> the benchmarks that have it; all others are for every benchmark."""

CHALLENGES_HELP = "tasks: a file in Kaggle's format, a folder with one JSON file per task, or one task (also .json.gz)"
SCORE = """Every task of the set counts, whatever the submission lacks: of a run's folder the tasks of that run, of a
file those of --data, --challenges or --solutions. A missing or damaged entry is told and counts as wrong.
Exit status: 0, or 1 if the submission has faults (Kaggle would refuse it whole), or 2 if nothing can be scored."""
"""What the --help of score begins with."""

MODEL_HELP = "a model folder (default: the embedded model)"
PRESET_HELP = (
    f"settings by recipe and machine: {', '.join(PRESETS)} (laptop: the embedded model; poe: layout architects; nvarc: "
    "chat16; ttt: numpy)"
)

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What `add_subparsers` returns."""

VERSION: dict[str, Any] = {"action": "version", "version": f"arc-submission {__version__}"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage: that of `bench` is fifteen lines."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (--help shows what there is)\n")


def parser() -> Parser:
    """The parser of all commands; the name of the command is in `command`."""
    whole = Parser(prog="python -m submission", description="An ARC Prize solver.")
    whole.add_argument("--version", **VERSION)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_run, _add_score, _add_report, _add_check, _add_shrink, _add_settings, _add_bench, add_pretrain):
        command = add(commands)
        command.set_defaults(parser=command)
        command.add_argument("--version", **VERSION)  # kernel_main.py --version is a run.
    return whole


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; SystemExit (2) where one is wrong, after a sentence that names the command."""
    options, unknown = parser().parse_known_args(arguments)
    command: argparse.ArgumentParser = vars(options).pop("parser")
    if unknown:
        command.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def require_own_options(options: argparse.Namespace) -> None:
    """BadInput where a benchmark was given an option that only others have."""
    defaults = vars(parser().parse_args(["bench", options.name]))
    for name, benchmarks in BENCH_ONLY.items():
        if options.name not in benchmarks and vars(options)[name] != defaults[name]:
            option = "--try" if name == "attempt" else f"--{name.replace('_', '-')}"
            raise BadInput(f"{option} is not for bench {options.name}, but for {', '.join(sorted(benchmarks))}")


# -- the commands -----------------------------------------------------------------------------------------------


def _add_run(commands: Commands) -> argparse.ArgumentParser:
    run = commands.add_parser("run", help="solve tasks and write submission.json", **examples_of("run"))
    run.set_defaults(command="run")
    _add_source(run)
    which = run.add_mutually_exclusive_group()
    which.add_argument(
        "--tasks", type=values.TASKS,
        help=f"the N tasks with the shortest prompts (default: {DEFAULT_TASKS} of a public set, all of a file)",
    )  # fmt: skip
    which.add_argument("--only", help="these task ids, separated by commas; in double quotes one that has a comma")
    clock = run.add_mutually_exclusive_group()
    clock.add_argument("--hours", type=values.HOURS, help="wall time of the run")
    clock.add_argument("--minutes", type=values.MINUTES, help="wall time of the run")
    _add_model(run)
    run.add_argument("--out", type=values.folder_to_write, help="output folder (default: runs/<time>-<data>)")
    run.add_argument("--seed", type=values.SEED_OPTION, default=0, help="of all random numbers (default: 0)")
    run.add_argument(
        "--workers",
        type=values.WORKERS,
        default=0,
        help="worker processes (default: 0, one per GPU or CPU core)",
    )
    run.add_argument(
        "--solvers", type=_solvers, default=KINDS, metavar="NAMES",
        help=f"the kinds of solver to run, separated by commas (default: {','.join(KINDS)}; see the README)",
    )  # fmt: skip
    run.add_argument(
        "--ray", metavar="ADDRESS", help="run the workers on this Ray cluster; auto: a running one, or this machine"
    )
    again = run.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in --out, or begin one if it holds none")
    again.add_argument("--fresh", action="store_true", help="begin again in a folder that holds a run")
    return run


def _add_score(commands: Commands) -> argparse.ArgumentParser:
    score = commands.add_parser(
        "score", help="score a submission against solutions", description=SCORE, **examples_of("score")
    )
    score.set_defaults(command="score")
    score.add_argument("out", type=values.run_or_file, help="the output folder of a run, or a submission.json")
    _add_source(score, "that of the run, or arc1-eval")
    which = score.add_mutually_exclusive_group()
    which.add_argument("--tasks", type=values.TASKS, help="score only the N tasks with the shortest prompts")
    which.add_argument("--only", help="score only these task ids, separated by commas")
    score.add_argument("--per-task", action="store_true", help="print a line for each task: outputs right, and faults")
    score.add_argument(
        "--revote", metavar="RULE", help="the score under another voting rule, or of one kind of solver alone"
    )
    return score


def _add_report(commands: Commands) -> argparse.ArgumentParser:
    report = commands.add_parser("report", help="write the report.html of a run again", **examples_of("report"))
    report.set_defaults(command="report", tasks=None, only=None)
    report.add_argument("out", type=values.run_or_file, help="the output folder of a run")
    _add_source(report, "that of the run, or arc1-eval")
    return report


def _add_check(commands: Commands) -> argparse.ArgumentParser:
    check = commands.add_parser("check", help="check whether this machine can run this model", **examples_of("check"))
    check.set_defaults(command="check")
    check.add_argument(
        "--gpu", action="store_true", help="try it out on the GPU here, in 9 minutes (without --model: random weights)"
    )
    check.add_argument("--out", type=values.file_to_write, help="--gpu: write the report to this file, as JSON")
    _add_model(check)
    return check


def _add_shrink(commands: Commands) -> argparse.ArgumentParser:
    shrink = commands.add_parser(
        "shrink", help="cut a checkpoint's vocabulary to the tokens of one layout", **examples_of("shrink")
    )
    shrink.set_defaults(command="shrink")
    shrink.add_argument("--model", type=Path, required=True, help="a model folder, in 16 bits or in NF4")
    shrink.add_argument("--out", type=values.folder_to_write, required=True, help="the folder to write")
    shrink.add_argument("--layout", choices=LAYOUTS, default="auto", help="the tokens to keep (default: %(default)s)")
    shrink.add_argument("--nf4", action="store_true", help="quantize the blocks to NF4 as well")
    shrink.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu", help="where to quantize")
    return shrink


def _add_settings(commands: Commands) -> argparse.ArgumentParser:
    settings = commands.add_parser(
        "settings", help="print every setting: value, what it may be, what it means", **examples_of("settings")
    )
    settings.set_defaults(command="settings")
    settings.add_argument("names", nargs="*", help="sections or settings: search adapt.rate (default: all)")
    settings.add_argument("--preset", default="laptop", help=PRESET_HELP)
    return settings


def _add_bench(commands: Commands) -> argparse.ArgumentParser:
    bench = commands.add_parser(
        "bench", help="measure settings, and training and search against other methods", **examples_of("bench")
    )
    bench.set_defaults(command="bench")
    bench.add_argument(
        "name",
        choices=["ttt", "network", "ablation", "search", "scoring", "training", "walk", "scaling", "plan", "synthesis"],
        help="ttt: log-likelihood of the true answers after training; search, scoring: ours against the field's; "
        "training: ours against transformers' Trainer with peft; walk: our search against a plain depth-first walk "
        "with transformers' cache; scaling: solved tasks against time, by schedule; plan: hours needed and tasks "
        "reached, predicted; "
        "synthesis: tasks that the search for programs solves; "
        "network: the network alone on held-out tasks at equal processor time; "
        "ablation: what training, its rows and its vote are worth, on held-out tasks (hours)",
    )  # fmt: skip
    bench.add_argument(
        "--tasks", type=values.TASKS,
        help="the N shortest (default: 10; ablation: 60; network: 40; plan: all that a run would take; synthesis: the "
        "first N by a hash, or all)",
    )  # fmt: skip
    bench.add_argument("--only", help="synthesis: these task ids, separated by commas; prints their programs")
    bench.add_argument("--half", type=int, choices=(0, 1), help="synthesis: only tasks of this half of the set")
    bench.add_argument("--seconds", type=values.SECONDS, help="processor time for a task: synthesis (4), network (30)")
    bench.add_argument("--challenges", type=Path, help=f"not for ttt, synthesis, ablation, network: {CHALLENGES_HELP}")
    bench.add_argument("--skip-bad", action="store_true", help="leave out tasks that cannot be read")
    bench.add_argument("--solutions", type=Path, help="scaling: the solutions of --challenges")
    bench.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT],
        help=f"the task set (default: arc1-eval; synthesis: arc1-train; ttt, ablation, network: always {HELD_OUT})",
    )  # fmt: skip
    _add_model(bench)
    bench.add_argument("--seed", type=values.SEED_OPTION, default=0, help="of all random numbers (default: 0)")
    bench.add_argument(
        "--minutes",
        type=values.MINUTE_LIST,
        default=[2.0, 5.0, 10.0],
        help="scaling: wall times of the runs (default: 2,5,10)",
    )
    bench.add_argument(
        "--workers",
        type=values.WORKERS,
        default=0,
        help="scaling, plan: worker processes, as for run; synthesis, ablation, network: 1 by default",
    )
    bench.add_argument(
        "--out", type=values.folder_to_write, help="scaling: a folder for the runs (default: runs/<time>-scaling)"
    )
    bench.add_argument("--json", type=values.file_to_write, help="write the figures to this file as well")
    _add_bench_of_one(bench)
    return bench


def _add_bench_of_one(bench: argparse.ArgumentParser) -> None:
    """Options of one or two benchmarks only, see BENCH_ONLY."""
    bench.add_argument("--shape", choices=["8b", "tiny"], help="search: random weights of this shape, scripted answers")
    bench.add_argument(
        "--try", action="append", default=[], dest="attempt", metavar="SECTION.FIELD=VALUE,...",
        help="ttt, network: compare these settings with the unchanged ones; repeat it for each alternative; network: "
        "passes=2 as well",
    )  # fmt: skip
    bench.add_argument("--turns", type=values.TASKS, default=3, help="training, walk: measurements of each side")
    bench.add_argument(
        "--seeds", type=values.TASKS, default=3, help="ablation, network: how many, from --seed on (default: 3)"
    )
    bench.add_argument(
        "--records", type=Path, metavar="FILE",
        help="ablation, network: a file with a line for each measurement; what it has is not measured again (default: "
        "runs/ablation.jsonl, runs/network.jsonl)",
    )  # fmt: skip
    bench.add_argument("--chart", type=values.picture_to_write, metavar="FILE.svg", help="ablation: the picture")
    bench.add_argument("--hours", type=values.HOURS, default=float("inf"), help="plan: wall time of the run")
    bench.add_argument(
        "--card", type=values.some_of(list(CARDS)), default=[],
        help=f"plan: another kind of GPU than the preset's, or several to compare: {', '.join(CARDS)}",
    )  # fmt: skip


# -- options of several commands ----------------------------------------------------------------------------------


def _add_source(command: argparse.ArgumentParser, default: str = DEFAULT_SET) -> None:
    command.add_argument("--challenges", type=Path, help=CHALLENGES_HELP)
    command.add_argument("--skip-bad", action="store_true", help="leave blank what cannot be read, solve the others")
    command.add_argument("--solutions", type=Path, help="its solutions, for scoring only")
    command.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT],
        help=f"a public set, or {HELD_OUT}: training tasks that the embedded model has not seen (default: {default})",
    )  # fmt: skip


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, default=EMBEDDED, help=MODEL_HELP)
    command.add_argument("--preset", help=PRESET_HELP)
    command.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="change one setting")


# -- types of values ----------------------------------------------------------------------------------------------


def _solvers(text: str) -> tuple[str, ...]:
    chosen = [each.strip() for each in values.listed(text)]
    if wrong := [each for each in chosen if each not in KINDS]:
        raise argparse.ArgumentTypeError(f"no solver is called {wrong[0]!r}; there are {', '.join(KINDS)}")
    if not chosen:
        raise argparse.ArgumentTypeError(f"{text!r} names no solver; there are {', '.join(KINDS)}")
    return tuple(each for each in KINDS if each in chosen)
