"""The arguments of the command line: the commands, and the options of each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

from submission.arc.tasks import PUBLIC_SETS
from submission.cli import option_values as values
from submission.config import EMBEDDED, LAYOUTS
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.training.settings import RANGES, FineTuning, Pretraining

HELD_OUT = "held-out"
"""A task set beside the public ones, on which settings are chosen: training tasks that no training has seen."""

KINDS = ("network", "programs")
"""The kinds of solver."""

DEFAULT_TASKS = 24
"""How many tasks of a public set are run by default: those with the shortest prompts."""

BENCH_ONLY: dict[str, set[str]] = {
    **dict.fromkeys(("challenges", "skip_bad"), {"search", "scoring", "scaling", "plan"}), "solutions": {"scaling"},
    "data": {"search", "scoring", "scaling", "plan", "synthesis"},
    "shape": {"search"}, "attempt": {"ttt"}, "minutes": {"scaling"}, "workers": {"scaling", "plan", "synthesis"},
    "hours": {"plan"}, "out": {"scaling"}, "only": {"synthesis"}, "half": {"synthesis"}, "seconds": {"synthesis"},
    **dict.fromkeys(("model", "preset", "set"), {"ttt", "search", "scoring", "scaling", "plan"}),
}  # fmt: skip
"""Option of `bench` -> the benchmarks that have it; all others are for every benchmark."""

EXAMPLES = {
    "run": """\
