"""The GPUs of a Kaggle machine: what is there, what torch can use of it, and whether it is what was asked for.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from submission.errors import BadInput
from submission.gpus import OLDEST_GPU, Gpu, listed, listed_by_nvidia_smi
from submission.presets import MACHINES

L4_MEGABYTES = 20_000
"""A GPU with more memory than this (MiB) takes the presets of L4 x4: an L4 has 23034, a T4 15360."""


def gpus_for(attached: Sequence[Path], scored: bool, environ: Mapping[str, str]) -> tuple[list[Gpu], str]:
    """The GPUs, and how nvidia-smi failed ("" if it did not).

    Outside the scored rerun an attached model without a GPU is a BadInput: this run is there to find such mistakes.
    The scored rerun asks torch before it goes on without a GPU.
    """
    if scored or not attached:
        return listed(environ, expected=bool(attached))
    try:
        gpus = listed_by_nvidia_smi(environ)
    except BadInput as error:
        raise BadInput(f"{attached[0]}: needs a GPU, but {error}") from error
    if not gpus:
        raise BadInput(f"{attached[0]}: needs a GPU, and there is none: choose T4 x2 or L4 x4, or detach the model")
    return gpus, ""


def supported(gpus: Sequence[Gpu], scored: bool) -> tuple[list[Gpu], str]:
    """The GPUs that the image's torch has kernels for, and a line for the others ("" without any).

    Outside the scored rerun another one is a BadInput; the scored rerun goes on without it.
    """
    old = [gpu.name for gpu in gpus if gpu.capability < OLDEST_GPU]
    if old and not scored:
        raise BadInput(
            f"the GPU is a {old[0]}, for which torch has no kernels: choose T4 x2 or L4 x4 and push again "
            "(an accelerator that Kaggle does not grant silently becomes its default)"
        )
    left_out = f"the GPU is a {old[0]}, for which torch has no kernels: it is not used" if old else ""
    return [gpu for gpu in gpus if gpu.capability >= OLDEST_GPU], left_out


def other_machine(asked: object, gpus: Sequence[Gpu]) -> list[str]:
    """A line where these are not the GPUs of the machine that the bundle asks for, such as "l4x4"."""
    if not isinstance(asked, str) or asked not in MACHINES or not gpus:
        return []
    card, number = MACHINES[asked]
    if (has_small(gpus), len(gpus)) == (card == "t4", number):
        return []
    return [
        f"the bundle asks for {number} {card.upper()}, but here is {len(gpus)} x {gpus[0].name}: the run takes that"
    ]


def has_small(gpus: Sequence[Gpu]) -> bool:
    """Whether a GPU has less memory than the presets of L4 x4 take; `gpus` are not empty."""
    return min(gpu.megabytes for gpu in gpus) <= L4_MEGABYTES


def gpu_line(gpus: Sequence[Gpu]) -> str:
    """A line that counts the GPUs by their names; each gets a worker."""
    counted = Counter(f"{gpu.name} ({gpu.megabytes / 1024:.1f} GiB)" for gpu in gpus)
    found = ", ".join(f"{number} x {name}" for name, number in counted.items())
    return f"GPUs: {found}" if found else "there is no GPU"
