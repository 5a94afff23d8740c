"""Make the upload for Kaggle.

python build.py bundle --owner NAME --out DIR             # code, wheels, notebook, metadata, with the embedded model
python build.py bundle --owner NAME --competition none --out DIR   # the same on public tasks, without a competition
python build.py verify DIR                                 # check a bundle, without a network
python build.py commands DIR                               # print the commands that upload and submit it
python build.py model hf:REPO|PATH --out READY             # a large model: checked, safetensors only, with a manifest
python build.py bundle --owner NAME --model READY --license LICENCE --out DIR
python build.py bundle --owner NAME --model-source HANDLE --out DIR    # a model that is on Kaggle already
python build.py wheels                                     # download what the image lacks; --relock: resolve again

Exit status: 0 done; 1 a bundle with errors; 2 bad input, with one sentence; 1 with a traceback for any other error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__" and __spec__ is not None:  # By Python's -m, which finds this file before PyPI's `build`.
    print(
        "python -m build runs the build.py of this repository, which is not meant: "
        "for sdist and wheel `pip install build`, then `pyproject-build`",
        file=sys.stderr,
    )
    sys.exit(2)

from submission.arc.tasks import PUBLIC_SETS, public_set
from submission.config import LAYOUTS
from submission.errors import BadInput, concerns
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import ACCELERATORS, PROFILES, Profile
from submission.kaggle.packaging.metadata import CLOSED, COMPETITION, LICENCES, NO_COMPETITION, Names
from submission.kaggle.packaging.model_upload import prepared_model
from submission.kaggle.packaging.push_commands import commands
from submission.kaggle.packaging.verify import read_bundle, verify
from submission.kaggle.prepare import SOLUTIONS, TASKS

PROFILE_HELP = "the wheels to carry: native, or unsloth for model.backend=unsloth (default: native)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        result: int = options.command(options)
        return result
    except BadInput as error:
        print(error, file=sys.stderr)
    except OSError as error:
        if not concerns(error, [Path(value) for value in vars(options).values() if isinstance(value, str | Path)]):
            raise
        print(error, file=sys.stderr)
    return 2


def _wheels(options: argparse.Namespace) -> int:
    profile = Profile(options.profile)
    if options.relock:
        pins = wheels.resolve(profile)
        profile.lock.write_text(wheels.lock_text(profile, pins), encoding="utf-8", newline="\n")
        print(f"{profile.lock}: {len(pins)} wheels")
    out = options.out or profile.folder
    wheels.download(profile, out)
    for path in sorted(out.glob("*.whl")):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _model(options: argparse.Namespace) -> int:
    out = prepared_model(options.source, options.out, options.shrink, options.quantize)
    for path in sorted(out.iterdir()):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _bundle(options: argparse.Namespace) -> int:
    if options.license and not options.model:
        raise BadInput("--license is that of a model's weights: it needs --model")
    if options.data and options.competition != NO_COMPETITION:
        raise BadInput(f"--data needs --competition {NO_COMPETITION}: a competition has its own tasks")
    large = "t4x2" if options.competition == NO_COMPETITION else "l4x4"
    names = Names(
        options.owner, options.name, options.competition,
        options.accelerator or (large if options.model or options.model_source else "none"),
        options.model_version if options.model else None, options.license or "", options.model_source,
    )  # fmt: skip
    public = _public_tasks(options.data or "arc1-eval") if options.competition == NO_COMPETITION else None
    print(*bundle(names, options.out, Profile(options.profile), options.wheels, options.model, public), sep="\n")
    if when := CLOSED.get(names.competition):
        print(f"{names.competition} closed {when}: late submissions only, where Kaggle allows them")
    print(f"now: python build.py verify {options.out}; python build.py commands {options.out}")
    return 0


def _public_tasks(name: str) -> dict[str, Any]:
    """A public set in Kaggle's two files."""
    tasks, solutions = public_set(name)
    challenges = {
        task_id: {
            "train": [{"input": p.input.tolist(), "output": p.output.tolist()} for p in task.demonstrations],
            "test": [{"input": query.tolist()} for query in task.tests],
        }
        for task_id, task in tasks.items()
    }
    return {TASKS: challenges, SOLUTIONS: {k: [each.tolist() for each in grids] for k, grids in solutions.items()}}


