"""Prepare a Kaggle machine: find its inputs, install the wheels, choose model and preset, plan the hours.

kernel_main.py calls this after it has written a blank submission; what makes a run impossible is a BadInput, and the
blank submission stays. It runs before anything is installed: the standard library alone. Facts about Kaggle are as of
2026-10: 12 hours, Python 3.12, torch 2.10 for compute capabilities from 7.0 on, no bitsandbytes, and a torchao of 2025
beside which peft refuses to be imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from submission.atomic import read_json, write_json
from submission.checkpoint.checkpoint import Checkpoint, layout_name, read_checkpoint
from submission.checkpoint.families import projection_shapes
from submission.errors import BadInput
from submission.gpus import Gpu
from submission.kaggle.install import install_wheels
from submission.kaggle.limits import HOURS, Limits, limits_in
from submission.kaggle.machine import gpu_line, gpus_for, has_small, other_machine, supported
from submission.kaggle.manifests import manifest_mismatches
from submission.kaggle.mounts import attached_models, require_one, task_files_beside, unusable_weights
from submission.presets import RECIPES, TTT_ON_T4

CODE_MANIFEST = "code_manifest.json"
"""The manifest of the code: {"accelerator": the machine asked for, "model": the handle of the model to be attached or
null, "files": {path in its folder: sha256}}."""

SOFT_SECONDS = HOURS * 3600
"""From the notebook's start to the end of the run's own time, at most; then the run writes what it has and ends."""
KILLED_AFTER = 900.0
"""Seconds from then to the kill of a run that has not ended; Kaggle's limit is 12 hours."""
PUBLIC_TASKS, TASKS, SOLUTIONS = "tasks", "arc-agi_test_challenges.json", "arc-agi_test_solutions.json"
"""The folder of the code in which a bundle without a competition has its tasks, and its two files."""
CHECK_SECONDS = 1200.0
"""The time of `python -m submission check`."""
MAX_STARTS = 3
"""How often a run is started: once, and again with --resume where it ended with an error."""

PLACEHOLDERS = {
    "a6b7dac3cab03abf2eb333e16610d6dc",  # md5, arc-prize-2024
    "232264c58f825ee77327dcfc9f4e5cb2f83b8d997eb69032be1bf2205bbe1a83",  # sha256, arc-prize-2026-arc-agi-2
}
"""Digests of the public placeholders for the hidden test files."""

LARGEST_4B = 5_000_000_000
"""Weights of the blocks up to which a model in 16 bits fits an L4 beside its training, as nvarc-l4x4 has it."""

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
"""Environment variables of every run."""

CACHES = {
    "HF_HOME": "hf", "TRITON_CACHE_DIR": "triton", "TORCHINDUCTOR_CACHE_DIR": "inductor", "XDG_CACHE_HOME": "xdg",
    "UNSLOTH_COMPILE_LOCATION": "unsloth",  # Or it would be a folder in the working folder.
}  # fmt: skip
"""Variable -> its folder in /kaggle/temp: what lies in /kaggle/working would become output."""

PTXAS = Path("/usr/local/cuda/bin/ptxas")

REFUSED = (BadInput, OSError)
"""What kernel_main.py prints as one sentence; any other error is a bug, and ends with its traceback."""


@dataclass(frozen=True)
class KagglePlan:
    """What to run, and until when."""

    tasks: Path
    """The challenges file."""
    submission: Path
    """The file that Kaggle scores: complete already, all blank."""
    out: Path
    """The run's output folder: that of the submission, or one of its own for a run that is not scored."""
    model: Path
    preset: str
    only: tuple[str, ...]
    """The tasks of the run before the scored one; () for all."""
    soft_end: float
    hard_end: float
    """Seconds on the monotonic clock."""
    environment: Mapping[str, str]
    """Of the child process."""
    notes: tuple[str, ...]
    """What was found, one sentence each."""
    solutions: Path | None = None
    """Of the public tasks that a bundle without a competition has."""

    def check(self) -> list[str]:
        """The arguments of `python -m submission` that check this machine and model."""
        return ["check", "--model", str(self.model), "--preset", self.preset]

    def run(self, now: float, resume: bool) -> list[str]:
        """The arguments of `python -m submission` that solve the tasks until the soft end."""
        minutes = f"{max(self.soft_end - now, 1.0) / 60:.3f}"
        words = ["run", "--challenges", str(self.tasks), "--model", str(self.model), "--preset", self.preset]
        words += ["--out", str(self.out), "--minutes", minutes, "--skip-bad", "--resume" if resume else "--fresh"]
        words += ["--solutions", str(self.solutions)] if self.solutions else []
        return words + ([f"--only={as_list(self.only)}"] if self.only else [])


