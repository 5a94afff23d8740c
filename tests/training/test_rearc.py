"""RE-ARC is read as it is published and as an .npz; anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from submission.arc.layouts import GRID16
from submission.arc.prompts import row
from submission.arc.tasks import Pair, grid
from submission.errors import BadInput
from submission.training.packing import packed
from submission.training.rearc import pair_length, read_rearc

LONGEST_PAIR = 280


def test_re_arc_is_read_as_it_is_published(tmp_path: Path) -> None:
    small, large = [[[1, 2], [3, 4]], [[4, 3]]], [np.ones((20, 20), int).tolist()] * 2
    pairs = [{"input": each[0], "output": each[1]} for each in (small, large, small, small)]
    with ZipFile(tmp_path / "re_arc.zip", "w") as archive:
        archive.writestr("re_arc/metadata.json", "{}")
        archive.writestr("re_arc/tasks/00000abc.json", json.dumps(pairs))
    read = read_rearc(tmp_path / "re_arc.zip", LONGEST_PAIR)
    assert set(read) == {"00000abc"}
    assert [pair.input.tolist() for pair in read["00000abc"]] == [small[0]] * 3, "the large one is too long"
    with ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "no tasks")
    with pytest.raises(BadInput, match="is not RE-ARC's archive"):
        read_rearc(tmp_path / "other.zip", LONGEST_PAIR)


def test_the_npz_gives_the_pairs_of_each_task_that_are_short_enough(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = [Pair(*(grid(rng.integers(10, size=rng.integers(1, 20, size=2))) for _ in range(2))) for _ in range(40)]
    shapes, cells = packed(pairs)
    task = np.tile(np.array([2, 0], np.uint16), 20)
    arrays = {"names": np.array(["aa", "bb", "cc"]), "task": task, "shapes": shapes, "cells": cells}
    np.savez(tmp_path / "rearc.npz", **arrays)
    read = read_rearc(tmp_path / "rearc.npz", LONGEST_PAIR)
    short = [pair_length(pair) <= LONGEST_PAIR for pair in pairs]
    assert 10 < sum(short) < 40
    for number, name in ((2, "cc"), (0, "aa")):
        expected = [pair for pair, t, fits in zip(pairs, task, short, strict=True) if t == number and fits]
        assert [pair.input.tolist() for pair in read[name]] == [pair.input.tolist() for pair in expected]
        assert [pair.output.tolist() for pair in read[name]] == [pair.output.tolist() for pair in expected]
    assert "bb" not in read
    np.savez(tmp_path / "short.npz", **arrays | {"cells": cells[:-1]})
    with pytest.raises(BadInput, match="is not RE-ARC's archive"):
        read_rearc(tmp_path / "short.npz", LONGEST_PAIR)


def test_the_length_of_a_pair_is_what_it_adds_to_a_row() -> None:
    rng = np.random.default_rng(7)
    pairs = [Pair(*(grid(rng.integers(10, size=rng.integers(1, 31, size=2))) for _ in range(2))) for _ in range(3)]
    assert sum(pair_length(pair) for pair in pairs) == len(row(GRID16, pairs, limit=1 << 30).ids)
