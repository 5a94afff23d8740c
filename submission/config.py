"""Settings: frozen, documented, one default each; presets by name; `--set section.field=value` on top."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from submission.tasks import BadInput

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
class Lessons:
    """The rows that a task is trained on."""

    recipe: Literal["poe", "nvarc", "marc"] = "poe"
    """See `lessons`."""
    copies: int = 8
    """Rows for each of the 8 symmetries (poe: 8, nvarc: 16); marc takes as many as its rules give."""
    most: int = 250
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
    hopeless: float = 8.0
    """Where a view has no such answer, its best path is given up at this cost (nats), unless no view has any answer."""
    megabytes: float = 2048.0
    """Memory for what the model keeps of the prompts and answers it has read; views that do not fit take turns."""
    method: Literal["threshold", "sample", "beam", "rebase"] = "threshold"
    """threshold: all answers above it, exactly; sample: `width` draws; beam: `width` beams; rebase: a tree of rows."""
    width: int = 16
    """Samples, beams, or the budget of answers that REBASE has, for each view (REBASE: for each symmetry)."""
    temperature: float = 1.0
    """Of the samples."""
    balance: float = 0.1
    """REBASE's temperature: how much of the budget goes to the likeliest rows."""
    certain: float = 0.5
    """Where three views of three symmetries all give one answer this probability, it is taken; 1 for hardly ever."""
    whole: bool = False
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
    texts: int = 336
    """The most programs that it writes for one task."""
    reasoning: int = 512
    """Tokens of reasoning after which its program is begun."""
    waits: int = 0
    """Times that an earlier end of its reasoning is held back by "Wait"."""
    trusted: float = 0.5
    """A program at least so steady has the first attempt, and its task is the network's last: others get its time."""


@dataclass(frozen=True)
class Time:
    """How long a task may take, whatever the run as a whole may."""

    seconds: float = 600.0
    """The most seconds for one task."""
    grace: float = 60.0
    """Seconds after a task's deadline at which its worker is taken for hung and replaced."""
    silence: float = 300.0
    """Seconds without a look at the clock, which every step takes, after which a worker is taken for hung."""
    schedule: Literal["adaptive", "uniform"] = "adaptive"
    """adaptive: shares by cost, and second looks at doubtful tasks in what is left; uniform: the same for each task."""
    loading: float = 1800.0
    """Seconds after which a worker that has not loaded its model is taken for hung."""


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    model: Model = field(default_factory=Model)
    lessons: Lessons = field(default_factory=Lessons)
    adapt: Adapt = field(default_factory=Adapt)
    search: Search = field(default_factory=Search)
    vote: Vote = field(default_factory=Vote)
    time: Time = field(default_factory=Time)
    programs: Programs = field(default_factory=Programs)

    def __post_init__(self) -> None:
        _require(0 < self.search.threshold <= 1, "search.threshold must lie above 0 and at most at 1")
        _require(0 < self.search.certain <= 1, "search.certain must lie above 0 and at most at 1")
        for name in ("temperature", "balance", "megabytes", "hopeless"):
            _require(0 < asdict(self.search)[name] < math.inf, f"search.{name} must be above 0 and finite")
        for name in ("seconds", "grace", "silence", "loading"):
            _require(asdict(self.time)[name] > 0, f"time.{name} must be above 0")
        _require(0 < self.programs.seconds < math.inf, "programs.seconds must be above 0 and finite")
        _require(0 < self.adapt.share < 1, "adapt.share must lie between 0 and 1")
        for name in ("rate", "alpha", "clip"):
            _require(0 < asdict(self.adapt)[name] < float("inf"), f"adapt.{name} must be above 0 and finite")
        _require(0 <= self.adapt.warmup <= 1, "adapt.warmup must lie between 0 and 1")
        _require(0 <= self.model.gigabytes < math.inf, "model.gigabytes must be at least 0 and finite")
        _require(self.model.context >= 1024, "model.context must be at least 1024: a 30x30 answer takes 930 tokens")
        for name, least in {
            "search.views": 1, "lessons.copies": 1, "lessons.most": 1, "adapt.batch": 1, "adapt.rank": 0,
            "adapt.tokens": 1, "search.width": 1, "model.threads": 0,
            "programs.texts": 1, "programs.reasoning": 0, "programs.waits": 0,
        }.items():  # fmt: skip
            section, key = name.split(".")
            _require(asdict(self)[section][key] >= least, f"{name} must be at least {least}")