def prepare(root: Path, tasks: Path, code: Path, environ: Mapping[str, str], now: float) -> KagglePlan:
    """Prepare the machine and decide what to run; BadInput where nothing can be run.

    `root` holds input/ and working/; `code` holds kernel_main.py and submission/. ARC_STARTED in `environ` may give the
    start of the notebook on the monotonic clock; without it that is `now`.
    """
    inputs, limits = root / "input", limits_in(environ)
    public = tasks.parent.resolve() == (code / PUBLIC_TASKS).resolve()
    scored, why = (False, NO_COMPETITION) if public else is_scored(tasks, environ, limits)
    doubts = require_one(task_files_beside(inputs, tasks), "competitions", scored)
    attached = attached_models(inputs, code)
    doubts += require_one(attached, "models", scored)
    doubts += unusable_weights(inputs, code, attached)
    doubts += missing_model(code, attached)
    if doubts and not attached and not scored:
        raise BadInput(doubts[0])
    listed_gpus, failure = gpus_for(attached, scored, environ)
    gpus, unsupported = supported(listed_gpus, scored)
    model, why_model = model_for(gpus, attached, code / "submission" / "models" / "embedded")
    checkpoint = read_checkpoint(model)
    preset = preset_for(checkpoint, gpus) if model in attached else "laptop"
    edited = manifest_mismatches(code, CODE_MANIFEST)
    if edited and not scored:
        raise BadInput(f"{edited[0]}; upload the code again")
    notes = [
        why,
        *filter(None, [failure, unsupported]),
        gpu_line(gpus),
        *other_machine(read_json(code / CODE_MANIFEST).get("accelerator"), gpus),
        f"{why_model}; preset {preset}",
        *doubts,
        *checkpoint.notes(),
        *edited,
        *install_wheels(inputs, scored),
    ]
    working = root / "working"
    started = float(environ.get("ARC_STARTED", now))
    end = started + 3600 * limits.hours
    soft = end if scored or public else min(end, now + 60 * limits.minutes)
    # Where nvidia-smi fails, the run could not count the GPUs either; and it would take those that torch does not know.
    told = (failure and gpus) or unsupported
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(str(gpu.index) for gpu in gpus)} if told else {}
    return KagglePlan(
        tasks, working / "submission.json", working if scored or public else working / "canary", model, preset,
        () if scored or public else canary_tasks(tasks, limits.tasks), soft, end + KILLED_AFTER,
        {**environ, **offline_environment(root / "temp"), **visible}, tuple(notes),
        tasks.with_name(SOLUTIONS) if public else None,
    )  # fmt: skip


def run_with_restarts(
    plan: KagglePlan, child: Callable[[list[str], float], int], clock: Callable[[], float] = monotonic
) -> int:
    """Run the plan, and resume it where it ends with an error before the soft end. Returns the last exit status.

    `child` runs `python -m submission` with these arguments for at most these seconds and returns its exit status.
    """
    status = 1
    for attempt in range(MAX_STARTS):
        now = clock()
        if attempt > 0 and now > plan.soft_end:
            break
        resume = attempt > 0 and (plan.out / "journal" / ".run").exists()
        status = child(plan.run(now, resume), max(plan.hard_end - now, 1.0))
        if status in (0, 130):
            break
    return status


def merge_canary_answers(plan: KagglePlan) -> str:
    """Copy the answers of a run that is not scored into the submission; returns a line that counts the answers."""
    submission: dict[str, Any] = json.loads(plan.submission.read_text())
    run = plan.out / "submission.json"
    if plan.only and run.exists():
        submission |= json.loads(run.read_text())
        write_json(plan.submission, submission)
    blanks = sum(all(grid == [[0]] for each in entries for grid in each.values()) for entries in submission.values())
    return f"{plan.submission}: {len(submission)} tasks, {len(submission) - blanks} of them answered"


# -- is this run scored? -----------------------------------------------------------------------------------------


NO_COMPETITION = "no competition is attached: the public tasks that came with the code, and their score in this log"


def is_scored(tasks: Path, environ: Mapping[str, str], limits: Limits) -> tuple[bool, str]:
    """Whether this run is scored, and why. In doubt it is: hours cost less than a submission of four tasks."""
    if environ.get("KAGGLE_IS_COMPETITION_RERUN"):
        return True, "this is the scored rerun: all tasks, all hours"
    canary = f"{limits.tasks} tasks and {limits.minutes:g} minutes at most"
    if is_placeholder(tasks):
        return False, f"the test file is the public placeholder, nothing is scored: {canary}"
    if environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Interactive":
        return False, f"this is an interactive session, nothing is scored: {canary}"
    return True, "the test file is not the public placeholder: all tasks, all hours"


