"""A layout fits weights that were trained in it; a wrong one is told, with the one that would do."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from submission.arc.layouts import CHAT16, GRID16, described, renumbered
from submission.arc.tasks import Pair, grid, public_set
from submission.benchmarks.layout_fit import (
    FITS,
    WRITTEN,
    LayoutFit,
    Nats,
    frequency_nats,
    layout_fit,
    nats,
    other_layouts,
    pairs_of,
)  # fmt: skip
from submission.checkpoint.layout import layout_of
from submission.config import EMBEDDED, Model
from tests.support.families import miniature

TASKS = [pairs_of(each) for each in WRITTEN.values()]


def embedded(folder: Path, arc_layout: object) -> Path:
    """The embedded model with another `arc_layout` in its config.json, or without one."""
    shutil.copytree(EMBEDDED, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["arc_layout"]
    (folder / "config.json").write_text(json.dumps(config | ({"arc_layout": arc_layout} if arc_layout else {})))
    return folder


def test_the_tasks_are_public_training_tasks() -> None:
    tasks, solutions = public_set("arc1-train")
    for name, pairs in zip(WRITTEN, TASKS, strict=True):
        test = Pair(tasks[name].tests[0], solutions[name][0])
        expected = [*tasks[name].demonstrations, test]
        assert [(a.input.tolist(), a.output.tolist()) for a in pairs] == [
            (b.input.tolist(), b.output.tolist()) for b in expected
        ]


def test_the_layout_of_the_embedded_model_fits() -> None:
    fit = layout_fit(EMBEDDED, Model())
    assert fit.fits and fit.others == ()
    assert 0.0 < fit.own.token < 0.4 < fit.frequencies < fit.uniform
    assert fit.sentence().startswith("the layout fits: grid16, 0.")


def test_a_layout_that_is_guessed_wrongly_is_told_with_the_one_that_fits(tmp_path: Path) -> None:
    """Without `arc_layout` 16 ids mean chat16, in which the embedded model was not trained."""
    fit = layout_fit(embedded(tmp_path / "model", None), Model())
    assert not fit.fits
    assert fit.own.layout == "chat16" and fit.own.token > fit.uniform
    assert fit.better is not None and fit.better.layout == "grid16"
    assert "does not look trained on this layout: chat16" in fit.sentence()
    assert fit.sentence().endswith("--set model.layout=grid16")


def test_tokens_that_mean_something_else_are_worse_than_any_guess(tmp_path: Path) -> None:
    turned = replace(renumbered(GRID16, [*range(6, 16), *range(6)]), name="turned")
    fit = layout_fit(embedded(tmp_path / "model", described(turned)), Model())
    assert not fit.fits and fit.own.token > fit.uniform > fit.frequencies


def test_random_weights_are_as_good_as_a_guess_among_all_ids(tmp_path: Path) -> None:
    fit = layout_fit(miniature(tmp_path / "model", "qwen3"), Model())
    assert not fit.fits
    assert fit.own.token == pytest.approx(math.log(16), abs=0.3)


def test_every_layout_that_the_files_allow_is_tried(tmp_path: Path) -> None:
    folder = miniature(tmp_path / "model", "llama-3.1", "numpy")
    own = layout_of(folder)
    assert own.name == "numpy"
    allowed = [layout_of(folder, name) for name in ("architects",)]
    assert other_layouts(folder, own) == allowed
    assert other_layouts(EMBEDDED, GRID16) == []


def test_another_layout_is_better_only_by_far() -> None:
    own = Nats("architects", 0.5, 1.0)
    for cell, better in ((0.69, True), (0.71, False)):
        fit = LayoutFit(own, 2.0, 2.5, (Nats("numpy", 0.2, cell),))
        assert (fit.better is not None) is better is not fit.fits
    for token in (2.0 * FITS + 0.01, math.nan):
        assert not LayoutFit(Nats("chat16", token, token), 2.0, 2.5, ()).fits


def test_the_guess_by_frequencies_is_worked_by_hand() -> None:
    one = grid(np.zeros((1, 1)))
    # An alphabet of 12 ids; the first output is a 0 and the end, so that of 14 counts these two have 2 each.
    assert frequency_nats(CHAT16, [[Pair(one, one), Pair(one, one)]]) == pytest.approx(math.log(14 / 2))


class Certain(torch.nn.Module):
    """A model that gives probability 1/2 to the id that comes, and the rest to no id of the layout."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        following = torch.roll(input_ids, -1, 1)
        self.logits = (
            torch.nn.functional.one_hot(following, 17)
            .float()
            .masked_fill(torch.nn.functional.one_hot(following, 17) == 0, -1e9)
        )
        self.logits[..., 16] = 1.0
        return self


def test_nats_are_the_mean_of_a_token_and_of_a_cell() -> None:
    measured = nats(Certain(), CHAT16, TASKS[:1])
    answers = [CHAT16.answer(pair.output) for pair in TASKS[0][1:]]
    cells = sum(pair.output.size for pair in TASKS[0][1:])
    assert measured.token == pytest.approx(math.log(2))
    assert measured.cell == pytest.approx(math.log(2) * sum(map(len, answers)) / cells)
