"""The command line.

python -m submission run                                   # public tasks, the embedded model, any laptop
python -m submission run --model DIR --preset l4x4 --hours 11.5 --challenges FILE
python -m submission score OUT --solutions FILE --revote kgmon
python -m submission report OUT
python -m submission check --model DIR --preset l4x4       # is this machine fit for it?
python -m submission shrink --model DIR --layout numpy --out DIR --nf4
python -m submission bench plan --preset l4x4 --challenges FILE --hours 11.5
python -m submission bench ttt --tasks 10 --try adapt.rate=0.006
python -m submission bench scaling --tasks 60 --minutes 5,10,20
python -m submission bench synthesis --data arc1-train --only 67a3c6ac
python -m submission pretrain --minutes 60 --rearc re_arc.zip --out DIR
python -m submission pretrain --base DIR --minutes 600 --rearc re_arc.zip --out DIR --device cuda
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from submission.arc.tasks import Solutions, public_set, read_solutions
from submission.cli.arguments import KINDS, require_own_options, training_fields
from submission.cli.arguments import parser as _parser
from submission.cli.inputs import records_in, settings_named, submission_in, tasks_named, tasks_of
from submission.config import Settings
from submission.errors import BadInput
from submission.results import scores
from submission.training.settings import FineTuning, Pretraining

if TYPE_CHECKING:
    from submission.training import corpus

T = TypeVar("T")

BENCH = 10
"""Tasks that a bench takes by default: the cheapest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0 done; 2 bad input and 1 a run that could not go on, with one sentence on stderr; 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    # It warns of an optional kernel that would be fetched from the internet.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Both interrupts end a run alike: tidily.
    try:
        return COMMANDS[options.command](options)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from submission.runner.run import run
    from submission.runner.spec import RunSpec
    from submission.runner.workers import Broken

    settings = settings_named(options)
    if options.ray is not None and find_spec("ray") is None:
        raise BadInput("--ray: ray is not installed: pip install '.[ray]'")
    tasks, solutions = tasks_named(options)
    name = options.challenges.stem if options.challenges else options.data
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    if not (options.model / "config.json").is_file():
        raise BadInput(f"{options.model}: there is no config.json, so this is not a model folder")
    seconds = options.minutes * 60 if options.minutes is not None else None
    if options.hours is not None:
        seconds = options.hours * 3600
    job = RunSpec(
        out, options.model, settings, options.seed, seconds=seconds, resume=options.resume, fresh=options.fresh,
        workers=options.workers, ray=options.ray, solvers=options.solvers,
    )  # fmt: skip
    try:
        summary = run(job, tasks, solutions)
    except (Broken, OSError) as error:
        print(f"{error}; what is finished is in {out}, and --resume goes on from there", file=sys.stderr)
        return 1
    _tell(summary)
    print(f"{out}/submission.json  {out}/report.html  {out}/summary.json")
    return 0


def _score(options: argparse.Namespace) -> int:
    from submission.results.scores import by_rule, by_solver
    from submission.solver.voting import NAMES

    submission = submission_in(options.out)
    if options.solutions is not None:
        solutions: Solutions | None = read_solutions(options.solutions)
    else:
        _, solutions = tasks_of(options, submission)
    if not solutions:
        raise BadInput("there is nothing to score against: name a solutions file by --solutions")
    if options.revote:
        found = {kind: records_in(options.out, solutions, kind) for kind in KINDS}
        rules = by_rule(found["network"], solutions) | by_solver(found, solutions)
        if options.revote not in (*NAMES, *KINDS):
            raise BadInput(f"no rule is called {options.revote!r}; there are {', '.join((*NAMES, *KINDS))}")
        if not found[options.revote if options.revote in KINDS else "network"]:
            raise BadInput(f"{options.out}: is not the folder of a run that kept what {options.revote} takes")
        if options.revote not in rules:
            raise BadInput(
                f"{options.out}: only what poe needs was scored; --set search.exhaustive=True scores everything"
            )
        print(f"solved by {options.revote}: {rules[options.revote]} of {len(solutions)}")
    else:
        _tell({"tasks": len(solutions), **scores.score(submission, solutions)})
    return 0


