"""The cached corpus: the same families and rows as a fresh one, and never one that was made from anything else."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import submission
from submission.arc.tasks import Grid, Pair, grid
from submission.errors import BadInput
from submission.training import corpus, corpus_cache
from submission.training.batches import rows
from submission.training.corpus import Corpus, Family, Sources
from submission.training.corpus_cache import CACHE_NAME, key_of, load, read, source_files, write

LONGEST_PAIR = 200


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Some 60 tasks, of which some are held out, in files; what they are compared with; and RE-ARC of two tasks."""
    rng = np.random.default_rng(0)

    def cells() -> Grid:
        return grid(rng.integers(10, size=rng.integers(1, 8, size=2)))

    def challenges(name: str, number: int) -> str:
        tasks = {
            f"{name}{k}": {
                "train": [{"input": cells().tolist(), "output": cells().tolist()} for _ in range(4)],
                "test": [{"input": cells().tolist()}],
            }
            for k in range(number)
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(tasks))
        return str(tmp_path / f"{name}.json")

    pairs = [cells() for _ in range(40)]
    shapes = np.array([each.shape for each in pairs], np.uint8).reshape(-1, 4)
    flat = np.concatenate([each.reshape(-1) for each in pairs])
    flat = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    task = np.repeat(np.array([1, 0], np.uint16), 10)
    np.savez(
        tmp_path / "rearc.npz", names=np.array(["aaaa", "bbbb"]), task=task, shapes=shapes,
        cells=flat[::2] << 4 | flat[1::2],
    )  # fmt: skip
    return Sources((challenges("task", 60),), tmp_path / "rearc.npz", 0, (challenges("secret", 3),))


def content(data: Corpus) -> list[object]:
    """All that a corpus holds, comparable."""
    families = [
        [
            (f.name, f.weight, [(p.input.tolist(), p.output.tolist()) for p in f.pairs])
            for f in part
        ]
        for part in (data.train, data.held_out)
    ]  # fmt: skip
    return [*families, data.leaks, data.checked]


def drawn(data: Corpus) -> list[bytes]:
    made = rows(data.train, 300, np.random.default_rng(1))
    return [each.ids.tobytes() + each.learn.tobytes() for each in islice(made, 100)]


def test_the_cached_corpus_equals_a_fresh_one_and_gives_the_same_rows(sources: Sources, tmp_path: Path) -> None:
    fresh = corpus.load(sources, LONGEST_PAIR)
    assert {"aaaa", "bbbb"} <= {family.name for family in (*fresh.train, *fresh.held_out)}
    assert fresh.held_out
    for data in (load(sources, LONGEST_PAIR, tmp_path), load(sources, LONGEST_PAIR, tmp_path)):
        assert content(data) == content(fresh)
        assert drawn(data) == drawn(fresh)
    assert not list(tmp_path.glob(".corpus.npz*")), "nothing half written is left"


def test_the_second_time_the_sources_are_not_read(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    load(sources, LONGEST_PAIR, tmp_path / "deep")
    monkeypatch.setattr(corpus, "load", None)
    load(sources, LONGEST_PAIR, tmp_path / "deep")
    told = [record.message for record in caplog.records if record.name.endswith("corpus_cache")]
    assert [message.split("corpus.npz: ")[1] for message in told] == [
        "the corpus is loaded from its sources", "read",
    ]  # fmt: skip


def test_the_key_changes_with_all_that_the_corpus_depends_on(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key_of(sources, LONGEST_PAIR)]
    assert key_of(sources, LONGEST_PAIR) == keys[0]
    keys.append(key_of(sources, LONGEST_PAIR + 1))
    keys += [
        key_of(replace(sources, **{name: value}), LONGEST_PAIR)
        for name, value in {"generated": 5, "rearc": None, "sets": ("arc1-train",), "against": ("arc2-eval",)}.items()
    ]
    (tmp_path / "pack.npz").write_bytes(b"one")
    packed = replace(sources, families=(tmp_path / "pack.npz",))
    keys.append(key_of(packed, LONGEST_PAIR))
    (tmp_path / "pack.npz").write_bytes(b"two")
    keys.append(key_of(packed, LONGEST_PAIR))
    for name in ("rearc.npz", "task.json", "secret.json"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"\n")
        keys.append(key_of(sources, LONGEST_PAIR))
    monkeypatch.setattr(submission, "__version__", "0.0")
    keys.append(key_of(sources, LONGEST_PAIR))
    monkeypatch.setattr(corpus_cache, "MADE_BY", ("rng.py",))
    keys.append(key_of(sources, LONGEST_PAIR))
    assert len(set(keys)) == len(keys)


def test_another_or_a_damaged_corpus_is_replaced_and_the_log_says_why(
    sources: Sources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / CACHE_NAME
    fresh = content(load(sources, LONGEST_PAIR, tmp_path))
    whole = path.read_bytes()
    middle = len(whole) // 2
    damages = [
        whole[:100], whole[:-30], b"", b"no archive", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    ]  # fmt: skip
    for damage in damages:
        caplog.clear()
        path.write_bytes(damage)
        assert content(load(sources, LONGEST_PAIR, tmp_path)) == fresh
        assert "cannot be used, the corpus is loaded from its sources again (" in caplog.text
        assert path.read_bytes() == whole
    caplog.clear()
    shorter = load(sources, 40, tmp_path)
    assert "it was made from other sources or settings" in caplog.text
    assert content(shorter) == content(corpus.load(sources, 40)) != fresh


def test_pairs_that_are_too_few_are_found_damaged(tmp_path: Path) -> None:
    pair = Pair(grid([[1, 2]]), grid([[3]]))
    write(tmp_path / "c.npz", "key", Corpus((Family("one", (pair,) * 3, 1.0),), (), {}, 1))
    with np.load(tmp_path / "c.npz") as arrays:
        changed = dict(arrays) | {"pairs": np.array([4])}
    np.savez(tmp_path / "c.npz", **changed)
    with pytest.raises(ValueError, match="3 pairs are there for families of 4 pairs"):
        read(tmp_path / "c.npz", "key")


def test_a_source_that_is_missing_is_refused_and_leaves_no_file(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not RE-ARC's archive"):
        load(replace(sources, rearc=tmp_path / "none.npz"), LONGEST_PAIR, tmp_path)
    assert not (tmp_path / CACHE_NAME).exists()


def test_the_key_changes_with_a_file_in_a_folder_of_tasks(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text("1")
    before = key_of(Sources((str(tmp_path),)), LONGEST_PAIR)
    assert key_of(Sources((str(tmp_path),)), LONGEST_PAIR) == before
    (tmp_path / "deep" / "a.json").write_text("2")
    assert key_of(Sources((str(tmp_path),)), LONGEST_PAIR) != before


def test_the_key_covers_every_module_that_makes_the_corpus() -> None:
    """All modules of ours that corpus imports, directly or not, and itself."""
    package = Path(submission.__file__).parent
    files, new = set[Path](), {package / "training" / "corpus_cache.py"}
    while new:
        files |= new
        named = set[str]()
        for path in new:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("submission"):
                    inside = (node.module or "").removeprefix("submission").removeprefix(".").replace(".", "/")
                    named |= {inside, *(f"{inside}/{alias.name}" for alias in node.names)}
        found = {package / f"{name}{end}" for name in named for end in (".py", "/__init__.py")}
        new = {path for path in found if path.is_file()} - files
    empty = {
        path for path in files if not path.read_text().strip() or path.parent == package and path.stem == "__init__"
    }
    assert {path for path in files - empty if "import" in path.read_text()} <= set(source_files())