python -m submission run                                             # 24 public tasks, the embedded model
python -m submission run --data arc2-eval --tasks 40 --minutes 30    # other tasks, limited by the clock
python -m submission run --tasks 400 --workers 4                     # four worker processes
python -m submission run --tasks 400 --solvers programs              # the search for programs alone
python -m submission run --only 66e6c45b,be03b35f --out runs/two     # these tasks
python -m submission run --only 66e6c45b,be03b35f --out runs/two --resume
python -m submission run --tasks 8 --set search.exhaustive=True --out runs/exhaustive
python -m submission run --set model.dtype=bfloat16                  # for a CPU that is fast in bfloat16
python -m submission run --model DIR --preset poe-l4x4 --hours 11.5 --challenges FILE
python -m submission run --challenges ARC-AGI/data/evaluation --skip-bad   # a folder with one JSON file per task
python -m submission run --ray auto --tasks 400 --data arc1-train    # over a Ray cluster: pip install '.[ray]'
python -m submission run --set programs.writer=DIR --set programs.seconds=600   # DIR: a model that writes programs""",
    "score": """\
python -m submission score runs/exhaustive --revote kgmon            # what another voting rule would have scored
python -m submission score runs/exhaustive --revote network          # what one kind of solver would have scored
python -m submission score runs/two --per-task                       # a line for each task
python -m submission score submission.json --challenges FILE --solutions FILE
python -m submission score submission.json --data arc2-eval --only 0934a4d8,136b0064""",
    "report": "python -m submission report runs/two",
    "check": "python -m submission check --model DIR --preset poe-l4x4",
    "shrink": "python -m submission shrink --model DIR --layout architects --out SMALL --nf4",
    "bench": """\
python -m submission bench ttt --tasks 10 --try adapt.rate=0.006     # compare settings on held-out tasks
python -m submission bench scaling --tasks 60 --minutes 5,10,20      # solved tasks against time, by schedule
python -m submission bench search --tasks 10                         # this search against the field's
python -m submission bench search --shape 8b --set model.device=cuda --set search.megabytes=12000
python -m submission bench plan --preset poe-l4x4 --challenges FILE --hours 11.5
python -m submission bench synthesis --only 67a3c6ac                 # the programs of a training task""",
    "pretrain": """\
python -m submission pretrain --minutes 90 --rearc re_arc.zip --out trained              # leaves trained/model
python -m submission pretrain --minutes 90 --rearc re_arc.zip --out trained --resume
python -m submission pretrain --base DIR --minutes 600 --limit 4096 --rearc re_arc.zip --out tuned --device cuda""",
}
"""Command -> the examples that its --help ends with."""

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

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add_subparsers` returns."""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; the name of the command is in `command`."""
    whole = argparse.ArgumentParser(prog="python -m submission", description="An ARC Prize solver.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_run, _add_score, _add_report, _add_check, _add_shrink, _add_bench, _add_pretrain):
        add(commands)
    return whole


def require_own_options(options: argparse.Namespace) -> None:
    """BadInput where a benchmark was given an option that only others have."""
    defaults = vars(parser().parse_args(["bench", options.name]))
    for name, benchmarks in BENCH_ONLY.items():
        if options.name not in benchmarks and vars(options)[name] != defaults[name]:
            option = "--try" if name == "attempt" else f"--{name.replace('_', '-')}"
            raise BadInput(f"{option} is not for bench {options.name}, but for {', '.join(sorted(benchmarks))}")


def _examples(command: str) -> dict[str, Any]:
    """The part of a parser that shows a command's examples below its options, line by line."""
    return {"epilog": f"examples:\n{EXAMPLES[command]}", "formatter_class": argparse.RawDescriptionHelpFormatter}


def training_fields() -> dict[str, Any]:
    """Name -> type of the settings of `pretrain`, from scratch and with --base."""
    return {**get_type_hints(Pretraining), **get_type_hints(FineTuning)}


# -- the commands -----------------------------------------------------------------------------------------------


def _add_run(commands: Commands) -> None:
    run = commands.add_parser("run", help="solve tasks and write submission.json", **_examples("run"))
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
    run.add_argument("--seed", type=values.SEED_OPTION, default=0)
    run.add_argument(
        "--workers", type=values.WORKERS, default=0, help="worker processes (default: one per GPU, or one per CPU core)"
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


def _add_score(commands: Commands) -> None:
    score = commands.add_parser(
        "score", help="score a submission against solutions", description=SCORE, **_examples("score")
    )
    score.set_defaults(command="score")
    score.add_argument("out", type=Path, help="the output folder of a run, or a submission.json")
    _add_source(score, None)
    which = score.add_mutually_exclusive_group()
    which.add_argument("--tasks", type=values.TASKS, help="score only the N tasks with the shortest prompts")
    which.add_argument("--only", help="score only these task ids, separated by commas")
    score.add_argument("--per-task", action="store_true", help="print a line for each task: outputs right, and faults")
    score.add_argument(
        "--revote", metavar="RULE", help="the score under another voting rule, or of one kind of solver alone"
    )


def _add_report(commands: Commands) -> None:
    report = commands.add_parser("report", help="write the report.html of a run again", **_examples("report"))
    report.set_defaults(command="report", tasks=None, only=None)
    report.add_argument("out", type=Path, help="the output folder of a run")
    _add_source(report, None)


def _add_check(commands: Commands) -> None:
    check = commands.add_parser("check", help="check whether this machine can run this model", **_examples("check"))
    check.set_defaults(command="check")
    _add_model(check)


def _add_shrink(commands: Commands) -> None:
    shrink = commands.add_parser(
        "shrink", help="cut a checkpoint's vocabulary to the tokens of one layout", **_examples("shrink")
    )
    shrink.set_defaults(command="shrink")
    shrink.add_argument("--model", type=Path, required=True, help="a model folder, in 16 bits or in NF4")
    shrink.add_argument("--out", type=values.folder_to_write, required=True)
    shrink.add_argument("--layout", choices=LAYOUTS, default="auto")
    shrink.add_argument("--nf4", action="store_true", help="quantize the blocks to NF4 as well")
    shrink.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu", help="where to quantize")


def _add_bench(commands: Commands) -> None:
    bench = commands.add_parser(
        "bench", help="measure settings, and the search against other methods", **_examples("bench")
    )
    bench.set_defaults(command="bench")
    bench.add_argument(
        "name", choices=["ttt", "search", "scoring", "scaling", "plan", "synthesis"],
        help="ttt: log-likelihood of the true answers after training; search, scoring: ours against the field's; "
        "scaling: solved tasks against time, by schedule; plan: hours needed and tasks reached, predicted; "
        "synthesis: tasks that the search for programs solves",
    )  # fmt: skip
    bench.add_argument(
        "--tasks", type=values.TASKS,
        help="the N shortest (default: 10; plan: all that a run would take; synthesis: the first N by a hash, or all)",
    )  # fmt: skip
    bench.add_argument("--only", help="synthesis: these task ids, separated by commas; prints their programs")
    bench.add_argument("--half", type=int, choices=(0, 1), help="synthesis: only tasks of this half of the set")
    bench.add_argument("--seconds", type=values.SECONDS, default=4.0, help="synthesis: processor time for a task")
    bench.add_argument("--challenges", type=Path, help=f"not for ttt and synthesis: {CHALLENGES_HELP}")
    bench.add_argument("--skip-bad", action="store_true", help="leave out tasks that cannot be read")
    bench.add_argument("--solutions", type=Path, help="scaling: the solutions of --challenges")
    bench.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT],
        help=f"the task set (default: arc1-eval; synthesis: arc1-train; ttt: always {HELD_OUT})",
    )  # fmt: skip
    bench.add_argument("--shape", choices=["8b", "tiny"], help="search: random weights of this shape, scripted answers")
    bench.add_argument(
        "--try", action="append", default=[], dest="attempt", metavar="SECTION.FIELD=VALUE,...",
        help="ttt: compare these settings with the unchanged ones; repeat it for each alternative",
    )  # fmt: skip
    _add_model(bench)
    bench.add_argument("--seed", type=values.SEED_OPTION, default=0)
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
        help="scaling, plan: worker processes, as for run; synthesis: 1 by default",
    )
    bench.add_argument("--hours", type=values.HOURS, default=float("inf"), help="plan: wall time of the run")
    bench.add_argument(
        "--out", type=values.folder_to_write, help="scaling: a folder for the runs (default: runs/<time>-scaling)"
    )
    bench.add_argument("--json", type=values.file_to_write, help="write the figures to this file as well")


def _add_pretrain(commands: Commands) -> None:
    train = commands.add_parser(
        "pretrain", help="train the embedded model, or fine-tune a large base, on many tasks", **_examples("pretrain")
    )
    train.set_defaults(command="pretrain")
    train.add_argument("--out", type=values.folder_to_write, required=True)
    train.add_argument("--base", type=Path, help="fine-tune this causal language model instead, by a LoRA on NF4")
    train.add_argument("--resume", action="store_true", help="continue the training in OUT")
    train.add_argument(
        "--rearc", type=Path, help="RE-ARC's re_arc.zip or folder (default: only the public training tasks)"
    )
    train.add_argument(
        "--generated", type=values.PAIRS, default=100, help="pairs of each generated family (default: 100)"
    )
    sets = "public sets, or CHALLENGES[:SOLUTIONS], which are files or folders as for run, separated by commas"
    train.add_argument("--train-on", default="arc1-train,arc2-train", help=f"{sets} (default: %(default)s)")
    train.add_argument(
        "--against", default="arc1-eval,arc2-eval",
        help=f"never train on tasks, rules or pairs of these {sets}; the public evaluation sets are always among them",
    )  # fmt: skip
    train.add_argument(
        "--select", type=Path, metavar="MODEL", help="train on what this model finds hard, see training/selection.py"
    )
    train.add_argument("--threads", type=values.THREADS, default=0, help="CPU threads (default: torch's choice)")
    for name, kind in training_fields().items():
        option = f"--{name.replace('_', '-')}"
        if kind is bool:
            train.add_argument(option, action=argparse.BooleanOptionalAction)
        else:
            of_number = values.whole_number if kind is int else values.number
            train.add_argument(
                option, type=str if get_args(kind) else of_number(RANGES[name]), choices=get_args(kind) or None
            )


# -- options of several commands ----------------------------------------------------------------------------------


def _add_source(command: argparse.ArgumentParser, default: str | None = "arc1-eval") -> None:
    command.add_argument("--challenges", type=Path, help=CHALLENGES_HELP)
    command.add_argument("--skip-bad", action="store_true", help="leave blank what cannot be read, solve the others")
    command.add_argument("--solutions", type=Path, help="its solutions, for scoring only")
    command.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT], default=default,
        help=f"a public set, or {HELD_OUT}: training tasks that the embedded model has not seen (default: "
        f"{default or 'that of the run, or arc1-eval'})",
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
