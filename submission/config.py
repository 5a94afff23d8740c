"""Settings: frozen, documented, one default each; `--set section.field=value` on top. Presets are in `presets`."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from submission.errors import MOST_SECONDS, Range
from submission.errors import require as _require

EMBEDDED = Path(__file__).parent / "models" / "embedded"
"""The folder of the embedded model, which is part of the package."""

LayoutName = Literal["auto", "architects", "chat16", "grid16", "numpy"]
LAYOUTS = get_args(LayoutName)
"""The layouts: how grids become tokens, see `arc.layouts`; auto: as a checkpoint's files say."""

Dropped = Literal["first", "last"]
"""Which demonstrations, or pairs of a training row, are dropped where not all of them fit."""

LONGEST_QUOTE = 80
"""Characters of a wrong `--set` that a sentence shows."""


@dataclass(frozen=True)
class Model:
    """How the language model is loaded."""

    context: int = 8192
    """Tokens of a prompt and its answer together; demonstrations of longer tasks are dropped."""
    dropped: Dropped = "first"
    """Which of them, in prompts and training rows: the first ones (the Architects, NVARC) or the last ones (PoE)."""
    four_bit: bool = True
    """Quantize the blocks to NF4 on loading; a checkpoint that is quantized already stays as it is."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the computations. auto: bfloat16 on GPUs that have it, float16 on older ones; on a CPU whichever of
    float32 and bfloat16 a measurement of a second finds faster."""
    dense_megabytes: float = 256.0
    """Inference runs on merged dense weights if they take at most this (10^6 bytes); 0: always on the 4-bit ones."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU, if there is one."""
    threads: int = 0
    """CPU threads of a worker; 0: one worker's share of the cores."""
    layout: LayoutName = "auto"
    """How grids become tokens, see `arc.layouts`; auto: as the checkpoint's files say."""
    backend: Literal["native", "unsloth"] = "native"
    """What the LoRA is trained with: torch, or unsloth's kernels, see `model.unsloth_kernels` (CUDA only)."""
    gigabytes: float = 0.0
    """Device memory (10^9 bytes) to plan with, see `model.memory_plan`; 0: what the device has."""


@dataclass(frozen=True)
class TrainingRows:
    """The training rows of a task, see `arc.training_rows`."""

    recipe: Literal["poe", "nvarc", "marc"] = "poe"
    """How rows are made from the demonstrations."""
    copies: int = 8
    """Rows for each of the 8 symmetries (as published: poe 8, nvarc 16); not used by marc."""
    max_rows: int = 250
    """Most rows of a task; marc only, and not where leave-two-out rows alone fit, which are taken all."""
    background: Literal["keep", "permute"] = "permute"
    """Whether recolourings, of training rows and of views, keep colour 0 or permute it like the others."""
    augment: bool = True
    """Whether training rows are turned and recoloured, see `arc.training_rows`."""


@dataclass(frozen=True)
class Adapt:
    """Test-time training of the LoRA, see `inference.test_time_training`."""

    rank: int = 32
    """LoRA rank; 0: no test-time training."""
    alpha: float = 16.0
    """What the LoRA is scaled by, see `scaling`."""
    scaling: Literal["rslora", "lora"] = "rslora"
    """The LoRA is scaled by alpha / sqrt(rank) (rslora: rank-stabilized, arXiv 2312.03732), or by alpha / rank."""
    targets: Literal["all", "q_v_mlp"] = "all"
    """The linear layers with a LoRA: all seven of a block, or queries, values and the three of the MLP."""
    rate: float = 1e-4
    """Peak learning rate of AdamW."""
    ends: Literal["off", "full"] = "off"
    """full: embeddings and language head are trained as well, whole, in float32; tied ones get weights of their own."""
    ends_rate: float = 1e-5
    """Peak learning rate of embeddings and head."""
    weight_decay: float = 0.0
    """AdamW's weight decay, of all trained weights."""
    epochs: int = 1
    """How often each training row is trained on; every epoch has its own batches and order."""
    batch: int = 1
    """Training rows per step."""
    tokens: int = 4096
    """Tokens of one micro-batch: a larger batch is split, with the same gradient."""
    warmup: float = 0.5
    """Share of the steps in which the learning rate rises from 0; after it falls to 0 by a cosine of its own."""
    warmup_rounding: Literal["up", "down"] = "up"
    """How that share becomes a number of steps: up as in transformers, or down, of whole batches."""
    clip: float = 1.0
    """Gradients are clipped to this norm, of all trained weights together."""
    converged: float = 0.0
    """Training stops when the mean loss of the last 8 steps is below this (nats per learned token); 0: never."""
    share: float = 0.6
    """Most of a task's time that training may take, as a share."""
    checkpointing: Literal["auto", "off", "selective", "on"] = "auto"
    """Gradient checkpointing: less memory for more time. selective: a tenth more. on: a third more. auto: as little of
    it as a task's rows need."""


