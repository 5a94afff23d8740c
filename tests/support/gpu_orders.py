"""What `check --gpu` does on a card, in miniature and on a CPU."""

from __future__ import annotations

from pathlib import Path

from submission.benchmarks.gpu_check import Order, Workload
from submission.config import Settings, with_changes

MINIATURE = Workload(
    rows=3, row=64, lengths=(64,), prompt=40, views=3, side=4, doubt_every=12, passes=3, compared=(32,)
)


def on_cpu(model: Path, *changes: str) -> Order:
    """The order to check this checkpoint, with these settings changed."""
    first = ["model.device=cpu", "model.dense_megabytes=0", "adapt.rank=4"]
    return Order(model, with_changes(Settings(), [*first, *changes]), workload=MINIATURE)
