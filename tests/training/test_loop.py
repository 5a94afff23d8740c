"""The training loop: its schedule ends on time and annealed, its data come from workers, its figures are right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from submission.arc.layouts import CHAT16, GRID16
from submission.arc.prompts import padded, row
from submission.arc.tasks import Pair, grid
from submission.errors import BadInput
from submission.model.grid_lm import fresh
from submission.training.corpus import Family
from submission.training.loop import (  # fmt: skip
    Batch,
    Progress,
    _share_left,
    examination,
    examine,
    flops_a_token,
    loader,
    peak_flops,
    require_device,
    train,
)
from submission.training.settings import Training


def families(number: int = 3) -> list[Family]:
    rng = np.random.default_rng(0)
    grids = [[grid(rng.integers(0, 10, (2, 3))) for _ in range(6)] for _ in range(number)]
    return [Family(f"f{k}", tuple(Pair(g, grid(g[::-1])) for g in each), 1.0) for k, each in enumerate(grids)]


class Rates(torch.optim.SGD):
    """Plain gradient descent that notes the rate of each step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), lr=0.5)
        self.seen: list[float] = []

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.seen.append(self.param_groups[0]["lr"])
        super().step()


SETTINGS = Training(steps=20, tokens=256, limit=80, warmup=4, anneal=0.5, new_rules=0.0)


def test_the_rate_warms_up_stays_and_falls_to_zero_and_the_trunk_is_kept_before_the_fall() -> None:
    model = fresh(64, 1, 0, CHAT16)
    rates, kept = Rates(model), []
    source = loader(families(), SETTINGS, 0)
    done = train(model, [rates], source, SETTINGS, Progress(100, 1000), kept.append, torch.float32)
    assert rates.seen[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert rates.seen[4:11] == pytest.approx([0.5] * 7)
    assert rates.seen[11:] == pytest.approx([0.5 * (20 - k) / 10 for k in range(11, 20)])
    assert [each.step for each in kept] == [110]
    assert done.step == 120
    assert done.seen > 1000 + 20 * 100
    assert np.isfinite(done.loss)


def test_the_clock_ends_a_training_as_the_steps_do() -> None:
    timed = Training(minutes=2)
    assert _share_left(timed, 10**6, 0) == 1
    assert _share_left(timed, 0, 90) == pytest.approx(0.25)
    assert _share_left(Training(minutes=2, steps=10), 9, 0) == pytest.approx(0.1)
    assert _share_left(Training(steps=10), 0, 10**9) == 1


def test_a_training_without_an_end_or_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="needs an end"):
        Training()
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="no GPU"):
            require_device("cuda")


def drawn(settings: Training, step: int, number: int = 6) -> list[bytes]:
    source: Iterator[Batch] = loader(families(), settings, step)
    return [ids.numpy().tobytes() for ids, *_ in islice(source, number)]


def test_one_seed_draws_one_series_of_rows_and_another_call_draws_others() -> None:
    assert drawn(SETTINGS, 0) == drawn(SETTINGS, 0)
    assert drawn(SETTINGS, 0) != drawn(SETTINGS, 110)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # Where there is one core only.
def test_workers_make_batches_of_their_own_ahead_of_time() -> None:
    two = Training(steps=1, tokens=256, limit=80, workers=2)
    made = drawn(two, 0, 12)
    assert len(set(made)) == len(made), "no two workers draw the same rows"


def test_a_batch_says_how_many_of_its_tokens_are_not_padding() -> None:
    for ids, learn, where, tokens in islice(loader(families(), SETTINGS, 0), 10):
        assert tokens == int((ids != CHAT16.pad).sum())
        assert ids.numel() <= SETTINGS.tokens
        assert learn.shape == ids.shape == where.shape[1:]


def test_the_arithmetic_of_a_token_is_counted() -> None:
    model = fresh(64, 2, 0)
    block = 4 * 64 * 64 + 3 * 64 * 192
    assert flops_a_token(model, 0) == 6 * (2 * block + 16 * 64)
    assert flops_a_token(model, 100) == 6 * (2 * block + 16 * 64) + 6 * 2 * 64 * 100
    model.requires_grad_(False)
    assert flops_a_token(model, 0) == 4 * (2 * block + 16 * 64)
    assert 1e8 < peak_flops("cpu") < 1e14


def test_an_examination_asks_one_answer_of_each_family() -> None:
    exam = examination(families(4), 1000, GRID16)
    assert len(exam) == 4
    for each in exam:
        assert int(each.learn.sum()) == len(GRID16.answer(grid(np.zeros((2, 3)))))


def test_examined_counts_cells_and_whole_answers() -> None:
    """A model that always predicts the token it reads: right only where a token repeats."""

    class Echo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            logits = 100.0 * nn.functional.one_hot(input_ids, 16).float()
            return type("Out", (), {"logits": logits})

    one = row(GRID16, [Pair(grid([[1]]), grid([[2, 2, 2]]))], 100)
    seen = examine(Echo(), [one], GRID16)
    learned = padded(GRID16, [one])[1].sum()
    assert seen.cells == pytest.approx(100 * 2 / learned)
    assert (seen.whole, seen.asked) == (0, 1)
    assert seen.nats == pytest.approx(100 * (learned - 2) / learned, rel=1e-3)