def _report(options: argparse.Namespace) -> int:
    import json

    from submission.results.report import write_report
    from submission.solver.ensemble import joined

    try:
        summary = json.loads((options.out / "summary.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{options.out}: has no summary.json to report on ({error})") from None
    tasks, solutions = tasks_of(options, submission_in(options.out))
    network, programs = (records_in(options.out, tasks, kind) for kind in ("network", "programs"))
    how, trusted = summary["settings"]["vote"]["programs"], summary["settings"]["programs"]["min_stability"]
    known = {
        name: joined(network.get(name), programs.get(name), how, trusted)
        for name in tasks if name in network or name in programs
    }  # fmt: skip
    print(write_report(options.out, tasks, known, summary, solutions))
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    import torch

    from submission.training import corpus
    from submission.training.pretrain import pretrain

    if options.threads:
        torch.set_num_threads(options.threads)
    sources = corpus.Sources(
        tuple(options.train_on.split(",")), options.rearc, options.generated, tuple(options.against.split(","))
    )
    if options.base:
        from submission.training.finetune_base import finetune_base

        tuning = _chosen(FineTuning, options)
        read = partial(_corpus, sources, tuning.limit, options.select)
        finetune_base(tuning, read, options.base, options.out, options.resume)
    else:
        settings = _chosen(Pretraining, options)
        pretrain(settings, partial(_corpus, sources, settings.limit, options.select), options.out, options.resume)
    return 0


def _chosen(kind: type[T], options: argparse.Namespace) -> T:
    """Training settings with what the command line names; what is not for this kind of training is refused."""
    given = {name: value for name in training_fields() if (value := vars(options)[name]) is not None}
    if foreign := sorted(set(given) - set(get_type_hints(kind))):
        raise BadInput(f"--{foreign[0].replace('_', '-')} is {'not ' * bool(options.base)}for --base")
    return kind(**given)


def _corpus(sources: corpus.Sources, limit: int, select: Path | None) -> corpus.Corpus:
    """What to train on, and what was refused, in the log."""
    from submission.training import corpus

    data = corpus.load(sources, longest_pair=limit * 2 // 5)
    logging.info("%d families to train on, %d held out", len(data.train), len(data.held_out))
    against = " and ".join(sources.against)
    logging.info("%d of %d tasks refused: they share a pair with %s", data.leaks, data.looked_at, against)
    if select is not None:
        from submission.training import selection

        data = selection.narrowed(data, select, limit)
        logging.info("%d families selected", len(data.train))
    return data


def _bench(options: argparse.Namespace) -> int:
    from submission.atomic import write_json

    require_own_options(options)
    settings = settings_named(options)
    if options.tasks is None and options.name not in ("plan", "synthesis"):
        options.tasks = BENCH
    options.data = options.data or ("arc1-train" if options.name == "synthesis" else "arc1-eval")
    rows = BENCHES["shape" if options.shape else options.name](options, settings)
    if options.json is not None:
        write_json(options.json, rows, indent=1)
    return 0


def _bench_scaling(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import time_scaling
    from submission.runner.spec import RunSpec

    tasks, solutions = tasks_named(options)
    if solutions is None:
        raise BadInput("bench scaling counts solved tasks: name a set whose solutions are known")
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-scaling"
    job = RunSpec(out, options.model, settings, options.seed, workers=options.workers)
    points = time_scaling.measured(job, tasks, solutions, [60 * each for each in options.minutes], print)
    print(*time_scaling.table(points), sep="\n")
    return [asdict(each) for each in points]


def _bench_ttt(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import ttt

    outcomes = ttt.ttt(options.model, settings, ["", *options.attempt], options.tasks, options.seed)
    print(ttt.table(outcomes))
    return [asdict(each) for each in outcomes]


def _bench_shape(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import synthetic_model
    from submission.model.loading import device

    where, how = device(settings.model.device), settings.search
    measured, text = synthetic_model.report(options.shape, where, synthetic_model.VIEWS, how.threshold, how.megabytes)
    print(text)
    return [asdict(each) for each in measured]


def _bench_race(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import search, search_table

    tasks, _ = tasks_named(options)
    scoring = options.name == "scoring"
    print(search_table.HEAD)
    run = search.compare_tasks(
        options.model, settings, tasks, options.seed, lambda each: print(search_table.line(each, scoring), flush=True)
    )
    print(search_table.totals(run, scoring))
    return [asdict(each) for each in run]


def _bench_plan(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import forecast

    tasks, _ = tasks_named(options)
    made = forecast.planned_run(tasks, options.model, settings, options.preset, options.workers, options.hours)
    print(*forecast.table(made, options.hours), sep="\n")
    return forecast.as_json(made)


def _bench_synthesis(options: argparse.Namespace, settings: Settings) -> Any:
    from submission.benchmarks import synthesis

    tasks, solutions = public_set(options.data)
    chosen = {name: tasks[name] for name in synthesis.chosen(tasks, options.only, options.tasks, options.half)}
    workers, sources = options.workers or 1, options.only is not None
    return synthesis.measure(
        chosen, solutions, options.seconds, workers, options.seed, sources, partial(print, flush=True)
    )


BENCHES: dict[str, Callable[[argparse.Namespace, Settings], Any]] = {
    "ttt": _bench_ttt, "search": _bench_race, "scoring": _bench_race, "scaling": _bench_scaling, "shape": _bench_shape,
    "plan": _bench_plan, "synthesis": _bench_synthesis,
}  # fmt: skip


def _check(options: argparse.Namespace) -> int:
    from submission.cli import preflight

    settings = settings_named(options)
    findings = []
    for each in preflight.check(options.model, settings, options.preset):
        findings.append(each)
        print(preflight.line(each), flush=True)
    return 0 if preflight.passed(findings) else 1


def _shrink(options: argparse.Namespace) -> int:
    from submission.model.loading import device
    from submission.model.vocabulary import shrink

    layout = shrink(options.model, options.out, options.layout, options.nf4, device(options.device))
    print(f"{options.out}: layout {layout.name}")
    return 0


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


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run, "score": _score, "report": _report, "check": _check, "shrink": _shrink, "bench": _bench,
    "pretrain": _pretrain,
}  # fmt: skip
