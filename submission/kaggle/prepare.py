"""A Kaggle machine made ready: its inputs found, its wheels installed, its GPUs looked at, its hours counted.

Called by kernel_main.py, which has written a blank submission before; what cannot be gone on with is a BadInput and
leaves that submission. Facts about Kaggle's machines are as of 2026-10: 12 hours, Python 3.12, torch 2.10 for compute
capabilities from 7.0 on, no bitsandbytes, a torchao of 2025 that peft refuses to be imported beside.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from submission.errors import BadInput
from submission.kaggle.manifests import whole, wrong_files

CODE_MANIFEST = "code_manifest.json"
WHEELS_MANIFEST = "wheels_manifest.json"
"""Marks and checks a part of the bundle: {"files": {path in its folder: sha256}, ...}."""

REQUIREMENTS = "requirements.txt"
"""In the wheels' folder: what to install, pinned, with hashes."""

SOFT_SECONDS = 11.5 * 3600
"""From the notebook's start to the end of the run's own time; after that it only hands in what it has."""
HARD_SECONDS = 11.75 * 3600
"""From the notebook's start to the moment at which a run that still goes on is killed: Kaggle's limit is 12 hours."""
CANARY_SECONDS = 600.0
"""The time of a run that will not be scored."""
CANARY_TASKS = 4
CHECK_SECONDS = 1200.0
MOST_TRIES = 3
"""Times that a run which ended badly is gone on with."""

PLACEHOLDERS = {
    "a6b7dac3cab03abf2eb333e16610d6dc",  # md5, arc-prize-2024
    "232264c58f825ee77327dcfc9f4e5cb2f83b8d997eb69032be1bf2205bbe1a83",  # sha256, arc-prize-2026-arc-agi-2
}
"""Digests of the public stand-ins for the hidden test files."""

OLDEST_GPU = (7, 0)
"""The least compute capability that the image's torch has kernels for."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "UNSLOTH_DISABLE_STATISTICS": "1",  # Its statistics wait for the network (unsloth #2393).
    "WANDB_DISABLED": "true",
    "USE_TF": "0",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONDONTWRITEBYTECODE": "1",  # The code lies on a read-only disk.
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
}
"""Variables of every run."""

CACHES = {"HF_HOME": "hf", "TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor", "XDG_CACHE_HOME": "xdg"}
"""Variables that name a folder of scratch, outside /kaggle/working, whose content would become output."""

PTXAS = Path("/usr/local/cuda/bin/ptxas")


@dataclass(frozen=True)
class Gpu:
    """One card, as nvidia-smi tells of it."""

    name: str
    megabytes: float
    capability: tuple[int, int]


@dataclass(frozen=True)
class KagglePlan:
    """What to run, and until when."""

    tasks: Path
    """The file that asks."""
    submission: Path
    """The file that is handed in: complete already."""
    out: Path
    """The run's folder: that of the submission, or, of a run of a few tasks, one of its own."""
    model: Path
    preset: str
    only: tuple[str, ...]
    """The tasks of a run that will not be scored; none for all."""
    soft_end: float
    hard_end: float
    """On the monotonic clock."""
    environment: Mapping[str, str]
    """Of the child process."""
    notes: tuple[str, ...]
    """What was found, a sentence each."""

    def check(self) -> list[str]:
        """The words after `python -m submission` that check this machine and model."""
        return ["check", "--model", str(self.model), "--preset", self.preset]

    def run(self, now: float, resume: bool) -> list[str]:
        """The words after `python -m submission` that solve the tasks until the soft end."""
        minutes = f"{max(self.soft_end - now, 1.0) / 60:.3f}"
        words = ["run", "--challenges", str(self.tasks), "--model", str(self.model), "--preset", self.preset]
        words += ["--out", str(self.out), "--minutes", minutes, "--resume" if resume else "--fresh"]
        return words + (["--only", ",".join(self.only)] if self.only else [])


