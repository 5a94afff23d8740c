"""RE-ARC is read as it is published and as an .npz; anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

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


GOOD = {"input": [[1]], "output": [[2]]}
BAD_PAIRS = {
    "a colour of 10": {"input": [[10]], "output": [[1]]},
    "a negative colour": {"input": [[-1]], "output": [[1]]},
    "a float": {"input": [[1.0]], "output": [[1]]},
    "true": {"input": [[True]], "output": [[1]]},
    "null": {"input": None, "output": [[1]]},
    "no rows": {"input": [], "output": [[1]]},
    "an empty row": {"input": [[]], "output": [[1]]},
    "ragged rows": {"input": [[1, 2], [3]], "output": [[1]]},
    "31 rows": {"input": [[1]] * 31, "output": [[1]]},
    "31 columns": {"input": [[1]], "output": [[1] * 31]},
    "no output": {"input": [[1]]},
    "a list": [[1], [2]],
}


@pytest.mark.parametrize("bad", BAD_PAIRS.values(), ids=BAD_PAIRS.keys())
def test_a_pair_that_no_task_may_have_is_left_out_and_counted(
    bad: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("re_arc/tasks/00000abc.json", json.dumps([GOOD, bad, GOOD]))
    assert len(read_rearc(tmp_path / "r.zip", LONGEST_PAIR)["00000abc"]) == 2
    assert "1 pairs of 1 tasks are left out" in caplog.text
    assert "00000abc" in caplog.text
    with ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("re_arc/tasks/00000abc.json", json.dumps([bad]))
    with pytest.raises(BadInput, match="none of its 1 pairs is of grids"):
        read_rearc(tmp_path / "r.zip", LONGEST_PAIR)


def test_a_zip_made_by_macos_and_the_folder_of_the_generator_are_read(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.writestr("my re_arc/tasks/00000abc.json", json.dumps([GOOD]))
        archive.writestr("__MACOSX/my re_arc/tasks/._00000abc.json", b"\0\5\26\7")
        archive.writestr("my re_arc/tasks/.DS_Store", b"\0")
    assert set(read_rearc(tmp_path / "mac.zip", LONGEST_PAIR)) == {"00000abc"}
    for tasks in (tmp_path / "a" / "tasks", tmp_path / "b" / "re_arc" / "tasks"):
        tasks.mkdir(parents=True)
        (tasks / "00000abc.json").write_text(json.dumps([GOOD]))
        (tasks / "._00000abc.json").write_bytes(b"\0")
    assert (
        set(read_rearc(tmp_path / "a", LONGEST_PAIR)) == set(read_rearc(tmp_path / "b", LONGEST_PAIR)) == {"00000abc"}
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no tasks"):
        read_rearc(tmp_path / "empty", LONGEST_PAIR)


def packing(**changes: object) -> dict[str, object]:
    """A packing of two pairs of two tasks."""
    pairs = [Pair(grid([[1, 2, 3]]), grid([[4]])), Pair(grid([[5]]), grid([[6, 7]]))]
    shapes, cells = packed(pairs)
    return {
        "names": np.array(["aa", "bb"]),
        "task": np.array([0, 1], np.uint16),
        "shapes": shapes,
        "cells": cells,
    } | changes


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"cells": np.array([0x12, 0x34, 0x5A, 0x70], np.uint8)}, {"aa"}),
        ({"cells": np.array([0x12, 0xF4, 0x56, 0x70], np.uint8)}, {"bb"}),
        ({"cells": np.array([0x12, 0x3F, 0x56, 0x70], np.uint8)}, {"bb"}),
        ({"shapes": np.array([[1, 3, 1, 1], [0, 9, 1, 3]], np.uint8)}, {"aa"}),
        ({"shapes": np.array([[31, 1, 1, 1], [1, 1, 1, 2]], np.uint8), "cells": np.zeros(18, np.uint8)}, {"bb"}),
    ],
)  # fmt: skip
def test_a_packed_pair_that_no_task_may_have_is_left_out(
    changes: dict[str, object], left: set[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "r.npz", **packing(**changes))  # type: ignore[arg-type]
    assert set(read_rearc(tmp_path / "r.npz", LONGEST_PAIR)) == left


@pytest.mark.parametrize(
    "changes",
    [
        {"task": np.array([0, 2], np.uint16)}, {"task": np.array([0], np.uint16)}, {"task": np.array([0.0, 1.0])},
        {"shapes": np.array([[1, 3, 1, 1], [1, 1, 1, 2]])}, {"cells": np.zeros(3, np.uint8)},
        {"cells": np.zeros(4, np.int8)},
    ],
)  # fmt: skip
def test_a_packing_whose_arrays_do_not_fit_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", **packing(**changes))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="is not RE-ARC's archive"):
        read_rearc(tmp_path / "r.npz", LONGEST_PAIR)


@pytest.mark.parametrize("kind", ["no file", "empty lists", "twice", "npz"])
def test_an_archive_without_pairs_or_with_two_files_for_a_task_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("r.npz" if kind == "npz" else "r.zip")
    if kind == "npz":
        empty = {"task": np.zeros(0, np.uint16), "shapes": np.zeros((0, 4), np.uint8), "cells": np.zeros(0, np.uint8)}
        np.savez(path, **packing(**empty))  # type: ignore[arg-type]
    else:
        with ZipFile(path, "w") as archive:
            files = {"no file": [], "empty lists": [("re_arc", [])], "twice": [("one", [GOOD]), ("two", [GOOD])]}
            for folder, pairs in files[kind]:
                archive.writestr(f"{folder}/tasks/00000abc.json", json.dumps(pairs))
    told = {"no file": "no tasks", "twice": "two files are called 00000abc.json"}.get(kind, "none of its 0 pairs")
    with pytest.raises(BadInput, match=told):
        read_rearc(path, LONGEST_PAIR)


def test_an_archive_of_long_pairs_alone_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ZipFile(tmp_path / "r.ZIP", "w") as archive:
        archive.writestr("re_arc/tasks/00000abc.json", json.dumps([GOOD, GOOD]))
    assert not read_rearc(tmp_path / "r.ZIP", 9)["00000abc"]
    assert "none of its 2 pairs is of at most 9 tokens" in caplog.text


@pytest.mark.parametrize("suffix", ["zip", "npz"])
def test_a_damaged_archive_ends_in_a_sentence_or_is_read(suffix: str, tmp_path: Path) -> None:
    """Flipped bits, cuts, and the flag of encryption, in compressed archives."""
    rng = np.random.default_rng(3)
    path = tmp_path / f"r.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, **packing())  # type: ignore[arg-type]
    else:
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr("re_arc/tasks/00000abc.json", json.dumps([GOOD] * 9))
    whole = path.read_bytes()
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged[: rng.integers(len(whole))] if rng.random() < 0.1 else damaged)
        try:
            read_rearc(path, LONGEST_PAIR)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 50
