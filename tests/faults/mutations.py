"""Challenges files with something wrong about them: each is accepted, or refused with a sentence."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from submission.cli.commands import main

ODD: list[Any] = [
    None, True, -1, 10, 3.5, 1e400, float("nan"), 10**30, "", "5", "../x", "\u0000", [], {}, [[]], [[[]]],
    [[0], [0, 1]], [[0] * 31], [[1]] * 31, {"input": 1}, {"train": []},
]  # fmt: skip


def a_file(rng: np.random.Generator) -> Any:
    """A valid one, of a few small tasks."""

    def some() -> Any:
        return rng.integers(0, 10, rng.integers(1, 4, 2)).tolist()

    return {
        f"task{k}": {
            "train": [{"input": some(), "output": some()} for _ in range(rng.integers(1, 4))],
            "test": [{"input": some()} for _ in range(rng.integers(1, 3))],
        }
        for k in range(rng.integers(1, 4))
    }


def mutated(content: Any, rng: np.random.Generator) -> Any:
    """The same with one place changed: replaced by something odd, removed, doubled, or renamed."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    parent, key = places[rng.integers(len(places))]
    match rng.integers(4):
        case 0:
            parent[key] = ODD[rng.integers(len(ODD))]
        case 1:
            del parent[key]
        case 2 if isinstance(parent, list):
            parent.insert(key, parent[key])
        case _ if isinstance(parent, dict):
            parent[f"{key}x" if rng.integers(2) else ""] = parent.pop(key)
        case _:
            parent[key] = str(parent)[:9]
    return content


def scrambled(text: bytes, rng: np.random.Generator) -> bytes:
    """The bytes cut off, or a few of them changed."""
    if rng.integers(2):
        return text[: rng.integers(len(text))]
    changed = bytearray(text)
    for at in rng.integers(0, len(changed), rng.integers(1, 4)):
        changed[at] = rng.integers(256)
    return bytes(changed)


def mutations(folder: Path, number: int, model: Path, seed: int = 0) -> str:
    """Read that many changed files by the command line. AssertionError where one is met by anything else."""
    rng = np.random.default_rng(seed)
    statuses = {0: 0, 2: 0}
    for _ in range(number):
        content = a_file(rng)
        for _ in range(rng.integers(1, 4)):
            content = mutated(content, rng) if content else content
        text = json.dumps(content).encode()
        path = folder / "challenges.json"
        path.write_bytes(scrambled(text, rng) if rng.integers(3) == 0 else text)
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            # It reads the tasks as a run does, and solves none.
            status = main(["bench", "plan", "--challenges", str(path), "--model", str(model)])
        said = told.getvalue().strip().splitlines()
        # A file of another shape is told with the lines that convert it.
        sentence = len(said) == 1 or (1 < len(said) <= 3 and "to convert it" in said[0])
        assert (status == 0 and not said) or (status == 2 and sentence), (status, said, path.read_bytes())
        statuses[status] += 1
    return f"{number} changed files: {statuses[0]} accepted, {statuses[2]} refused with a sentence each"


def _places(content: Any) -> Any:
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    for key in keys:
        yield content, key
        yield from _places(content[key])
