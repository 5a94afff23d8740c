"""How much a run on Kaggle does: hours of the scored run, tasks and minutes of the run before it.

The notebook's cell of settings gives them as environment variables. Standard library alone: on Kaggle this runs before
anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from submission.errors import BadInput

HOURS, COMMIT_TASKS, COMMIT_MINUTES = 11.5, 4, 10.0
"""What holds where nothing is said."""

RANGES = {"HOURS": (0.05, HOURS), "COMMIT_TASKS": (1, 1000), "COMMIT_MINUTES": (1, 60 * HOURS)}
"""Name in the notebook's settings -> the least and the most."""


@dataclass(frozen=True)
class Limits:
    """What a run may take."""

    hours: float = HOURS
    """Of the scored run and of one without a competition, from the notebook's start; Kaggle ends it after 12."""
    tasks: int = COMMIT_TASKS
    minutes: float = COMMIT_MINUTES
    """Tasks and minutes of the run before the scored one."""


def limits_in(environ: Mapping[str, str]) -> Limits:
    """The limits in ARC_HOURS, ARC_COMMIT_TASKS and ARC_COMMIT_MINUTES; BadInput for a value out of its range."""
    given = {name: environ[f"ARC_{name}"] for name in RANGES if f"ARC_{name}" in environ}
    for name, text in given.items():
        require_in_range(name, text)
    return Limits(
        float(given.get("HOURS", HOURS)), int(given.get("COMMIT_TASKS", COMMIT_TASKS)),
        float(given.get("COMMIT_MINUTES", COMMIT_MINUTES)),
    )  # fmt: skip


def require_in_range(name: str, text: str) -> None:
    """BadInput unless this is the text of a number in the range of a limit, and a whole one for tasks."""
    least, most = RANGES[name]
    try:
        value = int(text) if name == "COMMIT_TASKS" else float(text)
        right = least <= value <= most
    except ValueError:
        right = False
    if not right:
        whole = "a whole number" if name == "COMMIT_TASKS" else "a number"
        raise BadInput(f"the notebook's setting {name} = {text}: expected {whole} from {least:g} to {most:g}")
