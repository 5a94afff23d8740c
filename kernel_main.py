"""The entry: `python -m submission run --preset laptop [OPTIONS]`; on Kaggle a run for its machine, after a blank.

The package is a child process: nothing it does to its memory or its GPU can take this file down."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
TASKS = "arc-agi_test_challenges.json"
BLANK = {"attempt_1": [[0]], "attempt_2": [[0]]}
GRACE = 30.0  # Seconds from being asked to end to being killed.


def main() -> int:
    """Run the package with this command line; returns its exit status."""
    root = Path(os.environ.get("ARC_KAGGLE_ROOT", "/kaggle"))
    if (root / "input").is_dir():
        return on_kaggle(root, sys.argv[1:])
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    return child(["run", "--preset", "laptop", *sys.argv[1:]], offline | os.environ)


def on_kaggle(root: Path, options: Sequence[str]) -> int:
    """A complete blank submission, then the run ("check": only what comes before); a sentence where that cannot be."""
    try:
        tasks = write_blank(root / "input", root / "working" / "submission.json")
        from submission.kaggle import prepare  # After the blank: an incomplete upload fails here.

        plan = prepare.prepare(root, tasks, HERE, os.environ, time.monotonic())
        print(*plan.notes, sep="\n", flush=True)
        if list(options) == ["check"]:
            return child(plan.check(), plan.environment, prepare.CHECK_SECONDS)
        status = prepare.until_done(plan, lambda words, left: child([*words, *options], plan.environment, left))
        print(prepare.handed_in(plan), flush=True)
        return status
    except (ImportError, OSError, ValueError) as error:  # BadInput is a ValueError.
        print(error, file=sys.stderr, flush=True)
        return 2


def write_blank(inputs: Path, submission: Path) -> Path:
    """Write [[0]] for every attempt at every task; returns the file that asks: the competition's own, not a copy."""
    files = [Path(at, TASKS) for at, _, names in os.walk(inputs, followlinks=True) if TASKS in names]
    if not files:
        raise ValueError(f"there is no {TASKS} under {inputs}: attach the competition to the notebook")
    asked = min(files, key=lambda file: (not file.parent.name.startswith("arc-prize"), len(file.parts), str(file)))
    try:
        content = {task: [BLANK] * len(body["test"]) for task, body in json.loads(asked.read_bytes()).items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{asked}: is not a file of tasks ({error!r})") from None
    whole = submission.with_name(f".{submission.name}.blank")
    whole.write_text(json.dumps(content))
    whole.replace(submission)
    return asked


def child(words: Sequence[str], environment: Mapping[str, str], seconds: float = float("inf")) -> int:
    """Run `python -m submission WORDS`; after so many seconds it is asked to end, and soon killed."""
    paths = os.pathsep.join([str(HERE), *filter(None, [environment.get("PYTHONPATH")])])
    process = subprocess.Popen([sys.executable, "-m", "submission", *words], env={**environment, "PYTHONPATH": paths})
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    ends, blow = time.monotonic() + seconds, signal.SIGTERM
    while True:
        try:
            return process.wait(max(ends - time.monotonic(), 0.0))
        except KeyboardInterrupt:
            continue  # The child has been interrupted too; it writes what it has, then ends.
        except subprocess.TimeoutExpired:
            process.send_signal(blow)
            ends, blow = time.monotonic() + GRACE, signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main())
