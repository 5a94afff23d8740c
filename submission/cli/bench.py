"""The command `bench`: measure settings, and training and search against other methods."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from submission.arc.tasks import public_set
from submission.atomic import write_json
from submission.cli.arguments import require_own_options
from submission.cli.inputs import checkpoint_named, ids_in, preset_named, settings_named, source_of, tasks_named
from submission.config import Settings, with_changes
from submission.errors import BadInput
from submission.runner.failures import EveryTaskFailed

BENCH_TASKS = 10
"""How many tasks a benchmark takes by default: those with the shortest prompts."""

TASKS: dict[str, int | None] = {"plan": None, "synthesis": None, "ablation": 60, "network": 40}
"""The same for single benchmarks; None: as many as a run would take, or all."""

SECONDS = {"network": 30.0, "synthesis": 4.0}
"""Processor seconds of a task, by default."""

Figures = list[dict[str, Any]] | dict[str, Any]
"""What a benchmark measured, as JSON."""


def bench(options: argparse.Namespace) -> int:
    """Run one benchmark: print its table, and write its figures to --json.

    Returns the exit status: 0, or 1 where every task of one of its runs failed, which stderr tells.
    """
    require_own_options(options)
    checkpoint_named(options.model)
    settings = settings_named(options)
    number = TASKS.get(options.name, BENCH_TASKS) if options.tasks is None else options.tasks
    try:
        figures = BENCHMARKS["shape" if options.shape else options.name](options, settings, number)
    except EveryTaskFailed as error:
        print(f"bench {options.name}: {error}", file=sys.stderr)
        return 1
    except BrokenProcessPool:
        print(f"bench {options.name}: a process was killed, perhaps for want of memory", file=sys.stderr)
        return 1
    if options.json is not None:
        write_json(options.json, figures, indent=1)
    return 0


def _scaling(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import time_scaling
    from submission.runner.spec import RunSpec

    tasks, solutions = tasks_named(options, number)
    if solutions is None:
        raise BadInput("bench scaling counts solved tasks: name the solutions of --challenges by --solutions")
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-scaling"
    spec = RunSpec(out, options.model, settings, options.seed, workers=options.workers, source=source_of(options))
    points = time_scaling.measured(spec, tasks, solutions, [60 * each for each in options.minutes], print)
    print(*time_scaling.table(points), sep="\n")
    return [asdict(each) for each in points]


def _ttt(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    _require_tries(options.attempt, settings)
    from submission.benchmarks import ttt

    print(f"held-out tasks, settings: {', '.join(each or '(preset)' for each in ['', *options.attempt])}", flush=True)
    outcomes = ttt.ttt(
        options.model, settings, ["", *options.attempt], BENCH_TASKS if number is None else number, options.seed
    )
    print(ttt.table(outcomes))
    return [asdict(each) for each in outcomes]


def _changed(settings: Settings, changes: str) -> Settings:
    """Settings with changes that commas separate."""
    return with_changes(settings, [change for change in changes.split(",") if change])


def _require_tries(
    attempts: Sequence[str], settings: Settings, made: Callable[[Settings, str], object] = _changed
) -> None:
    """BadInput for changes of --try that cannot be `made`, before the first of them is measured."""
    for changes in attempts:
        try:
            made(settings, changes)
        except BadInput as error:
            told = str(error)
            told = told.replace("--set", "--try", 1) if told.startswith("--set") else f"--try {changes}: {told}"
            raise BadInput(told) from None


def _shape(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import synthetic_model
    from submission.model.loading import resolve_device

    measured, text = synthetic_model.report(
        options.shape, resolve_device(settings.model.device), synthetic_model.VIEWS, settings.search.threshold,
        settings.search.megabytes,
    )  # fmt: skip
    print(text)
    return [asdict(each) for each in measured]


def _search(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import search, search_table

    tasks, _ = tasks_named(options, number)
    scoring = options.name == "scoring"
    print(search_table.HEAD)
    measured = search.compare_tasks(
        options.model, settings, tasks, options.seed, lambda each: print(search_table.line(each, scoring), flush=True)
    )
    print(search_table.totals(measured, scoring))
    return [asdict(each) for each in measured]


def _training(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import trainer_comparison

    tasks, _ = tasks_named(options, number)
    made = trainer_comparison.compare(
        options.model, settings, tasks, options.turns, options.seed, partial(print, flush=True)
    )
    print(*trainer_comparison.summary(made), sep="\n")
    return {name: [asdict(each) for each in side] for name, side in made.items()}


def _walk(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import walk_comparison

    tasks, _ = tasks_named(options, number)
    made = walk_comparison.compare(
        options.model, settings, tasks, options.turns, options.seed, partial(print, flush=True)
    )
    print(*walk_comparison.summary(made, settings.search.threshold), sep="\n")
    return walk_comparison.as_json(made, settings.search.threshold)


def _plan(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import forecast, forecast_table

    tasks, _ = tasks_named(options, number)
    preset = preset_named(options)
    if options.card:
        of_cards = forecast.planned_on_cards(
            tasks, options.model, settings, preset, options.workers, options.hours, options.card
        )
        print(*forecast_table.table_of_cards(of_cards), sep="\n")
        return {card: asdict(planned) for card, planned in of_cards.items()}
    planned = forecast.planned_run(tasks, options.model, settings, preset, options.workers, options.hours)
    print(*forecast_table.table(planned, options.hours), sep="\n")
    return asdict(planned)


def _synthesis(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import synthesis

    tasks, solutions = public_set(options.data or "arc1-train")
    only = ids_in(options.only, tasks) if options.only is not None else None
    chosen = {name: tasks[name] for name in synthesis.chosen(tasks, only, number, options.half)}
    workers, sources = options.workers or 1, only is not None
    return synthesis.measure(
        chosen,
        solutions,
        _seconds_of(options),
        workers,
        options.seed,
        sources,
        partial(print, flush=True),
    )


def _network(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    from submission.benchmarks import network

    _require_tries(options.attempt, settings, network.alternative)
    measured = network.network(
        options.model, settings, options.attempt, number or 0,
        range(options.seed, options.seed + options.seeds), _seconds_of(options),
        options.workers or 1, _records_of(options), partial(print, flush=True),
    )  # fmt: skip
    print(*network.table(measured, settings.vote.rule), sep="\n")
    return [asdict(each) for each in measured]


def _seconds_of(options: argparse.Namespace) -> float:
    """Processor seconds of a task."""
    return SECONDS[options.name] if options.seconds is None else float(options.seconds)


def _records_of(options: argparse.Namespace) -> Path:
    """The file that the measurements are appended to."""
    records: Path = options.records or Path("runs") / f"{options.name}.jsonl"
    try:
        records.parent.mkdir(parents=True, exist_ok=True)
        records.open("ab").close()
    except OSError as error:
        raise BadInput(f"--records {records}: cannot be written to ({error.strerror})") from None
    return records


def _ablation(options: argparse.Namespace, settings: Settings, number: int | None) -> Figures:
    if options.chart is not None and find_spec("matplotlib") is None:
        raise BadInput("--chart needs matplotlib: pip install -e '.[plot]'")
    from submission.benchmarks import ablation, ablation_table

    seeds = range(options.seed, options.seed + options.seeds)
    measured = ablation.ablation(
        options.model, settings, number or 0, seeds,
        options.workers or 1, _records_of(options), partial(print, flush=True),
    )  # fmt: skip
    print(*ablation_table.table(measured), sep="\n")
    if options.chart is not None:
        ablation_table.write_chart(measured, options.chart)
    return [asdict(each) for each in measured]


BENCHMARKS: dict[str, Callable[[argparse.Namespace, Settings, int | None], Figures]] = {
    "ttt": _ttt, "search": _search, "scoring": _search, "scaling": _scaling, "shape": _shape, "plan": _plan,
    "synthesis": _synthesis, "training": _training, "walk": _walk, "ablation": _ablation,
    "network": _network,
}  # fmt: skip
"""The benchmarks; each takes the options, the settings and the number of tasks (None: as many as a run would take)."""