def prepare(root: Path, tasks: Path, code: Path, environ: Mapping[str, str], now: float) -> KagglePlan:
    """Make the machine ready and decide what to run; BadInput where nothing can be run.

    `root` holds input/ and working/; `code` holds kernel_main.py and submission/. ARC_STARTED in `environ` may say
    when, on the monotonic clock, the notebook was started: otherwise it is `now`.
    """
    scored, why = is_scored(tasks, environ)
    cards = gpus(environ)
    gpu_note = fit(cards)
    attached = models(root / "input", code)
    model, preset, choice = chosen(cards, attached, code / "submission" / "models" / "embedded")
    whole(model)
    edited = wrong_files(code, CODE_MANIFEST)
    if edited and not scored:
        raise BadInput(f"{edited[0]}; upload the code again")
    notes = [why, gpu_note, choice, *edited, *installed(root / "input")]
    working = root / "working"
    started = float(environ.get("ARC_STARTED", now))
    soft, hard = started + SOFT_SECONDS, started + HARD_SECONDS
    soft = soft if scored else min(soft, now + CANARY_SECONDS)
    return KagglePlan(
        tasks, working / "submission.json", working if scored else working / "canary", model, preset,
        () if scored else few(tasks), soft, hard, {**environ, **surroundings(root / "temp")}, tuple(notes),
    )  # fmt: skip


def until_done(
    plan: KagglePlan, child: Callable[[list[str], float], int], clock: Callable[[], float] = monotonic
) -> int:
    """Run until the tasks are done or the time is over; what ended badly is gone on with. Returns an exit status.

    `child` runs some words for at most some seconds and returns the exit status of the run.
    """
    status = 1
    for attempt in range(MOST_TRIES):
        now = clock()
        if attempt > 0 and now > plan.soft_end:
            break
        resume = attempt > 0 and (plan.out / "journal" / ".run").exists()
        status = child(plan.run(now, resume), max(plan.hard_end - now, 1.0))
        if status in (0, 130):
            break
    return status


def handed_in(plan: KagglePlan) -> str:
    """Put what a run of a few tasks has answered into the submission; returns what to say of it."""
    submission: dict[str, Any] = json.loads(plan.submission.read_text())
    run = plan.out / "submission.json"
    if plan.only and run.exists():
        submission |= json.loads(run.read_text())
        temporary = plan.submission.with_name(f".{plan.submission.name}.whole")
        temporary.write_text(json.dumps(submission) + "\n")
        os.replace(temporary, plan.submission)
    blanks = sum(all(grid == [[0]] for each in entries for grid in each.values()) for entries in submission.values())
    return f"{plan.submission}: {len(submission)} tasks, {len(submission) - blanks} of them answered"


# -- which run this is -------------------------------------------------------------------------------------------


def is_scored(tasks: Path, environ: Mapping[str, str]) -> tuple[bool, str]:
    """Whether all tasks count, and why. In doubt they do: hours are cheaper than a submission of four tasks."""
    if environ.get("KAGGLE_IS_COMPETITION_RERUN"):
        return True, "this is the scored rerun: all tasks, all hours"
    canary = f"{CANARY_TASKS} tasks and {CANARY_SECONDS / 60:.0f} minutes at most"
    if is_placeholder(tasks):
        return False, f"the tasks are the public stand-ins, nothing is scored: {canary}"
    if environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Interactive":
        return False, f"this is an interactive session, nothing is scored: {canary}"
    return True, "the tasks are not the public stand-ins: all of them, all hours"


def is_placeholder(tasks: Path) -> bool:
    """Whether a test file is the public stand-in: by its digest, or because every task is one of the training set."""
    content = tasks.read_bytes()
    if {hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()} & PLACEHOLDERS:
        return True
    training = tasks.with_name("arc-agi_training_challenges.json")
    return training.exists() and set(json.loads(content)) <= set(json.loads(training.read_bytes()))


