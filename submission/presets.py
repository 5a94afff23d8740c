"""Presets: the settings for the embedded model, and for each published recipe on each of Kaggle's machines.

A preset for a large model is named by its recipe and its machine. On Kaggle it is chosen by the checkpoint's layout
and the GPUs, see `kaggle.prepare`.

    poe    layout architects: the 8B of "Product of Experts with LLMs" (Franzen et al., arXiv 2505.07859)
    nvarc  layout chat16: the Qwen3 4B of NVARC (winner of the ARC Prize 2025), and what `pretrain --base` makes
    ttt    layout numpy: the Llama-3 8B of "The Surprising Effectiveness of Test-Time Training" (arXiv 2411.07279)
"""

from __future__ import annotations

from dataclasses import replace

from submission.config import Adapt, Model, Search, Settings, Time, TrainingRows, Vote
from submission.errors import BadInput

RECIPES = {"architects": "poe", "chat16": "nvarc", "numpy": "ttt"}
"""Layout of a checkpoint -> the recipe of its authors."""

MACHINES = {"l4x4": ("l4", 4), "t4x2": ("t4", 2)}
"""Kaggle's machines: the kind of GPU, and how many."""

LAPTOP = Settings(
    model=Model(context=4096, threads=1),
    training_rows=TrainingRows(copies=24, background="keep"),
    adapt=Adapt(rank=32, rate=2e-3, batch=4, warmup=0.1, converged=0.01),
    search=Search(megabytes=512.0),
    time=Time(seconds=120.0),
)
"""The embedded model on two CPU cores."""

POE_L4X4 = Settings(
    model=Model(dropped="last"),
    training_rows=TrainingRows("poe", copies=8),
    adapt=Adapt(rank=32, alpha=16.0, rate=1e-4, ends="full", ends_rate=1e-5, warmup=0.5),
    search=Search(
        views=16, first_view="random", scoring_views=16, threshold=0.09, megabytes=16_000.0, early_stop_probability=1.0
    ),
    vote=Vote("poe"),
    time=Time(seconds=1800.0),
)
"""64 steps of one row; a linear rise to 1e-4 over 32 of them, then a cosine to 0; embeddings and head whole at a tenth
of that; every answer of at least 9 % in 16 views, scored under 16 others. AdamW has moments in float32, PoE's in 8
bits."""

NVARC_L4X4 = Settings(
    model=Model(four_bit=False),
    training_rows=TrainingRows("nvarc", copies=16),
    adapt=Adapt(rank=256, alpha=32.0, rate=5e-5, ends="full", ends_rate=5e-5, warmup=0.1),
    search=Search(views=16, scoring_views=8, threshold=0.2, megabytes=10_000.0, early_stop_probability=1.0),
    vote=Vote("kgmon"),
    time=Time(seconds=1800.0),
)
"""128 steps of one row, the loss on all outputs; 13 steps of rise to 5e-5, embeddings and head whole at the same rate;
every answer of at least 20 % in 16 views, scored under 8 others. The 4B stays in 16 bits. The LoRA is trained in
float32, NVARC's in bfloat16: so long rows recompute their activations, as there is no memory to keep them."""

TTT_L4X4 = Settings(
    training_rows=TrainingRows("marc", max_rows=250, background="keep"),
    adapt=Adapt(
        rank=128, alpha=16.0, scaling="lora", targets="q_v_mlp", rate=1e-4, weight_decay=0.01, epochs=2, batch=2,
        warmup=0.1, warmup_rounding="down", share=0.8,
    ),
    search=Search(
        views=64, view_recipe="leave_one_out", threshold=1.0, best_path_max_nll=1_000_000.0, megabytes=12_000.0,
        early_stop_probability=1.0,
    ),
    vote=Vote("hierarchical"),
    time=Time(seconds=3600.0),
)  # fmt: skip
"""Up to 250 rows, twice, in batches of two; each view's best path, without each demonstration in turn; the paper's
vote. The 8B is quantized to NF4, as 16 GB of weights leave an L4 no room to train (their QLoRA solved 26 of 80 tasks,
LoRA 29, with a 1B). Batches hold rows of like length, theirs random ones. Cut the vocabulary (`shrink --layout numpy`):
the logits of 128,256 ids take 2 MB a token."""

PRESETS = {
    "laptop": LAPTOP,
    "poe-l4x4": POE_L4X4,
    "poe-t4x2": replace(
        POE_L4X4,
        # Two T4 have less than half the time: candidates are scored where they were found, and agreement ends a search.
        search=replace(POE_L4X4.search, scoring_views=0, megabytes=9000.0, early_stop_probability=0.5),
        time=Time(seconds=900.0),
    ),
    "nvarc-l4x4": NVARC_L4X4,
    # Rank 64 with the same scale of 2, and NF4: the moments of rank 256 and weights in 16 bits take 19 GB.
    "nvarc-t4x2": replace(
        NVARC_L4X4,
        model=Model(four_bit=True),
        adapt=replace(NVARC_L4X4.adapt, rank=64, alpha=16.0),
        search=replace(NVARC_L4X4.search, scoring_views=0, megabytes=8000.0, early_stop_probability=0.5),
        time=Time(seconds=900.0),
    ),
    "ttt-l4x4": TTT_L4X4,
}
"""Every preset by name."""


def preset(name: str) -> Settings:
    """The settings of this name; BadInput for another one."""
    if name in PRESETS:
        return PRESETS[name]
    known = ", ".join(PRESETS)
    if name in MACHINES:
        raise BadInput(f"a preset is named by recipe and machine, {name!r} is a machine; there are {known}")
    if name == "ttt-t4x2":
        raise BadInput(TTT_ON_T4)
    raise BadInput(f"no preset is called {name!r}; there are {known}")


TTT_ON_T4 = (
    "there is no preset ttt-t4x2: the TTT paper's 250 rows, twice, take an 8B on a T4 about an hour a task; take "
    "L4 x4 and ttt-l4x4"
)
"""Why one pair of recipe and machine has no preset."""


def card_of(name: str) -> str | None:
    """The kind of GPU that a preset is for: "t4" for poe-t4x2, None for laptop."""
    machine = MACHINES.get(name.rpartition("-")[2])
    return machine[0] if machine else None


def gpus_of(name: str) -> int:
    """How many GPUs the machine of a preset has; 1 for laptop."""
    machine = MACHINES.get(name.rpartition("-")[2])
    return machine[1] if machine else 1


def recipe_of(name: str) -> str:
    """The recipe of a preset; "" for laptop."""
    return name.rpartition("-")[0]


def names_for(layout: str) -> list[str]:
    """The presets that are made for a model of this layout."""
    return [name for name in PRESETS if recipe_of(name) and recipe_of(name) == RECIPES.get(layout)]
