"""A forecast as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np

from submission.benchmarks.forecast import Forecast


def table(forecast: Forecast, hours: float) -> list[str]:
    """Return the forecast as lines of text."""
    lines = [f"{'seconds a task':16}" + "".join(f"{head:>9}" for head in ("mean", "p10", "p50", "p90", "max"))]
    for name in ("training", "prefill", "search", "seconds"):
        values = [asdict(each)[name] for each in forecast.tasks]
        lines.append(f"{name:16}" + "".join(f"{value:9.1f}" for value in spread(values)))
    levels, count = Counter(each.level for each in forecast.tasks), len(forecast.tasks)
    lines.append(
        f"checkpointing of {count} tasks: {levels['keep']} none, {levels['selective']} selective, "
        f"{levels['recompute']} all; {forecast.workers} workers"
    )
    lines.append(f"{forecast.hours:.2f} hours for all {count} tasks")
    if hours < float("inf"):
        lines.append(f"{forecast.reached} of {count} tasks in {hours:g} hours, the cheapest first")
    lines.append(f"rates: {forecast.rates.source}")
    return lines


def table_of_cards(forecasts: Mapping[str, Forecast]) -> list[str]:
    """Return the mean seconds of a task by kind of GPU, and the hours of all tasks on so many of them, as text."""
    heads = ("training", "prefill", "search", "a task", "p90", "max", "hours")
    lines = [f"{'mean seconds':16}" + "".join(f"{head:>9}" for head in heads)]
    for card, made in forecasts.items():
        means = [spread(asdict(each)[name] for each in made.tasks)[0] for name in ("training", "prefill", "search")]
        mean, _, _, high, most = spread(each.seconds for each in made.tasks)
        values = (*means, mean, high, most, made.hours)
        lines.append(f"{f'{made.workers} x {card}':16}" + "".join(f"{value:9.1f}" for value in values))
    lines += [f"rates: {source}" for source in {each.rates.source for each in forecasts.values()}]
    return lines


def spread(values: Iterable[float]) -> list[float]:
    """Return mean, 10th, 50th and 90th percentile, and maximum; zeros for no values."""
    array = np.array([*values] or [0.0])
    return [float(array.mean()), *(float(np.percentile(array, p)) for p in (10, 50, 90)), float(array.max())]
