"""Means of measurements on tasks, with standard errors that know which tasks share a rule."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from submission.benchmarks.figure_records import FigureRecord

Value = Callable[[FigureRecord], float]
"""A figure of one measurement."""


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error."""

    value: float
    error: float
    """Standard error over the groups of measurements; nan with fewer than two."""


def mean_over(values: Mapping[str, list[float]]) -> Mean:
    """The mean of all values, which come in groups: what is in one group (one rule, all its seeds) is not independent.

    The error is the cluster-robust one: the root of the sum over groups of (sum of deviations)^2, divided by the number
    of values, times sqrt(G / (G - 1)) for G groups. With one value a group it is the usual standard error.
    """
    together = [value for group in values.values() for value in group]
    if not together:
        return Mean(math.nan, math.nan)
    value, groups = sum(together) / len(together), len(values)
    if groups < 2:
        return Mean(value, math.nan)
    spread = math.fsum(math.fsum(each - value for each in group) ** 2 for group in values.values())
    return Mean(value, math.sqrt(spread * groups / (groups - 1)) / len(together))


def differences(
    one: Mapping[tuple[str, str, int], float], other: Mapping[tuple[str, str, int], float]
) -> dict[str, list[float]]:
    """`one` minus `other` for each (rule, task, seed) that both have, grouped by rule."""
    grouped: dict[str, list[float]] = defaultdict(list)
    for key in one.keys() & other.keys():
        grouped[key[0]].append(one[key] - other[key])
    return dict(grouped)


def keyed(records: Sequence[FigureRecord], value: Value) -> dict[tuple[str, str, int], float]:
    """(rule of the task, task, seed) -> value."""
    return {(each.rule, each.task, each.seed): value(each) for each in records}


def paired(one: Sequence[FigureRecord], other: Sequence[FigureRecord], value: Value) -> Mean:
    """The mean difference on the tasks and seeds that both have."""
    return mean_over(differences(keyed(one, value), keyed(other, value)))


def grouped_mean(records: Sequence[FigureRecord], value: Value) -> Mean:
    """The mean over records, which come in groups of one rule."""
    groups: dict[str, list[float]] = defaultdict(list)
    for each in records:
        groups[each.rule].append(value(each))
    return mean_over(groups)


def shown(mean: Mean, times: float, sign: str = "") -> str:
    """A mean with its error."""
    return f"{times * mean.value:{sign}.1f} ± {times * mean.error:.1f}"
