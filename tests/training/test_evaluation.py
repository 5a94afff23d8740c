"""Held-out evaluation: one answer of each family, and figures that are right."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from submission.arc.layouts import GRID16
from submission.arc.prompts import padded, row
from submission.arc.tasks import Pair, grid
from submission.training.corpus import Family
from submission.training.evaluation import MOST_FURTHER, Evaluations, by_source, evaluate, evaluation_rows
from submission.training.settings import TrainingFailed
from tests.training.families import families


def test_one_answer_of_each_family_is_evaluated() -> None:
    rows = evaluation_rows(families(4), 1000, GRID16)
    assert len(rows) == 4
    for each in rows:
        assert int(each.learn.sum()) == len(GRID16.answer(grid(np.zeros((2, 3)))))


def test_families_of_packs_are_evaluated_apart_one_of_each_rule_before_a_second() -> None:
    (known,) = families(1)
    names = ["0520fde7", *(f"tgi:rule{k}:{draw}" for k in range(50) for draw in range(3)), "arcgen:0520fde7"]
    found = by_source([Family(name, known.pairs, 1.0) for name in names])
    assert {source: len(of_it) for source, of_it in found.items()} == {"": 1, "tgi": MOST_FURTHER, "arcgen": 1}
    assert [family.name for family in found["tgi"][:2]] == ["tgi:rule0:0", "tgi:rule1:0"]
    assert found["tgi"][50].name == "tgi:rule0:1", "a second draw after all rules"


def test_tokens_and_whole_answers_are_counted() -> None:
    """A model that always predicts the token it reads: right only where a token repeats."""

    class Echo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            logits = 100.0 * nn.functional.one_hot(input_ids, 16).float()
            return type("Out", (), {"logits": logits})

    one = row(GRID16, [Pair(grid([[1]]), grid([[2, 2, 2]]))], 100)
    result = evaluate(Echo(), [one], GRID16)
    learned = padded(GRID16, [one])[1].sum()
    assert result.token_accuracy == pytest.approx(100 * 2 / learned)
    assert (result.whole_answers, result.rows) == (0, 1)
    assert result.loss == pytest.approx(100 * (learned - 2) / learned, rel=1e-3)


def test_a_model_in_float32_is_evaluated_in_float32_and_left_as_it_was() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(16, 16))
            self.dtypes = set[torch.dtype]()

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            assert not self.training
            logits = nn.functional.one_hot(input_ids, 16).float() @ self.weight
            self.dtypes.add(logits.dtype)
            return type("Out", (), {"logits": logits})

    model = Watched().train()
    evaluate(model, evaluation_rows(families(2), 1000, GRID16), GRID16)
    assert model.dtypes == {torch.float32}
    assert model.training


def test_without_rows_all_figures_are_zero() -> None:
    result = evaluate(nn.Linear(1, 1), [], GRID16)
    assert (result.loss, result.token_accuracy, result.whole_answers, result.rows) == (0, 0, 0, 0)


@pytest.mark.parametrize("base", [torch.float32, torch.bfloat16])
def test_a_frozen_base_in_16_bits_computes_in_them_and_its_trained_head_stays_in_float32(base: torch.dtype) -> None:
    """As `finetune_base` trains: without autocast the product of two types is an error of torch."""

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings, self.block = nn.Embedding(16, 8), nn.Linear(8, 16).to(base)

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            return type("Out", (), {"logits": self.block(self.embeddings(input_ids))})

    assert 0 < evaluate(Tuned(), evaluation_rows(families(2), 1000, GRID16), GRID16).loss < 10


def test_evaluations_in_the_course_of_a_training_take_a_tenth_of_its_time_at_most() -> None:
    class Slow(nn.Linear):
        loss = 0.0

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            time.sleep(0.02)
            return type("Out", (), {"logits": torch.full((*input_ids.shape, 16), self.loss)})

    evaluations = Evaluations(Slow(1, 1), families(2), 1000, GRID16)
    evaluations.where_due()
    first, took = evaluations.ended, evaluations.took
    assert took >= 0.04, "the first is always due"
    time.sleep(2 * took)
    evaluations.where_due()
    assert evaluations.ended == first, "too early"
    time.sleep(9 * took)
    evaluations.where_due()
    assert evaluations.ended > first
    evaluations.model.loss = torch.nan
    with pytest.raises(TrainingFailed, match="held-out loss"):
        evaluations.now()
