"""The arguments of `pretrain`: one for each setting of the two trainings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args, get_type_hints

from submission.cli import option_values as values
from submission.cli.examples import examples_of
from submission.cli.settings_table import meanings
from submission.training.settings import RANGES, FineTuning, Pretraining, Training


def training_fields() -> dict[str, Any]:
    """Name -> type of the settings of `pretrain`, from scratch and with --base."""
    return {**get_type_hints(Pretraining), **get_type_hints(FineTuning)}


def training_help(name: str) -> str:
    """What a setting of `pretrain` means, with its default from scratch and with --base."""
    kinds = {"": Pretraining, " with --base": FineTuning}
    having = {words: kind for words, kind in kinds.items() if name in meanings(kind)}
    defaults = {words: vars(kind).get(name, vars(Training).get(name)) for words, kind in having.items()}
    if len(set(defaults.values())) == 1:
        defaults = {"": next(iter(defaults.values()))}
    told = ", ".join(f"{default}{words}" for words, default in defaults.items())
    meaning = meanings(next(iter(having.values())))[name]
    return f"{meaning} (default: {told})".replace("%", "%%")


def add_pretrain(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of `pretrain` to those of the other commands; returns it."""
    train: argparse.ArgumentParser = commands.add_parser(
        "pretrain", help="train the embedded model, or fine-tune a large base, on many tasks", **examples_of("pretrain")
    )
    train.set_defaults(command="pretrain")
    train.add_argument("--out", type=values.folder_to_write, required=True, help="the folder to write")
    train.add_argument("--base", type=Path, help="fine-tune this causal language model instead, by a LoRA on NF4")
    train.add_argument("--resume", action="store_true", help="continue the training in OUT")
    train.add_argument(
        "--rearc", type=Path, help="RE-ARC's re_arc.zip or folder (default: only the public training tasks)"
    )
    train.add_argument(
        "--families", type=Path, action="append", default=[], metavar="FILE",
        help="a pack of further families (.npz, see training/rearc.py); repeat it for each pack",
    )  # fmt: skip
    train.add_argument(
        "--generated", type=values.PAIRS, default=100, help="pairs of each generated family (default: 100)"
    )
    train.add_argument(
        "--random-programs", type=values.FAMILIES, default=0, metavar="N",
        help="families made by random programs, see training/random_programs.py (default: 0)",
    )  # fmt: skip
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
        option, said = f"--{name.replace('_', '-')}", training_help(name)
        if kind is bool:
            train.add_argument(option, action=argparse.BooleanOptionalAction, help=said)
        else:
            of_number = values.whole_number if kind is int else values.number
            of_kind = str if get_args(kind) else of_number(RANGES[name])
            train.add_argument(option, type=of_kind, choices=get_args(kind) or None, help=said)
    return train
