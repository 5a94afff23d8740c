"""`python -m tests.attacks files N | models N | folders N | options N | programs`: attacks of one sort, and what became
of them, in a row of a table; each has a seed. `... all` makes all of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.attacks import sorts
from tests.attacks.verdicts import Tally

SORTS: dict[str, Callable[[Path, int, int], Tally]] = {
    "files": sorts.files,
    "models": sorts.models,
    "folders": sorts.folders,
    "programs": sorts.programs,
    "options": sorts.options,
}


def main(arguments: list[str]) -> int:
    """Make the attacks that are asked for; returns 1 if one was not held."""
    match arguments:
        case [what, *number] if what in SORTS and len(number) <= 2:
            with tempfile.TemporaryDirectory() as folder:
                tally = SORTS[what](Path(folder), *map(int, number or ["0"]))
        case _:
            sys.exit(__doc__)
    print(tally)
    return int(bool(tally.failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
