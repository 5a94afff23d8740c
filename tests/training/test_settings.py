"""Settings of the trainings: what cannot be is refused."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import pytest

from submission.errors import BadInput
from submission.training.settings import RANGES, FineTuning, Pretraining, Training
from tests.support.cases import cases


@cases(
    ("kind", "wrong"),
    [
        (Training, {}), (Training, {"minutes": 0}), (Training, {"minutes": math.nan}), (Training, {"anneal": 0}),
        (Training, {"anneal": 1.5}), (Training, {"first_learned": 2}), (Training, {"new_rules": 1.1}),
        (Training, {"rate": 0}), (Training, {"other_rate": math.inf}), (Training, {"warmup": 0}),
        (Training, {"tokens": 0}), (Pretraining, {"hidden": 96}), (Pretraining, {"hidden": 0}),
        (Pretraining, {"layers": 0}), (Pretraining, {"decay": -1}), (FineTuning, {"rank": 0}),
        (FineTuning, {"alpha": 0}), (Training, {"seed": -1}), (Training, {"seed": 2**64}),
        (Training, {"minutes": 1e9}), (Training, {"minutes": math.nan}), (Training, {"steps": 10**30}),
        (Training, {"tokens": 10**30}), (Training, {"limit": 10**30}), (Training, {"warmup": 10**30}),
        (Training, {"workers": 10**6}), (Training, {"rate": 1e300}), (Training, {"rate": math.nan}),
        (Pretraining, {"hidden": 64 * 10**9}), (Pretraining, {"layers": 10**9}), (Pretraining, {"decay": math.inf}),
        (FineTuning, {"rank": 10**9}), (FineTuning, {"alpha": math.nan}),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_is_refused(kind: type[Training], wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        kind(**({"steps": 1} | wrong if wrong else {}))


def test_every_number_among_the_settings_has_a_range() -> None:
    hints = {**get_type_hints(Pretraining), **get_type_hints(FineTuning)}
    assert set(RANGES) == {name for name, hint in hints.items() if hint in (int, float)}
    assert all(math.isfinite(each.least) and math.isfinite(each.most) for each in RANGES.values())


def test_a_training_by_steps_needs_no_minutes() -> None:
    assert Training(steps=1).minutes == math.inf