def _verify(options: argparse.Namespace) -> int:
    wrong, notes = verify(options.folder)
    print(*wrong, *notes, f"{options.folder}: {len(wrong)} errors", sep="\n")
    return 1 if wrong else 0


def _commands(options: argparse.Namespace) -> int:
    print(commands(options.folder, read_bundle(options.folder)[0]), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python build.py", description="Make the upload for Kaggle.")
    parts = parser.add_subparsers(required=True, metavar="COMMAND")

    of_wheels = parts.add_parser("wheels", help="download the locked wheels for Kaggle's image")
    of_wheels.set_defaults(command=_wheels)
    of_wheels.add_argument("--profile", choices=PROFILES, default="native", help=PROFILE_HELP)
    of_wheels.add_argument("--relock", action="store_true", help="resolve again against image.txt, and write the lock")
    of_wheels.add_argument("--out", type=Path, help="(default: offline_wheels/<profile>)")

    of_model = parts.add_parser("model", help="prepare a large model for the upload")
    of_model.set_defaults(command=_model)
    of_model.add_argument("source", help="a model folder, or hf:REPO")
    of_model.add_argument("--out", type=Path, required=True, help="the folder to write the model to")
    of_model.add_argument("--shrink", choices=LAYOUTS, help="cut the vocabulary to the tokens of this layout")
    of_model.add_argument("--quantize", action="store_true", help="quantize the blocks to NF4")

    of_bundle = parts.add_parser("bundle", help="make the folder that is uploaded to Kaggle")
    of_bundle.set_defaults(command=_bundle)
    of_bundle.add_argument("--owner", required=True, help="Kaggle user name")
    of_bundle.add_argument("--out", type=Path, required=True, help="the folder to write the bundle to")
    which = of_bundle.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="what `build.py model` wrote (default: the embedded model)")
    which.add_argument(
        "--model-source", metavar="HANDLE",
        help="attach a model that is on Kaggle: owner/model/framework/variation/version (docs/checkpoints.md has some)",
    )  # fmt: skip
    of_bundle.add_argument("--model-version", type=int, default=1, help="the model's version on Kaggle (default: 1)")
    of_bundle.add_argument(
        "--license", choices=LICENCES, metavar="LICENCE",
        help=f"of the model's weights, as their publisher says, by Kaggle's name: {'; '.join(LICENCES)}",
    )  # fmt: skip
    of_bundle.add_argument(
        "--accelerator", choices=ACCELERATORS, help="the machine (default: none, that is no GPU; l4x4 with --model)"
    )
    of_bundle.add_argument(
        "--competition", default=COMPETITION,
        help=f"its name in Kaggle's URL; {NO_COMPETITION}: public tasks instead (default: %(default)s)",
    )  # fmt: skip
    of_bundle.add_argument(
        "--data", choices=PUBLIC_SETS, help=f"the public tasks for --competition {NO_COMPETITION} (default: arc1-eval)"
    )
    of_bundle.add_argument("--name", default="arc-submission", help="the notebook's slug (default: %(default)s)")
    of_bundle.add_argument("--profile", choices=PROFILES, default="native", help=PROFILE_HELP)
    of_bundle.add_argument("--wheels", type=Path, help="a folder of wheels (default: offline_wheels/<profile>)")

    of_verify = parts.add_parser("verify", help="check a bundle")
    of_verify.set_defaults(command=_verify)
    of_verify.add_argument("folder", type=Path, help="what `build.py bundle` wrote")

    of_commands = parts.add_parser("commands", help="print the commands that upload a bundle and submit it")
    of_commands.set_defaults(command=_commands)
    of_commands.add_argument("folder", type=Path, help="what `build.py bundle` wrote")
    return parser


if __name__ == "__main__":
    sys.exit(main())
