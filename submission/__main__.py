"""The command line.

python -m submission run                                   # public tasks, the embedded model, any laptop
python -m submission run --model DIR --preset l4x4 --hours 11.5 --challenges FILE
python -m submission score OUT --solutions FILE --revote kgmon
python -m submission report OUT
python -m submission bench ttt --tasks 10 --try adapt.rate=0.006
python -m submission bench scaling --tasks 60 --minutes 5,10,20
python -m submission pretrain --minutes 60 --rearc re_arc.npz --out DIR
python -m submission pretrain --base DIR --minutes 600 --rearc re_arc.npz --out DIR --device cuda
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from submission.config import EMBEDDED, PRESETS, Initial, Pretraining, preset, with_changes
from submission.tasks import (
    PUBLIC_SETS,
    BadInput,
    Solutions,
    Task,
    public_set,
    read_challenges,
    read_solutions,
)

if TYPE_CHECKING:
    from submission import corpus

T = TypeVar("T")

HELD_OUT = "held-out"
"""The set, beside the public ones, by which settings are chosen: training tasks that no training has seen."""

PANEL = 24
"""Tasks of a public set that are run by default: the cheapest, by prompt length."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0 done; 2 bad input and 1 a run that could not go on, with one sentence on stderr; 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Both interrupts end a run alike: tidily.
    try:
        result: int = options.command(options)
        return result
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from submission.run import Run, run
    from submission.workers import Broken

    settings = with_changes(preset(options.preset), options.set)
    tasks, solutions = _tasks(options)
    name = options.challenges.stem if options.challenges else options.data
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    if not (options.model / "config.json").is_file():
        raise BadInput(f"{options.model}: there is no config.json, so this is not a model folder")
    seconds = options.minutes * 60 if options.minutes is not None else None
    if options.hours is not None:
        seconds = options.hours * 3600
    job = Run(
        out, options.model, settings, options.seed, seconds, options.resume, options.fresh, options.workers, options.ray
    )
    try:
        summary = run(job, tasks, solutions)
    except (Broken, OSError) as error:
        print(f"{error}; what is finished is in {out}, and --resume goes on from there", file=sys.stderr)
        return 1
    _tell(summary)
    print(f"{out}/submission.json  {out}/report.html  {out}/summary.json")
    return 0


def _score(options: argparse.Namespace) -> int:
    from submission import answers
    from submission.run import by_rule
    from submission.voting import NAMES

    submission = _submission(options.out)
    if options.solutions is not None:
        solutions: Solutions | None = read_solutions(options.solutions)
    else:
        _, solutions = _tasks_of(options, submission)
    if not solutions:
        raise BadInput("there is nothing to score against: name a solutions file by --solutions")
    if options.revote:
        rules = by_rule(_records(options.out, solutions), solutions)
        if options.revote not in NAMES:
            raise BadInput(f"no rule is called {options.revote!r}; there are {', '.join(NAMES)}")
        if options.revote not in rules:
            raise BadInput(f"{options.out}: only what poe needs was scored; --set search.whole=True scores everything")
        print(f"solved by {options.revote}: {rules[options.revote]} of {len(solutions)}")
    else:
        _tell({"tasks": len(solutions), **answers.score(submission, solutions)})
    return 0


