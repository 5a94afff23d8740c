"""The entry: `submission run --preset laptop [OPTIONS]` in a child process; on Kaggle the run that fits its machine."""

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
GRACE = 30.0  # Seconds from SIGTERM to SIGKILL.


def main() -> int:
    """Run the package with this command line; returns its exit status."""
    if ((root := Path(os.environ.get("ARC_KAGGLE_ROOT", "/kaggle"))) / "input").is_dir():
        return on_kaggle(root, sys.argv[1:])
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    return child(["run", "--preset", "laptop", *sys.argv[1:]], offline | os.environ)


def on_kaggle(root: Path, options: Sequence[str]) -> int:
    """Write a blank submission, then run ("check": only check). Bad input: a sentence, 2. A bug: a traceback, 1."""
    try:
        tasks = write_blank(root / "input", root / "working" / "submission.json")
        from submission.kaggle import prepare  # After the blank: an incomplete upload fails here.
    except (ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    try:
        plan = prepare.prepare(root, tasks, HERE, os.environ, time.monotonic())
        print(*plan.notes, sep="\n", flush=True)
        if list(options) == ["check"]:
            return child(plan.check(), plan.environment, prepare.CHECK_SECONDS)
        status = prepare.run_with_restarts(plan, lambda words, left: child([*words, *options], plan.environment, left))
        print(prepare.merge_canary_answers(plan), flush=True)
        return status
    except prepare.REFUSED as error:
        print(error, file=sys.stderr, flush=True)
        return 2


def write_blank(inputs: Path, submission: Path) -> Path:
    """Write [[0]] twice for every test input, at least once a task; returns the competition's challenges file."""
    if not (files := [at for folder, *_ in os.walk(inputs, followlinks=True) if (at := Path(folder, TASKS)).is_file()]):
        raise ValueError(f"there is no {TASKS} under {inputs}: attach the competition to the notebook")
    own = f"{inputs}/competitions/", f"{inputs}/arc-prize"  # Where a competition is mounted now, and was formerly.
    tasks = min(files, key=lambda at: (b'"test"' not in at.read_bytes(), *(p not in str(at) for p in own), str(at)))
    try:
        tests = {k: isinstance(v, dict) and v.get("test") for k, v in json.loads(tasks.read_bytes()).items()}
    except (ValueError, RecursionError, AttributeError) as error:
        raise ValueError(f"{tasks}: is not a file of tasks ({error!r})") from None
    content = {task: [BLANK] * (len(each) if isinstance(each, list) and each else 1) for task, each in tests.items()}
    (temporary := submission.with_name(f".{submission.name}.blank")).write_text(json.dumps(content))
    temporary.replace(submission)
    return tasks


def child(words: Sequence[str], environment: Mapping[str, str], seconds: float = float("inf")) -> int:
    """Run `python -m submission WORDS` and return its exit status; SIGTERM after these seconds, SIGKILL soon after."""
    paths = os.pathsep.join([str(HERE), *filter(None, [environment.get("PYTHONPATH")])])
    process = subprocess.Popen([sys.executable, "-m", "submission", *words], env={**environment, "PYTHONPATH": paths})
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    ends, blow = time.monotonic() + seconds, signal.SIGTERM
    while True:
        try:
            return process.wait(max(ends - time.monotonic(), 0.0))
        except KeyboardInterrupt:
            continue  # Ctrl-C interrupts the child too: it writes what it has and ends.
        except subprocess.TimeoutExpired:
            process.send_signal(blow)
            ends, blow = time.monotonic() + GRACE, signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main())
