"""Families are chosen by quality, difficulty and diversity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from submission.arc.layouts import GRID16
from submission.arc.tasks import Pair, grid
from submission.errors import BadInput
from submission.model.grid_lm import fresh
from submission.training.corpus import Corpus, Family
from submission.training.selection import SOLVED, domain, is_sound, losses, narrowed, selected
from tests.support.checkpoints import hollow

RNG = np.random.default_rng(0)


def family(name: str, *, grows: bool = False, weight: float = 1.0) -> Family:
    inputs = [grid(RNG.integers(1, 10, (2, 3))) for _ in range(5)]
    return Family(name, tuple(Pair(g, grid(g.repeat(2, axis=0)) if grows else g) for g in inputs), weight)


def test_quality_contradictions_and_constant_answers_are_no_rules() -> None:
    one, two, three = (grid([[k]]) for k in range(3))
    assert is_sound(Family("", (Pair(one, two), Pair(two, three), Pair(one, two)), 1.0))
    assert not is_sound(Family("", (Pair(one, two), Pair(one, three)), 1.0))
    assert not is_sound(Family("", (Pair(one, two), Pair(three, two)), 1.0))


def test_difficulty_what_is_solved_goes_and_what_is_hard_is_drawn_more() -> None:
    families = [family(name) for name in ("solved", "easy", "hard", "hardest")]
    kept = selected(families, [SOLVED / 2, 0.2, 0.6, 7.0])
    weights = {each.name: each.weight for each in kept}
    assert set(weights) == {"easy", "hard", "hardest"}
    assert weights["hard"] == pytest.approx(3 * weights["easy"])
    assert weights["hardest"] == pytest.approx(5 * weights["easy"]), "beyond 1 nat a token nothing is added"
    assert sum(weights.values()) == pytest.approx(3)


def test_diversity_a_group_is_drawn_by_the_root_of_its_size() -> None:
    many, few = [family(f"same{k}") for k in range(16)], [family(f"grows{k}", grows=True) for k in range(4)]
    kept = selected([*many, *few], [0.5] * 20)
    share = {kind: sum(e.weight for e in kept if e.name.startswith(kind)) for kind in ("same", "grows")}
    assert share["same"] == pytest.approx(2 * share["grows"])


def test_families_of_one_name_are_weighed_each_for_itself() -> None:
    own, generated = family("task", weight=0.35), family("task", weight=1.0)
    kept = selected([own, generated], [0.2, 0.6])
    assert kept[1].weight == pytest.approx(kept[0].weight * 3 / 0.35)
    assert sum(each.weight for each in kept) == pytest.approx(2)


def test_what_a_rule_does_to_sizes_and_colours_tells_the_groups_apart() -> None:
    small, large = grid([[1, 2]]), grid(np.ones((10, 10)))
    assert domain(Family("", (Pair(small, small),), 1.0)) == ("same size", "same colours", "small")
    assert domain(Family("", (Pair(small, large),), 1.0)) == ("larger", "same colours", "large")
    assert domain(Family("", (Pair(large, small),), 1.0)) == ("smaller", "new colours", "large")


def test_a_model_measures_each_family_alike_every_time(tmp_path: Path) -> None:
    families = (family("one"), family("two", grows=True))
    data = Corpus(families, (), {}, 2)
    model = fresh(64, 1, 0)
    measured = losses(model, GRID16, families, 200)
    assert measured == losses(model, GRID16, families, 200)
    assert all(2 < each < 4 for each in measured), "an untrained model is near ln 16"
    model.save_pretrained(tmp_path)
    assert {each.name for each in narrowed(data, tmp_path, 200).train} == {"one", "two"}
    with pytest.raises(BadInput, match="no such folder"):
        narrowed(data, tmp_path / "nothing", 200)
    with pytest.raises(BadInput, match="a model that `pretrain` made"):
        narrowed(data, hollow(tmp_path / "llama"), 200)


def test_a_first_model_that_gives_no_numbers_or_leaves_no_family_selects_nothing(tmp_path: Path) -> None:
    model = fresh(64, 1, 0)
    model.save_pretrained(tmp_path / "first")
    one = grid([[1]])
    constant = Family("constant", (Pair(one, one), Pair(grid([[2]]), one), Pair(grid([[3]]), one)), 1.0)
    with pytest.raises(BadInput, match="of 1 families it leaves none"):
        narrowed(Corpus((constant,), (), {}, 1), tmp_path / "first", 200)
    with torch.no_grad():
        model.lm_head.weight[0] = torch.nan
    model.save_pretrained(tmp_path / "nan")
    with pytest.raises(BadInput, match="its loss on one is not a number"):
        narrowed(Corpus((family("one"), family("two")), (), {}, 2), tmp_path / "nan", 200)