@dataclass(frozen=True)
class Training:
    """A training on many tasks, of whatever kind; see `training`."""

    minutes: float = math.inf
    """Wall time of this call, the anneal included."""
    steps: int = 0
    """Steps of this call, the anneal included; 0 for as many as the minutes allow."""
    tokens: int = 6144
    """Tokens a step, padding included."""
    limit: int = 768
    """Tokens a row."""
    first_learned: int = 1
    """The first pair of a row whose output counts in the loss: 0 or 1."""
    new_rules: float = 0.3
    """Share of the rows that follow a rule made from a known one, see `rules`."""
    warmup: int = 60
    """Steps of linear warm-up."""
    anneal: float = 0.3
    """Last share of the call, in which the rates fall linearly to zero."""
    rate: float = 0.02
    """The learning rate of the blocks' matrices."""
    other_rate: float = 0.003
    """The learning rate of what is not in a block: embeddings and head."""
    seed: int = 0
    """Of the first weights and of the rows."""
    device: Literal["cpu", "cuda"] = "cpu"
    """On cuda the forward pass runs in bf16, on the CPU in float32 (faster there without AMX)."""
    workers: int = 0
    """Processes that make rows; with 0 they are made between the steps, which a CPU does not notice."""

    def __post_init__(self) -> None:
        _require(self.minutes > 0, "--minutes must be above 0")
        _require(self.minutes < math.inf or self.steps > 0, "a training needs an end: --minutes or --steps")
        _require(self.first_learned in (0, 1), "--first-learned must be 0 or 1")
        _require(0 <= self.new_rules <= 1, "--new-rules must lie between 0 and 1")
        _require(0 < self.anneal <= 1, "--anneal must lie above 0 and at most at 1")
        for name in ("rate", "other_rate"):
            _require(0 < asdict(self)[name] < math.inf, f"--{name.replace('_', '-')} must be above 0 and finite")
        for name, least in {"steps": 0, "tokens": 1, "limit": 1, "warmup": 1, "workers": 0}.items():
            _require(asdict(self)[name] >= least, f"--{name} must be at least {least}")

    @property
    def layout(self) -> str:
        """How rows are written, see `layouts.NAMED`."""
        return "chat16"


@dataclass(frozen=True)
class Pretraining(Training):
    """A training from scratch: Muon for the blocks' matrices, AdamW for embeddings, head and norms."""

    hidden: int = 256
    """Channels; a multiple of 64."""
    layers: int = 6
    """Blocks."""
    positions: Literal["grid", "line"] = "grid"
    """Rotary positions: (segment, row, column), or one running number."""
    decay: float = 0.01
    """Weight decay of the matrices."""
    compiled: bool = False
    """Whether the blocks go through torch.compile; hardly a gain on a CPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.hidden > 0 and self.hidden % 64 == 0, "--hidden must be a multiple of 64")
        _require(self.layers >= 1, "--layers must be at least 1")
        _require(0 <= self.decay < math.inf, "--decay must not be negative")

    @property
    def layout(self) -> str:
        """How rows are written, see `layouts.NAMED`."""
        return "grid16" if self.positions == "grid" else "chat16"


@dataclass(frozen=True)
class Initial(Training):
    """A fine-tuning of a large base: AdamW for a LoRA on its blocks, and for embeddings and head."""

    rate: float = 1e-4
    """The learning rate of the LoRA."""
    other_rate: float = 1e-5
    """The learning rate of embeddings and head."""
    rank: int = 256
    """LoRA rank on all seven projections of each block."""
    alpha: float = 32.0
    """The LoRA product is scaled by alpha / sqrt(rank)."""
    four_bit: bool = True
    """The frozen blocks in NF4 (QLoRA), or in 16 bits."""
    checkpointing: Literal["on", "off"] = "on"
    """Recompute activations in the backward pass: less memory, a third more time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.rank >= 1, "--rank must be at least 1")
        _require(0 < self.alpha < math.inf, "--alpha must be above 0 and finite")


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


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise BadInput(sentence)


PRESETS = {
    "laptop": Settings(
        model=Model(context=4096, threads=1),
        lessons=Lessons(copies=24, background="keep"),
        adapt=Adapt(rank=32, rate=2e-3, batch=4, warmup=0.1, converged=0.01),
        search=Search(megabytes=512.0),
        time=Time(seconds=120.0),
    ),
    "t4x2": Settings(search=Search(megabytes=6000.0)),
    "l4x4": Settings(search=Search(megabytes=12000.0)),
}
"""laptop: the embedded model on two CPU cores. t4x2, l4x4: an 8B on Kaggle's machines, PoE's published recipe."""
