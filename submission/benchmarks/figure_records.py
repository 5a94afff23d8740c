"""A file of measurements, one JSON line each: what was measured, of which settings and weights, with which seed.

A measurement that is in the file already is not made again, so that a comparison can be interrupted, and extended.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from submission.benchmarks.network_figures import Figures
from submission.errors import BadInput

BEGINNING = '{"variant": '
"""What the line of a record begins with, even where it ends too early."""


@dataclass(frozen=True)
class FigureRecord:
    """One task, measured once."""

    variant: str
    """The changes of the settings, or the name of a condition."""
    seed: int
    task: str
    rule: str
    """The id of the public task: tasks that share it share a rule."""
    figures: Figures
    made_by: str
    """Fingerprint of settings and weights: figures of different ones are never compared."""
    commit: str = ""
    """The version of the code, as git names it; "" where git does not know."""

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What there is one measurement of."""
        return self.made_by, self.variant, self.seed, self.task


def append(path: Path, record: FigureRecord) -> None:
    """Add a record, whole: several processes may write to one file.

    It begins a line of its own where an interrupted process left half of one.
    """
    with path.open("ab+") as file:
        whole = file.tell() == 0 or (file.seek(-1, 2), file.read(1))[1] == b"\n"
        file.write((b"" if whole else b"\n") + json.dumps(asdict(record)).encode() + b"\n")


def read(path: Path) -> list[FigureRecord]:
    """All records of a file; none where there is no such file. BadInput for a line that is none.

    A line that ends in the middle is what an interrupted process left: it is passed over.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        try:
            content = json.loads(line)
        except ValueError:
            if line.startswith(BEGINNING):
                continue
            raise BadInput(f"{path}: line {number} is no record of a measurement") from None
        try:
            figures = {**content["figures"], "solved": tuple(content["figures"]["solved"])}
            records.append(FigureRecord(**{**content, "figures": Figures(**figures)}))
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"{path}: line {number} is no record of a measurement ({error!r})") from None
    return records


def of(
    path: Path, made_by: str, variants: Collection[str], seeds: Collection[int], tasks: Collection[str]
) -> list[FigureRecord]:
    """The records of one comparison, in the order of the variants."""
    order = {name: k for k, name in enumerate(variants)}
    wanted = [
        each
        for each in read(path)
        if each.made_by == made_by and each.variant in order and each.seed in seeds and each.task in tasks
    ]
    once = {each.key: each for each in wanted}  # Two processes may have measured the same.
    return sorted(once.values(), key=lambda each: order[each.variant])


def commit() -> str:
    """The commit of the code that runs, with a + where files differ from it; "" where git does not know."""
    folder = Path(__file__).parent
    try:
        named = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=folder, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return named.stdout.strip() if named.returncode == 0 else ""
