"""The command line: one function for each command; `bench` is in `cli.bench`, `score` and `report` in `cli.score`.

python -m submission run                                   # public tasks, the embedded model, any laptop
python -m submission run --model DIR --preset poe-l4x4 --hours 11.5 --challenges FILE
python -m submission score OUT --solutions FILE --revote kgmon
python -m submission report OUT
python -m submission check --model DIR --preset poe-l4x4   # can this machine run it?
python -m submission check --gpu --out report.json         # a first minute on a card
python -m submission shrink --model DIR --layout numpy --out DIR --nf4
python -m submission bench plan --preset poe-l4x4 --challenges FILE --hours 11.5
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
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_type_hints

from submission import streams
from submission.cli.arguments import DEFAULT_SET, parsed
from submission.cli.bench import bench
from submission.cli.inputs import checkpoint_named, paths_in, preset_named, settings_named, source_of, tasks_chosen
from submission.cli.option_values import listed
from submission.cli.score import print_scores, report, score
from submission.cli.training_arguments import training_fields
from submission.errors import BadInput, concerns, require
from submission.presets import preset
from submission.training.settings import FineTuning, Pretraining, TrainingFailed

if TYPE_CHECKING:
    from submission.training import corpus

T = TypeVar("T")

LONGEST_NAME = 50
"""Letters of a file of tasks that the default output folder is named after: with the time, 255 bytes at most."""


def command_line() -> int:
    """`main` for a process of its own, whose standard streams may be closed, full, or lose their reader."""
    streams.make_lasting()
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 done; 2 bad input, with one sentence on stderr; 1 a run or a training that could not go on, a run in which every
    task failed, a machine that did not pass `check`, or a submission with faults that was scored; 130 interrupted. An
    OSError is bad input if it concerns a path that the user named; any other error is a bug, and is raised. What a full
    disk did not take of the output is told on stderr; it is a failure (1) but for `run`, whose results are in its
    folder.
    """
    options = parsed(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    # It warns of an optional kernel that would be downloaded.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Both interrupts end a run alike: tidily.
    try:
        status = COMMANDS[options.command](options)
        return max(status, _output_status(options.command))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except TrainingFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not concerns(error, paths_in(options)):
            raise
        print(error, file=sys.stderr)
        return 2


def _output_status(command: str) -> int:
    """1 where a part of what was printed is lost and nothing else keeps it."""
    sys.stdout.flush()
    if (lost := streams.failure(sys.stdout)) is None:
        return 0
    print(f"the standard output could not be written to ({lost.strerror}): a part of it is lost", file=sys.stderr)
    return 0 if command == "run" else 1


def _run(options: argparse.Namespace) -> int:
    from submission.benchmarks.forecast import planned_training
    from submission.results.output_folder import BroughtBack, what_is_left
    from submission.runner.failures import EveryTaskFailed
    from submission.runner.run import run
    from submission.runner.spec import RunSpec
    from submission.runner.workers import NoWorkerLeft

    checkpoint_named(options.model)
    settings = settings_named(options)
    if settings.programs.writer:
        checkpoint_named(Path(settings.programs.writer))
    if options.ray is not None and find_spec("ray") is None:
        raise BadInput("--ray: ray is not installed: pip install -e '.[ray]'")
    chosen = tasks_chosen(options, options.tasks)
    name = options.challenges.stem[:LONGEST_NAME] if options.challenges else options.data or DEFAULT_SET
    out = options.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    seconds = options.minutes * 60 if options.minutes is not None else None
    if options.hours is not None:
        seconds = options.hours * 3600
    spec = RunSpec(
        out, options.model, settings, options.seed, seconds=seconds, resume=options.resume, fresh=options.fresh,
        workers=options.workers, ray=options.ray, solvers=options.solvers, source=source_of(options),
        planned_training=planned_training(options.model, settings, preset_named(options), options.seed),
    )  # fmt: skip
    failed = False
    try:
        summary = run(spec, chosen.tasks, chosen.solutions, chosen.blank)
    except EveryTaskFailed as error:
        failed, summary = True, error.summary
    except BroughtBack as error:
        print(error, file=sys.stderr)
        return 1
    except (NoWorkerLeft, OSError) as error:
        print(f"{error}; {what_is_left(out)}", file=sys.stderr)
        return 1
    for kind, sentence in summary["failed_solvers"].items():
        print(f"{kind}: {sentence}; {out}/log.txt has the tracebacks", file=sys.stderr)
    print_scores(summary)
    print(f"{out}/submission.json  {out}/report.html  {out}/summary.json")
    return 1 if failed else 0


def _pretrain(options: argparse.Namespace) -> int:
    tuning = _training_settings(FineTuning, options) if options.base else None
    settings = None if options.base else _training_settings(Pretraining, options)
    for folder in filter(None, (options.base, options.select)):
        checkpoint_named(folder)
    for option, path in (("--rearc", options.rearc), *(("--families", pack) for pack in options.families)):
        require(path is None or path.exists(), f"{option} {path}: there is no such file or folder")
    logging.info("loading torch and the corpus")
    import torch

    from submission.training import corpus
    from submission.training.pretrain import pretrain

    if options.select is not None:
        from submission.training.selection import require_grid_model

        require_grid_model(options.select)
    if options.threads:
        torch.set_num_threads(options.threads)
    sources = corpus.Sources(
        _sets("--train-on", options.train_on),
        options.rearc,
        options.generated,
        _sets("--against", options.against),
        tuple(options.families),
        options.random_programs,
    )
    if tuning is not None:
        from submission.training.finetune_base import finetune_base

        read = partial(_corpus, sources, tuning.limit, options.select, options.out)
        finetune_base(tuning, read, options.base, options.out, options.resume)
    elif settings is not None:
        read = partial(_corpus, sources, settings.limit, options.select, options.out)
        pretrain(settings, read, options.out, options.resume)
    return 0


def _sets(option: str, text: str) -> tuple[str, ...]:
    """The sets that an option of `pretrain` names."""
    names = tuple(dict.fromkeys(each.strip() for each in listed(text)))
    require(bool(names), f"{option} names no set: give public sets or files, separated by commas")
    return names


def _training_settings(kind: type[T], options: argparse.Namespace) -> T:
    """The training settings that the options name; BadInput for a setting of the other kind of training."""
    given = {name: value for name in training_fields() if (value := vars(options)[name]) is not None}
    if foreign := sorted(set(given) - set(get_type_hints(kind))):
        raise BadInput(f"--{foreign[0].replace('_', '-')} is {'not ' * bool(options.base)}for --base")
    return kind(**given)


def _corpus(sources: corpus.Sources, limit: int, select: Path | None, out: Path) -> corpus.Corpus:
    """The corpus to train on, cached in `out`; the log says which tasks were left out."""
    from submission.training import corpus_cache
    from submission.training.leakage import counted

    data = corpus_cache.load(sources, limit * 2 // 5, out)
    logging.info("%d families to train on, %d held out", len(data.train), len(data.held_out))
    logging.info("%d of %d tasks left out as evaluation data: %s", len(data.leaks), data.checked, counted(data.leaks))
    if select is not None:
        from submission.training import selection

        data = selection.narrowed(data, select, limit)
        logging.info("%d families selected", len(data.train))
    return data


def _check(options: argparse.Namespace) -> int:
    from submission.cli import preflight
    from submission.cli.findings import line, passed

    if options.gpu:
        from submission.cli import gpu_report

        return gpu_report.check(options, partial(print, flush=True))
    require(options.out is None, "--out is for check --gpu alone")
    settings = settings_named(options)
    findings = []
    for each in preflight.check(options.model, settings, preset_named(options)):
        findings.append(each)
        print(line(each), flush=True)
    return 0 if passed(findings) else 1


def _shrink(options: argparse.Namespace) -> int:
    checkpoint_named(options.model)
    from submission.model.loading import resolve_device
    from submission.model.vocabulary import shrink

    layout = shrink(options.model, options.out, options.layout, options.nf4, resolve_device(options.device))
    print(f"{options.out}: layout {layout.name}")
    return 0


def _settings(options: argparse.Namespace) -> int:
    from submission.cli.settings_table import chosen_rows, shown

    print(*shown(chosen_rows(preset(options.preset), options.names)), sep="\n")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run, "score": score, "report": report, "check": _check, "shrink": _shrink, "bench": bench,
    "settings": _settings, "pretrain": _pretrain,
}  # fmt: skip
"""Command -> its function, which returns the exit status."""
