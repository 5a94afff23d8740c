"""Settings: frozen, documented, one default each; presets by name; `--set section.field=value` on top."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from submission.errors import require as _require

EMBEDDED = Path(__file__).parent / "models" / "embedded"
"""The model that is part of the package."""

LayoutName = Literal["auto", "architects", "chat16", "grid16", "numpy"]
LAYOUTS = get_args(LayoutName)
"""The ways to write grids as tokens, see `layouts`; auto: as a checkpoint's files tell."""


@dataclass(frozen=True)
class Model:
    """How the language model is loaded."""

    context: int = 8192
    """Tokens of a prompt and its answer together; longer tasks lose demonstrations."""
    four_bit: bool = True
    """Weights of the blocks in NF4; a checkpoint that is already quantized stays as it is."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What is computed in. auto: bfloat16 on GPUs that have it, float16 on older ones, float32 on the CPU."""
    dense_megabytes: float = 256.0
    """A 4-bit model is searched through dense matrices, the LoRA added to them, if they take no more; 0 for never."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU, if there is one."""
    threads: int = 0
    """CPU threads of the worker; 0 leaves it to torch."""
    layout: LayoutName = "auto"
    """How a task is written for this model, see `prompts`; auto: as the checkpoint's files tell."""
    backend: Literal["native", "unsloth"] = "native"
    """What loads the model: transformers and bitsandbytes, or unsloth where it is installed (CUDA only)."""
    gigabytes: float = 0.0
    """Memory of the device (10^9 bytes) that is planned with, see `memory`; 0 for what it has."""


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a task is trained on."""

    recipe: Literal["poe", "nvarc", "marc"] = "poe"
    """See `lessons`."""
    copies: int = 8
    """Rows for each of the 8 symmetries (poe: 8, nvarc: 16); marc takes as many as its rules give."""
    max_rows: int = 250
    """marc only: the most rows."""
    background: Literal["keep", "permute"] = "permute"
    """Whether colour 0 keeps its place in recolourings, in lessons and in views."""


@dataclass(frozen=True)
class Adapt:
    """Test-time training of the LoRA weights."""

    rank: int = 32
    """LoRA rank; 0 leaves the base model as it is: no test-time training."""
    alpha: float = 16.0
    """The LoRA product is scaled by alpha / sqrt(rank) (rank-stabilised)."""
    rate: float = 1e-4
    """Peak learning rate of AdamW."""
    batch: int = 1
    """Rows a step."""
    tokens: int = 4096
    """Tokens that memory is taken for at once: larger batches go through the model in parts, to the same effect."""
    warmup: float = 0.25
    """Share of the steps in which the rate rises; a cosine brings it down after."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    converged: float = 0.002
    """Training stops when the mean loss of the last 8 steps is below this (nats a token)."""
    share: float = 0.6
    """Training takes at most this share of a task's time."""
    checkpointing: Literal["auto", "on", "off"] = "auto"
    """Recompute activations in the backward pass: less memory, a third more time. auto: where a task needs it."""
    ends: bool = False
    """A LoRA on embeddings and head as well; such a model is never searched through dense matrices."""


@dataclass(frozen=True)
class Search:
    """From how many views, and down to which probability, answers are looked for."""

    views: int = 16
    """Views of each test input, used for proposing and for scoring."""
    threshold: float = 0.09
    """Every answer at least this probable in a view is found; 1 is the greedy limit: the one best path."""
    best_path_max_nll: float = 8.0
    """Where a view has no such answer, its best path is given up at this cost (nats), unless no view has any answer."""
    megabytes: float = 2048.0
    """Memory for what the model keeps of the prompts and answers it has read; views that do not fit take turns."""
    method: Literal["threshold", "sample", "beam", "rebase"] = "threshold"
    """threshold: all answers above it, exactly; sample: `width` draws; beam: `width` beams; rebase: a tree of rows."""
    width: int = 16
    """Samples, beams, or the budget of answers that REBASE has, for each view (REBASE: for each symmetry)."""
    temperature: float = 1.0
    """Of the samples."""
    rebase_temperature: float = 0.1
    """REBASE's temperature: how much of the budget goes to the likeliest rows."""
    early_stop_probability: float = 0.5
    """Where three views of three symmetries all give one answer this probability, it is taken; 1 for hardly ever."""
    exhaustive: bool = False
    """Search every view and score every candidate in all of them, even where the vote cannot change any more."""


@dataclass(frozen=True)
class Vote:
    """How two attempts are chosen from the candidates."""

    rule: Literal["poe", "probmul", "kgmon", "flat", "hierarchical"] = "poe"
    """See `voting`."""
    programs: Literal["first", "last", "off"] = "first"
    """How the answers of programs join the network's, see `ensemble`."""


@dataclass(frozen=True)
class Programs:
    """The search for programs that reproduce the demonstrations."""

    seconds: float = 10.0
    """The most seconds for one task, on one core."""
    writer: str = ""
    """The folder of a language model that writes programs as well; none by default. It wants minutes for a task."""
    samples: int = 336
    """The most programs that it writes for one task."""
    reasoning_tokens: int = 512
    """Tokens of reasoning after which its program is begun."""
    waits: int = 0
    """Times that an earlier end of its reasoning is held back by "Wait"."""
    min_stability: float = 0.5
    """A program at least so steady has the first attempt, and its task is the network's last: others get its time."""


