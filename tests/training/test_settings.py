"""Settings of the trainings: what cannot be is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from submission.errors import BadInput
from submission.training.settings import FineTuning, Pretraining, Training
from tests.support.cases import cases


@cases(
    ("kind", "wrong"),
    [
        (Training, {}), (Training, {"minutes": 0}), (Training, {"minutes": math.nan}), (Training, {"anneal": 0}),
        (Training, {"anneal": 1.5}), (Training, {"first_learned": 2}), (Training, {"new_rules": 1.1}),
        (Training, {"rate": 0}), (Training, {"other_rate": math.inf}), (Training, {"warmup": 0}),
        (Training, {"tokens": 0}), (Pretraining, {"hidden": 96}), (Pretraining, {"hidden": 0}),
        (Pretraining, {"layers": 0}), (Pretraining, {"decay": -1}), (FineTuning, {"rank": 0}),
        (FineTuning, {"alpha": 0}),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_is_refused(kind: type[Training], wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        kind(**({"steps": 1} | wrong if wrong else {}))