@dataclass(frozen=True)
class Search:
    """How answers are proposed and scored."""

    views: int = 16
    """Views of each test input, for proposals and for scores."""
    view_recipe: Literal["symmetries", "leave_one_out"] = "symmetries"
    """symmetries: random ones of all 8 in turn. leave_one_out: those of the TTT paper, at most `views` of them: without
    each demonstration in three orders, and five symmetries of these; views that do not fit the context are left out."""
    first_view: Literal["identity", "random"] = "identity"
    """The first of the symmetries' views: the task as it is given, or a random one like all others (PoE)."""
    scoring_views: int = 0
    """Further views, other ones, under which candidates are scored (PoE: 16; the Architects and NVARC: 8); all `views`
    are searched then. 0: candidates are scored under the views that proposed them."""
    threshold: float = 0.09
    """Every answer of at least this probability in a view is found; 1: no search, only each view's best path."""
    best_path_max_nll: float = 8.0
    """A view without such an answer follows its best path up to this -log p (nats), unless no view has an answer."""
    megabytes: float = 2048.0
    """Memory (10^6 bytes) for the KV cache and activations of inference; views that do not fit take turns."""
    cuda_graphs: bool = True
    """On a GPU passes over few tokens are recorded as CUDA graphs and replayed; the answers are the same."""
    method: Literal["threshold", "sample", "beam", "rebase"] = "threshold"
    """threshold: every answer above it, exactly. sample, beam: `width` of them. rebase: REBASE by grid rows."""
    width: int = 16
    """Samples, beams, or REBASE's budget of answers, a view (REBASE: a symmetry)."""
    temperature: float = 1.0
    """Temperature of the samples."""
    rebase_temperature: float = 0.2
    """Temperature of REBASE: low values give the budget to the likeliest rows (the released code: 0.2)."""
    early_stop_probability: float = 0.5
    """The search stops when three views of distinct symmetries give one answer at least this; 1: never."""
    exhaustive: bool = False
    """Never stop early: search every view and score every candidate in all of them, so that any rule can vote anew."""


@dataclass(frozen=True)
class Vote:
    """How two attempts are chosen from the candidates."""

    rule: Literal["poe", "probmul", "kgmon", "flat", "hierarchical"] = "poe"
    """The voting rule, see `solver.voting`."""
    programs: Literal["first", "last", "off"] = "first"
    """Where the answers of programs stand among the attempts, see `solver.ensemble`."""


@dataclass(frozen=True)
class Programs:
    """The search for programs that reproduce the demonstrations."""

    seconds: float = 10.0
    """Most seconds for a task, on one core."""
    writer: str = ""
    """Folder of a language model that writes programs as well; empty: none. It needs minutes a task."""
    format: Literal["plain", "barc"] = "plain"
    """How it is asked for a program. plain: for any model. barc: as the checkpoints of BARC (arXiv 2411.02272) were."""
    samples: int = 336
    """Most programs that the language model writes for a task."""
    reasoning_tokens: int = 512
    """Tokens of reasoning after which the language model has to start its program."""
    waits: int = 0
    """How often an earlier end of the reasoning is replaced by "Wait" (s1, arXiv 2501.19393)."""
    min_stability: float = 0.5
    """A program of at least this leave-one-out stability gets attempt 1, and the network solves its task last."""
    settle: bool = True
    """A task is settled where its best program gives attempt 1 and is found without any one of its two or more
    demonstrations (stability 1): the network takes it last, and not at all in a run without a clock, unless both kinds
    of solver work at once (on a GPU)."""
    unconfined: bool = False
    """Run programs of the language model even where this machine confines them by less than two of: empty root, no
    files, system calls (see `sandbox.confinement`). For those who trust the model or have confined the whole run."""


