"""The Kaggle drill by hand.

python -m tests.drill --minutes 4                 # 240 tasks in the scored rerun, with four of its minutes left
python -m tests.drill --minutes 4 --commit        # the run on the public stand-ins: four tasks
python -m tests.drill --model READY --tasks 6     # with an attached model, and an nvidia-smi that tells of two T4
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from submission.errors import BadInput
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.metadata import Names
from tests import drill


def main() -> int:
    """Drill once; 0 if the notebook went through and left a complete valid submission with an answer in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description="The Kaggle drill.")
    parser.add_argument("--minutes", type=float, default=4.0, help="what is left of the run's time (default: 4)")
    parser.add_argument("--tasks", type=int, default=240, help="(default: 240, as Kaggle's stand-ins)")
    parser.add_argument("--layout", choices=drill.LAYOUTS, default="by kind", help="how inputs are mounted")
    parser.add_argument("--commit", action="store_true", help="not the scored rerun but the run before it")
    parser.add_argument("--model", type=Path, help="what `build.py model` wrote (default: the embedded model)")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels (default: offline_wheels/native)")
    options = parser.parse_args()
    try:
        return drilled(options)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2


def drilled(options: argparse.Namespace) -> int:
    """See `main`; BadInput where the bundle cannot be made."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = Names("someone")
        if options.model:
            names = Names("someone", accelerator="t4x2", model_version=1, licence="Apache 2.0")  # Nothing is uploaded.
        print(*bundle(names, folder / "bundle", Profile("native"), options.wheels, options.model), sep="\n")
        drill.mounted(folder / "bundle", folder / "kaggle", options.layout, options.tasks)
        machine = drill.Machine(folder / "kaggle", drill.image(folder))
        alone = drill.can_isolate(folder / "probe")
        print("no network, read-only inputs" if alone else "NOT isolated: this machine permits no namespaces")
        print(f"the notebook runs, up to {options.minutes:g} minutes and its start", flush=True)
        began = time.monotonic()
        environment = drill.surroundings(machine, options.minutes, not options.commit)
        if options.model:
            environment |= drill.nvidia_smi(folder, "Tesla T4, 15360, 7.5\n" * 2)
        done = drill.run(machine, folder / "bundle" / "notebook" / "arc-submission.ipynb", environment, alone)
        print(done.stdout)
        told, wrong = drill.judged(machine)
    print(f"{time.monotonic() - began:.0f} s; exit status {done.returncode}; {told}", *wrong, sep="\n")
    return 1 if wrong or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
