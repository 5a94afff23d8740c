"""What is mounted under /kaggle/input, found by its content: Kaggle's paths differ from year to year, and run to run.

                  now                                                formerly
    competition   competitions/SLUG/                                 SLUG/
    data set      datasets/OWNER/SLUG/                               SLUG/
    model         models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION/    MODEL/FRAMEWORK/VARIATION/VERSION/
    output        notebooks/OWNER/SLUG/                              SLUG/

A file of tasks is known by its name and by what it holds, code and wheels by their manifests, a model by its
config.json and safetensors. Of files of tasks those of a competition come first, as kernel_main.py chooses them; what
is mounted twice is one. What is then there more than once is refused, or in the scored rerun the first one is taken.
Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from submission.atomic import read_json
from submission.checkpoint.weight_files import has_safetensors
from submission.errors import BadInput

COMPETITIONS = ("competitions/", "arc-prize")
"""How the path of a competition's file begins, below the inputs: now and formerly."""

WEIGHTS = ("*.safetensors", "*.gguf", "pytorch_model*.bin", "adapter_model*.bin", "consolidated*.pth")
"""The usual names of weights, in the formats that are read here and in others."""


def folders_with(inputs: Path, name: str) -> list[Path]:
    """The folders below `inputs` that hold a file of this name, under whatever layout Kaggle mounts them."""
    return sorted(Path(folder) for folder, _, names in os.walk(inputs, followlinks=True) if name in names)


def task_files_beside(inputs: Path, tasks: Path) -> list[Path]:
    """`tasks`, and the other files of its name that hold tasks and are in as good a place: of other competitions."""
    others = (each / tasks.name for each in folders_with(inputs, tasks.name))
    place = _place(inputs, tasks)
    return [tasks, *(each for each in others if each != tasks and _place(inputs, each) == place and holds_tasks(each))]


def holds_tasks(file: Path) -> bool:
    """Whether a file is one of tasks at first sight: an object of which a value has train and test."""
    return any(isinstance(body, dict) and {"train", "test"} <= set(body) for body in read_json(file).values())


def _place(inputs: Path, file: Path) -> int:
    path = file.relative_to(inputs).as_posix()
    return next((k for k, begins in enumerate(COMPETITIONS) if path.startswith(begins)), len(COMPETITIONS))


def attached_models(inputs: Path, code: Path) -> list[Path]:
    """The folders that are taken for attached models: with a config.json and safetensors, not those of the code.

    A folder that is there by several paths is one. Whether a model can be used is for `read_checkpoint` to say.
    """
    found = [each for each in folders_with(inputs, "config.json") if not _within(each, code) and has_safetensors(each)]
    return distinct(found, Path.resolve)


def distinct(folders: Iterable[Path], identity: Callable[[Path], Hashable]) -> list[Path]:
    """The folders without those that are the same as one before, by what `identity` returns."""
    first: dict[Hashable, Path] = {}
    for each in folders:
        first.setdefault(identity(each), each)
    return list(first.values())


def unusable_weights(inputs: Path, code: Path, models: Sequence[Path]) -> Iterator[str]:
    """A sentence for each folder with weights that is no model: of another format, or an adapter alone."""
    for folder in sorted(Path(at) for at, _, _ in os.walk(inputs, followlinks=True)):
        whole = {each.resolve() for each in models} & {folder.resolve(), *folder.resolve().parents}
        files = sorted(file for kind in WEIGHTS for file in folder.glob(kind))
        if files and not whole and not _within(folder, code):
            yield (
                f"{files[0]}: weights that cannot be used, as a model has a config.json and safetensors "
                "(merge an adapter into its base)"
            )


def _within(folder: Path, code: Path) -> bool:
    return code in (folder.resolve(), *folder.resolve().parents)


def require_one(found: Sequence[Path], what: str, scored: bool) -> list[str]:
    """Nothing where one is found at most; of several BadInput or, in the scored rerun, a line: the first is taken.

    `what` says what they are, such as "models"; the run before the scored one is there to find such mistakes.
    """
    if len(found) < 2:
        return []
    if not scored:
        raise BadInput(f"{len(found)} {what} are attached, {found[0]} and {found[1]}: detach all but one")
    return [f"{len(found)} {what} are attached, {found[0]} is taken, not {found[1]}"]