def few(tasks: Path) -> tuple[str, ...]:
    """The tasks of a run that is not scored: from the shortest to the longest, so that memory is tried as well."""
    lengths = {name: len(json.dumps(body)) for name, body in json.loads(tasks.read_bytes()).items()}
    order = sorted(lengths, key=lambda name: (lengths[name], name))
    places = [k * (len(order) - 1) // (CANARY_TASKS - 1) for k in range(CANARY_TASKS)]
    return tuple(dict.fromkeys(order[place] for place in places))


# -- what the machine has ----------------------------------------------------------------------------------------


def gpus(environ: Mapping[str, str]) -> list[Gpu]:
    """The cards of this machine; none where there is no nvidia-smi."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=120, env=dict(environ))
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        raise BadInput("nvidia-smi does not answer: the machine's GPUs cannot be used") from None
    lines = [line.split(", ") for line in told.stdout.splitlines()] if told.returncode == 0 else []
    return [Gpu(name, float(size), _version(capability)) for name, size, capability in lines]


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def fit(cards: Sequence[Gpu]) -> str:
    """What is said of these cards; BadInput for those that the image's torch cannot use."""
    if old := [card.name for card in cards if card.capability < OLDEST_GPU]:
        raise BadInput(
            f"the GPU is a {old[0]}, for which torch has no kernels: choose T4 x2 or L4 x4 and push again "
            "(an accelerator that Kaggle does not grant silently becomes a P100)"
        )
    names = [f"{card.name} ({card.megabytes / 1024:.1f} GiB)" for card in cards]
    return f"GPUs: {', '.join(names)}" if names else "there is no GPU"


def models(inputs: Path, code: Path) -> list[Path]:
    """The model folders that are attached: each has a config.json and safetensors. Those of the code do not count."""
    return [
        each
        for each in found(inputs, "config.json")
        if code not in each.resolve().parents and any(each.glob("*.safetensors"))
    ]


def chosen(cards: Sequence[Gpu], attached: Sequence[Path], embedded: Path) -> tuple[Path, str, str]:
    """The model to run, the preset for it, and why."""
    if not attached:
        return embedded, "laptop", "no model is attached: the embedded one runs"
    if not cards:
        return embedded, "laptop", f"{attached[0]} needs a GPU: the embedded model runs instead"
    preset = "l4x4" if min(card.megabytes for card in cards) > 20_000 else "t4x2"
    among = f", the first of {len(attached)} that are attached" if len(attached) > 1 else ""
    return attached[0], preset, f"model: {attached[0]}{among}; preset {preset}"


def found(inputs: Path, name: str) -> list[Path]:
    """The folders below `inputs` that hold a file of this name, under whatever layout Kaggle mounts them."""
    return sorted(Path(at) for at, _, names in os.walk(inputs, followlinks=True) if name in names)


def surroundings(scratch: Path) -> dict[str, str]:
    """The variables of a run without a network, with its caches in a scratch folder, which is made."""
    caches = {name: scratch / folder for name, folder in CACHES.items()}
    for folder in caches.values():
        folder.mkdir(parents=True, exist_ok=True)
    tools = {"TRITON_PTXAS_PATH": str(PTXAS)} if PTXAS.exists() else {}
    return OFFLINE | {name: str(folder) for name, folder in caches.items()} | tools


# -- what came along ---------------------------------------------------------------------------------------------


def installed(inputs: Path) -> list[str]:
    """Install the wheels that came along, and remove a torchao that peft refuses; returns what is worth saying."""
    folders = found(inputs, WHEELS_MANIFEST)
    if not folders:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise BadInput(
                f"bitsandbytes is not installed and no {WHEELS_MANIFEST} is under {inputs}: attach the wheels"
            )
        return ["no wheels are attached; bitsandbytes is there already", *without_torchao()]
    wheels = folders[0]
    if wrong := wrong_files(wheels, WHEELS_MANIFEST):
        raise BadInput(f"{wrong[0]}; upload the wheels again")
    pip("install", "--no-index", "--no-deps", "--require-hashes", f"--find-links={wheels / 'wheelhouse'}",
        "--requirement", str(wheels / REQUIREMENTS))  # fmt: skip
    brought = [line for line in (wheels / REQUIREMENTS).read_text().splitlines() if "==" in line]
    names = [line.split()[0] for line in brought]
    ours = any(name.startswith("torchao==") for name in names)
    return [f"installed from {wheels}: {', '.join(names)}", *([] if ours else without_torchao())]


def without_torchao() -> list[str]:
    """Remove torchao before 0.16, beside which peft 0.19 and later refuse to be imported; nothing here needs it."""
    importlib.invalidate_caches()
    try:
        version = importlib.metadata.version("torchao")
    except importlib.metadata.PackageNotFoundError:
        return []
    if tuple(int(part) for part in version.split(".")[:2]) >= (0, 16):
        return []
    pip("uninstall", "--yes", "torchao")
    importlib.invalidate_caches()
    if importlib.util.find_spec("torchao") is not None:
        return [f"torchao {version} could not be removed: peft may refuse to be imported beside it"]
    return [f"removed torchao {version}, beside which peft cannot be imported"]


def pip(command: str, *words: str) -> None:
    """Run pip of this interpreter; BadInput with its first error line if it fails."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    done = subprocess.run([sys.executable, "-m", "pip", command, *quiet, *words], capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BadInput(f"pip {command}: {' '.join(lines[:1]) or f'exit status {done.returncode}'}")