def _report(options: argparse.Namespace) -> int:
    import json

    from submission.report import write_report

    try:
        summary = json.loads((options.out / "summary.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{options.out}: has no summary.json to report on ({error})") from None
    tasks, solutions = _tasks_of(options, _submission(options.out))
    print(write_report(options.out, tasks, _records(options.out, tasks), summary, solutions))
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    import torch

    from submission import corpus
    from submission.pretrain import pretrain

    if options.threads:
        torch.set_num_threads(options.threads)
    sources = corpus.Sources(
        tuple(options.train_on.split(",")), options.rearc, options.generated, tuple(options.against.split(","))
    )
    if options.base:
        from submission.initial import initial

        if options.resume:
            raise BadInput("--resume: an initial fine-tuning of a base cannot be resumed yet")
        tuning = _chosen(Initial, options)
        initial(tuning, _corpus(sources, tuning.limit, options.select), options.base, options.out)
    else:
        settings = _chosen(Pretraining, options)
        pretrain(settings, _corpus(sources, settings.limit, options.select), options.out, options.resume)
    return 0


def _chosen(kind: type[T], options: argparse.Namespace) -> T:
    """Training settings with what the command line names; what is not for this kind of training is refused."""
    given = {name: value for name in _training_fields() if (value := vars(options)[name]) is not None}
    if foreign := sorted(set(given) - set(get_type_hints(kind))):
        raise BadInput(f"--{foreign[0].replace('_', '-')} is {'not ' * bool(options.base)}for --base")
    return kind(**given)


def _training_fields() -> dict[str, Any]:
    """The settings of both kinds of training, with their types."""
    return {**get_type_hints(Pretraining), **get_type_hints(Initial)}


def _corpus(sources: corpus.Sources, limit: int, select: Path | None) -> corpus.Corpus:
    """What to train on, and what was refused, in the log."""
    from submission import corpus

    data = corpus.load(sources, longest_pair=limit * 2 // 5)
    logging.info("%d families to train on, %d held out", len(data.train), len(data.held_out))
    against = " and ".join(sources.against)
    logging.info("%d of %d tasks refused: they share a pair with %s", data.leaks, data.looked_at, against)
    if select is not None:
        from submission import selection

        data = selection.narrowed(data, select, limit)
        logging.info("%d families selected", len(data.train))
    return data


def _bench(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from submission import bench, race
    from submission.journal import write_json

    settings = with_changes(preset(options.preset), options.set)
    rows: list[Any]
    if options.name == "scaling":
        from submission import scaling
        from submission.run import Run

        tasks, solutions = _tasks(options)
        if solutions is None:
            raise BadInput("bench scaling counts solved tasks: name a set whose solutions are known")
        out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-scaling"
        job = Run(out, options.model, settings, options.seed, workers=options.workers)
        points = scaling.measured(job, tasks, solutions, [60 * each for each in options.minutes], print)
        print(*scaling.table(points), sep="\n")
        rows = [asdict(each) for each in points]
    elif options.name == "ttt":
        outcomes = bench.ttt(options.model, settings, ["", *options.attempt], options.tasks, options.seed)
        print(bench.table(outcomes))
        rows = [asdict(each) for each in outcomes]
    elif options.shape is not None:
        from submission import shaped
        from submission.llm import device

        measured, text = shaped.report(
            options.shape, device(settings.model.device), shaped.VIEWS, settings.search.threshold,
            settings.search.megabytes,
        )  # fmt: skip
        print(text)
        rows = [asdict(each) for each in measured]
    else:
        tasks, _ = _tasks(options)
        scoring = options.name == "scoring"
        print(race.HEAD)
        run = race.races(
            options.model, settings, tasks, options.seed, lambda each: print(race.line(each, scoring), flush=True)
        )
        print(race.totals(run, scoring))
        rows = [asdict(each) for each in run]
    if options.json is not None:
        write_json(options.json, rows, indent=1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m submission", description="An ARC Prize solver.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="solve tasks and write submission.json")
    run.set_defaults(command=_run)
    _source(run)
    which = run.add_mutually_exclusive_group()
    which.add_argument("--tasks", type=_count, help=f"the N cheapest tasks (public sets: {PANEL} by default)")
    which.add_argument("--only", help="these task ids, separated by commas")
    clock = run.add_mutually_exclusive_group()
    clock.add_argument("--hours", type=_positive, help="wall time of the run")
    clock.add_argument("--minutes", type=_positive, help="wall time of the run")
    run.add_argument("--model", type=Path, default=EMBEDDED, help="a model folder (default: the embedded model)")
    run.add_argument("--preset", default="laptop", help=f"settings: {', '.join(PRESETS)}")
    run.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="change one setting")
    run.add_argument("--out", type=Path, help="output folder (default: runs/<time>-<data>)")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--workers", type=_count, default=0, help="processes (default: one a GPU, or one a CPU core)")
    run.add_argument("--ray", metavar="ADDRESS", help="work on this Ray cluster; auto: on the one there is, or here")
    again = run.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    again.add_argument("--fresh", action="store_true", help="begin anew in a folder that holds a run")

    score = commands.add_parser("score", help="score a submission against solutions")
    score.set_defaults(command=_score)
    score.add_argument("out", type=Path, help="a run's folder, or a submission.json")
    _source(score)
    score.add_argument("--revote", metavar="RULE", help="what another voting rule would have scored")

    report = commands.add_parser("report", help="write report.html of a run anew")
    report.set_defaults(command=_report)
    report.add_argument("out", type=Path, help="a run's folder")
    _source(report)

    bench = commands.add_parser("bench", help="measure settings, and the search against others")
    bench.set_defaults(command=_bench, challenges=None, solutions=None, only=None)
    bench.add_argument(
        "name", choices=["ttt", "search", "scoring", "scaling"],
        help="ttt: how likely true answers are after training; search, scoring: ours against the field's; "
        "scaling: solved tasks against seconds, by schedule",
    )  # fmt: skip
    bench.add_argument("--tasks", type=_count, default=10, help="the N shortest (default: 10)")
    bench.add_argument("--data", choices=[*PUBLIC_SETS, HELD_OUT], default="arc1-eval", help="not for ttt: held-out")
    bench.add_argument("--shape", choices=["8b", "tiny"], help="search: random weights of this shape, scripted answers")
    bench.add_argument("--try", action="append", default=[], dest="attempt", metavar="SECTION.FIELD=VALUE,...")
    bench.add_argument("--model", type=Path, default=EMBEDDED)
    bench.add_argument("--preset", default="laptop")
    bench.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    bench.add_argument("--seed", type=int, default=0)
    bench.add_argument("--minutes", type=_minutes, default=[2.0, 5.0, 10.0], help="scaling: as 2,5,10 (the default)")
    bench.add_argument("--workers", type=_count, default=0, help="scaling: processes, as in run")
    bench.add_argument("--out", type=Path, help="scaling: a folder for the runs (default: runs/<time>-scaling)")
    bench.add_argument("--json", type=Path, help="write the figures here as well")

    train = commands.add_parser("pretrain", help="train the embedded model, or fine-tune a large base, on many tasks")
    train.set_defaults(command=_pretrain)
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--base", type=Path, help="fine-tune this causal language model instead, by a LoRA on 4 bits")
    train.add_argument("--resume", action="store_true", help="go on from OUT/trunk")
    train.add_argument("--rearc", type=Path, help="RE-ARC packed as .npz; without it, the public training tasks alone")
    train.add_argument("--generated", type=_count, default=100, help="pairs of each made-up family (default: 100)")
    named = "public sets, or files CHALLENGES[:SOLUTIONS], separated by commas"
    train.add_argument("--train-on", default="arc1-train,arc2-train", help=f"{named} (default: %(default)s)")
    train.add_argument("--against", default="arc1-eval,arc2-eval", help=f"never train on a pair of these {named}")
    train.add_argument("--select", type=Path, metavar="MODEL", help="draw what this model finds hard, see selection")
    train.add_argument("--threads", type=_count, default=0)
    for name, kind in _training_fields().items():
        option = f"--{name.replace('_', '-')}"
        if kind is bool:
            train.add_argument(option, action=argparse.BooleanOptionalAction)
        else:
            train.add_argument(option, type=str if get_args(kind) else kind, choices=get_args(kind) or None)
    return parser


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--challenges", type=Path, help="a challenges file, as on Kaggle")
    parser.add_argument("--solutions", type=Path, help="its solutions, for scoring only")
    parser.add_argument(
        "--data", choices=[*PUBLIC_SETS, HELD_OUT], default="arc1-eval",
        help="a public set, or the training tasks that the embedded model has not seen (default: arc1-eval)",
    )  # fmt: skip


def _tasks(options: argparse.Namespace) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that are asked for, and their solutions where they are known."""
    from submission.prompts import CHAT16, task_length

    if options.challenges is not None:
        tasks = read_challenges(options.challenges)
        solutions: Solutions | None = read_solutions(options.solutions, tasks) if options.solutions else None
    elif options.solutions is not None:
        raise BadInput("--solutions needs --challenges: a public set brings its own")
    elif options.data == HELD_OUT:
        from submission.corpus import held_out_tasks

        tasks, solutions = held_out_tasks()
    else:
        tasks, solutions = public_set(options.data)
    if options.only is not None:
        wanted = options.only.split(",")
        if unknown := [name for name in wanted if name not in tasks]:
            raise BadInput(f"there is no task {unknown[0]!r} among these {len(tasks)}")
        chosen = wanted
    else:
        number = options.tasks if options.tasks is not None else (PANEL if options.challenges is None else len(tasks))
        longest = {n: max(task_length(CHAT16, t.demonstrations, q) for q in t.tests) for n, t in tasks.items()}
        chosen = sorted(tasks, key=lambda name: (longest[name], name))[:number]
    kept = {name: tasks[name] for name in chosen}
    return kept, None if solutions is None else {name: solutions[name] for name in chosen}


def _submission(out: Path) -> dict[str, Any]:
    """The submission in a run's folder, or in the file itself."""
    import json

    path = out / "submission.json" if out.is_dir() else out
    try:
        submission = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a submission ({error})") from None
    if not isinstance(submission, dict):
        raise BadInput(f"{path}: is not a submission, which is an object of tasks")
    return submission


def _tasks_of(options: argparse.Namespace, submission: dict[str, Any]) -> tuple[dict[str, Task], Solutions | None]:
    """The tasks that a submission answers, from the file or set that the options name."""
    options.only, options.tasks = ",".join(submission), None
    return _tasks(options)


def _records(out: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    import json

    paths = {name: out / "journal" / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def _tell(summary: dict[str, Any]) -> None:
    if "solved_tasks" in summary:
        print(f"solved {summary['solved_tasks']} of {summary['tasks']} tasks")
    for name in (
        "score_by_output",
        "score_by_task",
        "score_strict",
        "coverage",
        "seconds_per_task",
        "peak_rss_mb",
    ):
        if summary.get(name) is not None:
            print(f"{name:18} {summary[name]:.4g}")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _minutes(text: str) -> list[float]:
    return [_positive(each) for each in text.split(",")]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
