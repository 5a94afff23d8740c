"""The model in the repository is a real one: trained, in four bits, and it solves a task that it has never seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from submission.arc.tasks import Pair, Task, grid
from submission.config import EMBEDDED, with_changes
from submission.deadline import NEVER
from submission.inference.language_model import LanguageModel
from submission.model.grid_lm import GridLM
from submission.presets import PRESETS
from submission.results.journal import model_sha256
from submission.solver.solve import solve

TRUNK = EMBEDDED.parent / "trunk"
"""The weights before the last anneal."""

SETTINGS = with_changes(PRESETS["laptop"], ["search.views=8", "training_rows.copies=10"])


@pytest.fixture(scope="module")
def engine() -> LanguageModel:
    return LanguageModel(EMBEDDED, SETTINGS)


def made_up(name: str, seed: int = 0) -> tuple[Task, np.ndarray]:
    """A task of four demonstrations on 3x3 to 4x4 grids, and its answer."""
    rng = np.random.default_rng(seed)

    def some() -> np.ndarray:
        return rng.choice([0, 0, 0, 1, 2, 8], rng.integers(3, 5, 2)).astype(np.uint8)

    rules = {"recolour": lambda g: np.where(g == 2, 5, g), "erase": lambda g: np.where(g == 8, 0, g)}
    inputs = [some() for _ in range(5)]
    pairs = tuple(Pair(grid(g), grid(rules[name](g))) for g in inputs[:4])
    return Task(name, pairs, (grid(inputs[4]),)), rules[name](inputs[4])


@pytest.mark.parametrize("name", ["recolour", pytest.param("erase", marks=pytest.mark.slow)])
def test_it_solves_a_task_that_was_made_up_just_now(engine: LanguageModel, name: str) -> None:
    task, answer = made_up(name)
    record = solve(task, engine, SETTINGS, NEVER, seed=0)
    assert answer.tolist() in [each.tolist() for each in record.attempts[0]]


def test_its_readme_says_how_it_was_made() -> None:
    told = (EMBEDDED / "README.md").read_text()
    assert f"`{model_sha256(EMBEDDED)}`" in told, "the README is of these weights"
    record = json.loads((EMBEDDED / "training.json").read_text())
    for name in ("million_tokens", "held_out_loss"):
        assert str(record[name]) in told, f"{name} is not what training.json says"
    weights = [*EMBEDDED.iterdir(), *TRUNK.iterdir()]
    assert sum(path.stat().st_size for path in weights) < 40e6, "each version stays in the history for ever"


def test_training_can_go_on_from_the_trunk() -> None:
    """It has the shape of the model, other weights, and says how far it is."""
    annealed, trunk = GridLM.from_pretrained(EMBEDDED), GridLM.from_pretrained(TRUNK)
    assert annealed.config.num_hidden_layers == trunk.config.num_hidden_layers
    assert annealed.lm_head.weight.shape == trunk.lm_head.weight.shape
    assert not torch.equal(annealed.lm_head.weight, trunk.lm_head.weight)
    progress = json.loads((TRUNK / "progress.json").read_text())
    assert progress["step"] > 1000 and progress["seen"] > 1e6
    million = f"{progress['seen'] / 1e6:.2f} M tokens"
    assert million in (EMBEDDED / "README.md").read_text(), "the page says how far it is"