@dataclass(frozen=True)
class Time:
    """How long a task and a worker may take; `--hours` bounds the run as a whole."""

    seconds: float = 600.0
    """Most seconds for one pass of the network over a task; programs have `programs.seconds`."""
    grace: float = 60.0
    """Seconds after a task's deadline at which its worker is taken for hung and replaced."""
    heartbeat_timeout: float = 300.0
    """Seconds without a heartbeat, which each training step and search pass sends, until a worker is taken for hung."""
    schedule: Literal["adaptive", "uniform"] = "adaptive"
    """adaptive: time by cost, and further passes over uncertain tasks in what is left. uniform: the same for each."""
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
        for name, allowed in RANGES.items():
            section, key = name.split(".")
            allowed.require(name, getattr(getattr(self, section), key))


_SHARE = Range(0, 1)
_COUNT = Range(1, 1_000_000)
_LARGE = Range(0, 1e38, above=True)
"""Up to the largest power of ten that float32 holds."""
_WAIT = Range(0, MOST_SECONDS, above=True)

RANGES = {
    "model.context": Range(1024, 1_000_000), "model.dense_megabytes": Range(0, 10_000_000),
    "model.threads": Range(0, 4096), "model.gigabytes": Range(0, 10_000),
    "training_rows.copies": Range(1, 10_000), "training_rows.max_rows": _COUNT,
    "adapt.rank": Range(0, 65_536), "adapt.alpha": _LARGE, "adapt.rate": _LARGE,
    "adapt.ends_rate": _LARGE, "adapt.weight_decay": _SHARE, "adapt.epochs": _COUNT, "adapt.batch": _COUNT,
    "adapt.tokens": _COUNT, "adapt.warmup": _SHARE, "adapt.clip": _LARGE, "adapt.converged": Range(0, 1000),
    "adapt.share": Range(0, 1, above=True, below=True),
    "search.views": Range(1, 10_000), "search.scoring_views": Range(0, 10_000),
    "search.threshold": Range(0, 1, above=True), "search.best_path_max_nll": Range(0, 1_000_000, above=True),
    "search.megabytes": Range(0, 10_000_000, above=True), "search.width": Range(1, 10_000),
    "search.temperature": Range(0.001, 1000), "search.rebase_temperature": Range(0.001, 1000),
    "search.early_stop_probability": Range(0, 1, above=True),
    "programs.seconds": _WAIT, "programs.samples": _COUNT, "programs.reasoning_tokens": Range(0, 1_000_000),
    "programs.waits": Range(0, 1000), "programs.min_stability": _SHARE,
    "time.seconds": _WAIT, "time.grace": _WAIT, "time.heartbeat_timeout": _WAIT, "time.loading_timeout": _WAIT,
}  # fmt: skip
"""Every number among the settings -> its range. A context of 1024: a 30x30 answer takes 930 tokens."""


def with_changes(settings: Settings, changes: Sequence[str]) -> Settings:
    """Settings with `section.field=value` texts applied; unknown names and wrong types are BadInput."""
    for change in changes:
        shown = change[:LONGEST_QUOTE]
        name, equals, text = change.partition("=")
        section, dot, key = name.partition(".")
        _require(bool(equals and dot), f"--set {shown}: expected section.field=value")
        _require(section in {f.name for f in fields(settings)}, f"--set {shown}: there is no section {section!r}")
        part = getattr(settings, section)
        hints = get_type_hints(type(part))
        _require(key in hints, f"--set {shown}: {section} has no field {key!r}; it has {', '.join(hints)}")
        value = _value(text, hints[key], shown)
        settings = replace(settings, **{section: replace(part, **{key: value})})
    return settings


def _value(text: str, kind: Any, shown: str) -> Any:
    choices = get_args(kind)
    if choices:
        _require(text in choices, f"--set {shown}: expected one of {', '.join(choices)}")
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "0in[0]" is refused below, in a sentence of ours alone.
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = text
    if kind is float and type(value) is int:
        _require(abs(value) < 10**300, f"--set {shown}: the number is too large")
        value = float(value)
    _require(type(value) is kind, f"--set {shown}: expected a value of type {kind.__name__}")
    return value
