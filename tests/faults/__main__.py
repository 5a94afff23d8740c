"""`python -m tests.faults table [real]`: every fault at every stage; `... lasting`: faults that last;
`... soak --minutes M`: 400 tasks in as many minutes, faults throughout; `... kills N`: N kills at random moments, after
each of which the run goes on; `... early N [model]`: N kills in the first seconds of the real command; `... places`:
the real command on places that cannot be looked at or written to; `... mutations N`: N challenges files with something
wrong about them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from submission.config import EMBEDDED
from tests.faults import lasting
from tests.faults.kills import BOTH, PROGRAMS, early_kills, kills
from tests.faults.mutations import mutations
from tests.faults.places import places
from tests.faults.soak import soak
from tests.faults.table import table

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        match sys.argv[1:]:
            case ["table", *more] if more in ([], ["real"]):
                print(table(Path(folder), real=bool(more)))
            case ["lasting"]:
                print(lasting.table(Path(folder)))
            case ["soak", "--minutes", minutes]:
                print(soak(Path(folder) / "soak", float(minutes)))
            case ["kills", number]:
                print(kills(Path(folder), int(number)))
            case ["early", number, *more] if more in ([], ["model"]):
                print(early_kills(Path(folder), int(number), BOTH if more else PROGRAMS))
            case ["places"]:
                print(places(Path(folder)))
            case ["mutations", number]:
                print(mutations(Path(folder), int(number), EMBEDDED))
            case _:
                sys.exit(__doc__)
