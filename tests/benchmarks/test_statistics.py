"""Standard errors that know which measurements belong together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from submission.benchmarks.statistics import differences, mean_over


def test_with_one_value_a_group_the_error_is_the_usual_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=20)
    mean = mean_over({str(k): [float(value)] for k, value in enumerate(values)})
    assert mean.value == pytest.approx(values.mean())
    assert mean.error == pytest.approx(values.std(ddof=1) / math.sqrt(20))


def test_a_value_that_is_repeated_within_its_group_is_no_further_evidence() -> None:
    once = mean_over({"a": [0.0], "b": [1.0], "c": [1.0]})
    thrice = mean_over({"a": [0.0] * 3, "b": [1.0] * 3, "c": [1.0] * 3})
    assert thrice.value == pytest.approx(once.value)
    assert thrice.error == pytest.approx(once.error)


def test_one_group_has_a_mean_without_an_error_and_none_has_neither() -> None:
    assert mean_over({"a": [1.0, 3.0]}).value == 2
    assert math.isnan(mean_over({"a": [1.0, 3.0]}).error)
    assert math.isnan(mean_over({}).value)


def test_differences_are_of_the_same_task_and_seed() -> None:
    one = {("r", "t", 0): 1.0, ("r", "t", 1): 3.0, ("s", "u", 0): 5.0}
    other = {("r", "t", 0): 0.5, ("r", "t", 1): 1.0, ("s", "u", 1): 5.0}
    assert {rule: sorted(values) for rule, values in differences(one, other).items()} == {"r": [0.5, 2.0]}