def is_placeholder(tasks: Path) -> bool:
    """Whether a test file is the public placeholder: by its digest, or because the training set has all its tasks."""
    content = tasks.read_bytes()
    if {hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()} & PLACEHOLDERS:
        return True
    asked = read_json(tasks)
    return bool(asked) and set(asked) <= set(read_json(tasks.with_name("arc-agi_training_challenges.json")))


def canary_tasks(tasks: Path, number: int) -> tuple[str, ...]:
    """So many tasks for the run before the scored one: evenly from the shortest to the longest, to test the memory too.

    What is no task at first sight is left out; () where nothing else is there, so that the run says what is wrong.
    """
    lengths = {name: len(json.dumps(body)) for name, body in read_json(tasks).items() if _like_a_task(name, body)}
    order = sorted(lengths, key=lambda name: (lengths[name], name))
    ranks = [k * (len(order) - 1) // max(number - 1, 1) for k in range(number)] if order else []
    return tuple(dict.fromkeys(order[rank] for rank in ranks))


def _like_a_task(name: str, body: object) -> bool:
    return bool(name) and name.isprintable() and isinstance(body, dict) and bool(body.get("train") and body.get("test"))


def as_list(names: Sequence[str]) -> str:
    """Names as one list separated by commas, for an option: in double quotes, as in CSV, those that need it."""
    plain = (name.replace("-", "").replace("_", "").isalnum() for name in names)
    quoted = ('"' + name.replace('"', '""') + '"' for name in names)
    return ",".join(name if bare else other for name, bare, other in zip(names, plain, quoted, strict=True))


# -- model and preset ----------------------------------------------------------------------------------------------


def missing_model(code: Path, attached: Sequence[Path]) -> list[str]:
    """A sentence where the bundle was made for an attached model and none is mounted: Kaggle drops it in silence."""
    wanted = read_json(code / CODE_MANIFEST).get("model")
    if attached or not isinstance(wanted, str):
        return []
    return [
        f"model {wanted} was to be attached, and no model is mounted: look at the notebook's inputs, and whether the "
        "model's page asks you to agree to a licence"
    ]


def model_for(gpus: Sequence[Gpu], attached: Sequence[Path], embedded: Path) -> tuple[Path, str]:
    """The model to run, and a line that says why."""
    if not attached:
        return embedded, "no model is attached: the embedded one runs"
    if not gpus:
        return embedded, f"{attached[0]}: needs a GPU, and there is none: the embedded model runs instead"
    return attached[0], f"model: {attached[0]}"


def preset_for(checkpoint: Checkpoint, gpus: Sequence[Gpu]) -> str:
    """The preset of an attached model: the recipe of its layout's authors, on these GPUs.

    A model with the embedded model's layout is like that one: laptop. A 16-bit model of layout chat16 that is larger
    than NVARC's takes nvarc-t4x2 everywhere, in NF4. BadInput where there is no preset.
    """
    layout = layout_name(checkpoint.folder)
    if layout == "grid16":
        return "laptop"
    if layout not in RECIPES:
        raise BadInput(f"{checkpoint.folder}: no preset is for layout {layout}, only for {', '.join(RECIPES)}")
    recipe = RECIPES[layout]
    sizes = checkpoint.config.sizes
    weights = sizes.blocks * sum(rows * columns for rows, columns in projection_shapes(sizes).values())
    small = has_small(gpus)
    if recipe == "ttt" and small:
        raise BadInput(f"{checkpoint.folder}: {TTT_ON_T4}")
    too_large = recipe == "nvarc" and weights > LARGEST_4B and not checkpoint.quantized
    return f"{recipe}-t4x2" if small or too_large else f"{recipe}-l4x4"


def offline_environment(scratch: Path) -> dict[str, str]:
    """The environment variables of a run without a network; makes the cache folders, all of them below `scratch`."""
    caches = {name: scratch / folder for name, folder in CACHES.items()}
    for folder in caches.values():
        folder.mkdir(parents=True, exist_ok=True)
    tools = {"TRITON_PTXAS_PATH": str(PTXAS)} if PTXAS.exists() else {}
    return OFFLINE | {name: str(folder) for name, folder in caches.items()} | tools