@dataclass(frozen=True)
class Time:
    """How long a task may take, whatever the run as a whole may."""

    seconds: float = 600.0
    """The most seconds for one task."""
    grace: float = 60.0
    """Seconds after a task's deadline at which its worker is taken for hung and replaced."""
    heartbeat_timeout: float = 300.0
    """Seconds without a look at the clock, which every step takes, after which a worker is taken for hung."""
    schedule: Literal["adaptive", "uniform"] = "adaptive"
    """adaptive: shares by cost, and second looks at doubtful tasks in what is left; uniform: the same for each task."""
    loading_timeout: float = 1800.0
    """Seconds after which a worker that has not loaded its model is taken for hung."""


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    model: Model = field(default_factory=Model)
    training_rows: TrainingRows = field(default_factory=TrainingRows)
    adapt: Adapt = field(default_factory=Adapt)
    search: Search = field(default_factory=Search)
    vote: Vote = field(default_factory=Vote)
    time: Time = field(default_factory=Time)
    programs: Programs = field(default_factory=Programs)

    def __post_init__(self) -> None:
        _require(0 < self.search.threshold <= 1, "search.threshold must lie above 0 and at most at 1")
        _require(
            0 < self.search.early_stop_probability <= 1,
            "search.early_stop_probability must lie above 0 and at most at 1",
        )
        for name in ("temperature", "rebase_temperature", "megabytes", "best_path_max_nll"):
            _require(0 < asdict(self.search)[name] < math.inf, f"search.{name} must be above 0 and finite")
        for name in ("seconds", "grace", "heartbeat_timeout", "loading_timeout"):
            _require(asdict(self.time)[name] > 0, f"time.{name} must be above 0")
        _require(0 < self.programs.seconds < math.inf, "programs.seconds must be above 0 and finite")
        _require(0 < self.adapt.share < 1, "adapt.share must lie between 0 and 1")
        for name in ("rate", "alpha", "clip"):
            _require(0 < asdict(self.adapt)[name] < float("inf"), f"adapt.{name} must be above 0 and finite")
        _require(0 <= self.adapt.warmup <= 1, "adapt.warmup must lie between 0 and 1")
        _require(0 <= self.model.gigabytes < math.inf, "model.gigabytes must be at least 0 and finite")
        _require(self.model.context >= 1024, "model.context must be at least 1024: a 30x30 answer takes 930 tokens")
        for name, least in {
            "search.views": 1, "training_rows.copies": 1, "training_rows.max_rows": 1, "adapt.batch": 1,
            "adapt.rank": 0, "adapt.tokens": 1, "search.width": 1, "model.threads": 0,
            "programs.samples": 1, "programs.reasoning_tokens": 0, "programs.waits": 0,
        }.items():  # fmt: skip
            section, key = name.split(".")
            _require(asdict(self)[section][key] >= least, f"{name} must be at least {least}")


def require_model_folder(path: Path) -> None:
    """BadInput for a path that is not a model folder, which has a config.json."""
    _require((path / "config.json").is_file(), f"{path}: there is no config.json, so this is not a model folder")


def preset(name: str) -> Settings:
    """The settings of this name."""
    _require(name in PRESETS, f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def with_changes(settings: Settings, changes: Sequence[str]) -> Settings:
    """Settings with `section.field=value` texts applied; unknown names and wrong types are BadInput."""
    for change in changes:
        name, equals, text = change.partition("=")
        section, dot, key = name.partition(".")
        _require(bool(equals and dot), f"--set {change}: expected section.field=value")
        _require(section in {f.name for f in fields(settings)}, f"--set {change}: there is no section {section!r}")
        part = getattr(settings, section)
        hints = get_type_hints(type(part))
        _require(key in hints, f"--set {change}: {section} has no field {key!r}; it has {', '.join(hints)}")
        value = _value(text, hints[key], change)
        settings = replace(settings, **{section: replace(part, **{key: value})})
    return settings


def _value(text: str, kind: Any, change: str) -> Any:
    choices = get_args(kind)
    if choices:
        _require(text in choices, f"--set {change}: expected one of {', '.join(choices)}")
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = text
    if kind is float and type(value) is int:
        value = float(value)
    _require(type(value) is kind, f"--set {change}: expected a value of type {kind.__name__}")
    return value


PRESETS = {
    "laptop": Settings(
        model=Model(context=4096, threads=1),
        training_rows=TrainingRows(copies=24, background="keep"),
        adapt=Adapt(rank=32, rate=2e-3, batch=4, warmup=0.1, converged=0.01),
        search=Search(megabytes=512.0),
        time=Time(seconds=120.0),
    ),
    "t4x2": Settings(search=Search(megabytes=6000.0)),
    "l4x4": Settings(search=Search(megabytes=12000.0)),
}
"""laptop: the embedded model on two CPU cores. t4x2, l4x4: an 8B on Kaggle's machines, PoE's published recipe."""
