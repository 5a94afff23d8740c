"""Files of tasks, solutions and submissions as an attacker or an unlucky user makes them.

Each attack knows what the files mean to a person: a set of tasks with their solutions, or nothing at all. Files that
are read otherwise are read wrong, however quietly.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from submission.arc.tasks import Grid
from submission.cli.arguments import parser
from submission.cli.inputs import tasks_chosen
from submission.errors import BadInput
from submission.results import journal, submission_file
from tests.attacks.verdicts import Attack, Verdict, command

Rows = list[list[int]]
Challenges = dict[str, Any]
Solutions = dict[str, Any]


class Meaning(NamedTuple):
    """What files mean to a person."""

    challenges: Challenges
    solutions: Solutions | None


class Files(NamedTuple):
    """Files that were made for one attack."""

    challenges: Path
    solutions: Path | None
    meaning: Meaning | None
    """None: they must be refused."""
    may_refuse: bool = False
    """Whether they may be refused as well."""


def rows(rng: np.random.Generator, height: int = 0, width: int = 0) -> Rows:
    """A random grid."""
    h, w = (int(side or rng.integers(1, 5)) for side in (height, width))
    made: Rows = rng.integers(0, 10, (h, w)).tolist()
    return made


def base(rng: np.random.Generator) -> Meaning:
    """Two or three small tasks with their solutions, in Kaggle's format."""
    challenges, solutions = {}, {}
    for name in [f"{rng.integers(1 << 32):08x}" for _ in range(rng.integers(2, 4))]:
        tests = int(rng.integers(1, 3))
        challenges[name] = {
            "train": [{"input": rows(rng), "output": rows(rng)} for _ in range(rng.integers(1, 4))],
            "test": [{"input": rows(rng)} for _ in range(tests)],
        }
        solutions[name] = [rows(rng) for _ in range(tests)]
    return Meaning(challenges, solutions)


def inside(meaning: Meaning) -> Challenges:
    """The tasks with their outputs inside, as the original repositories have them."""
    made = copy.deepcopy(meaning.challenges)
    for name, each in made.items():
        for test, output in zip(each["test"], (meaning.solutions or {})[name], strict=True):
            test["output"] = output
    return made


def put(path: Path, content: Any) -> Path:
    """A file with these bytes, this text, or this JSON; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8", "surrogatepass")
    return path


PARTS = {"train": ("input", "output"), "test": ("input",)}
"""The parts of a task, and the grids of a pair in each."""

# -- judging ------------------------------------------------------------------------------------------


def judged(files: Files, folder: Path) -> Verdict:
    """Hand the files to the command line, and hold what it reads against what they mean."""
    named = ["--challenges", str(files.challenges)]
    named += ["--solutions", str(files.solutions)] if files.solutions is not None else []
    options = parser().parse_args(["run", *named])
    try:
        read = tasks_chosen(options)
    except BadInput:
        read = None
    if read is None:
        assert files.meaning is None or files.may_refuse, f"refused: {_said(named, folder)}"
        told = command("score", put(folder / "blank.json", {}), *named).require_clean()
        assert told.status == 2, "score takes what run refuses"
        return "refused"
    assert files.meaning is not None, f"accepted: {_shown(read.tasks)}"
    found = {
        name: {
            "train": [{"input": _rows(each.input), "output": _rows(each.output)} for each in task.demonstrations],
            "test": [{"input": _rows(each)} for each in task.tests],
        }
        for name, task in read.tasks.items()
    }
    wanted = {
        name: {part: [{side: pair[side] for side in sides} for pair in each[part]] for part, sides in PARTS.items()}
        for name, each in files.meaning.challenges.items()
    }
    assert found == wanted, f"read as {json.dumps(found)[:500]}, and not as {json.dumps(wanted)[:500]}"
    truths = None if read.solutions is None else {n: [_rows(each) for each in read.solutions[n]] for n in read.tasks}
    meant = files.meaning.solutions
    assert truths == (None if meant is None else {name: meant[name] for name in found}), f"solutions {truths}"
    _require_round_trip(read.tasks, truths, named, folder)
    return "accepted"


def _rows(cells: Grid) -> Rows:
    made: Rows = cells.tolist()
    return made


def _require_round_trip(tasks: Any, truths: Solutions | None, named: list[str], folder: Path) -> None:
    """Whatever is accepted can be submitted, scored and kept: a submission of the truth is right everywhere."""
    paths = [journal.record_path(folder, name) for name in tasks]
    assert len({str(path) for path in paths}) == len(paths)
    assert all(len(path.name.encode()) < 240 and path.parent == folder for path in paths)
    answers = truths or {name: [[[0]]] * len(task.tests) for name, task in tasks.items()}
    whole = {name: [{"attempt_1": [[0]], "attempt_2": each} for each in grids] for name, grids in answers.items()}
    submission_file.write(folder / "answers.json", whole, tasks)
    assert submission_file.check(submission_file.read(folder / "answers.json"), tasks) == []
    if truths is not None:
        told = command("score", folder / "answers.json", *named).require_clean()
        assert f"solved {len(tasks)} of {len(tasks)} tasks" in told.out, told.out + told.err


def _said(named: list[str], folder: Path) -> str:
    return command("score", put(folder / "blank.json", {}), *named).err


def _shown(tasks: Any) -> str:
    return str({name: [each.tolist() for each in task.tests] for name, task in tasks.items()})[:300]


# -- cells and grids that JSON can hold, and a grid cannot -----------------------------------------

CELLS: dict[str, int | None] = {
    "1.0": None,
    "1e0": None,
    "10E-1": None,
    "true": None,
    "null": None,
    '"1"': None,
    '""': None,
    "10": None,
    "-1": None,
    "-0": 0,
    "-0.0": None,
    "0e5": None,
    "NaN": None,
    "Infinity": None,
    "-Infinity": None,
    "1e400": None,
    "1" + "0" * 30: None,
    "9" * 5000: None,
    "1e-400": None,
    "[1]": None,
    "[]": None,
    "{}": None,
    '{"value": 1}': None,
    "01": None,
    "+1": None,
    "1.": None,
    ".5": None,
    "0x1": None,
    "1_0": None,
    "\uff11": None,
    "\u0661": None,
    "1 /* one */": None,
    "1 // one\n": None,
    "'1'": None,
    "None": None,
    "True": None,
    "1L": None,
    "1;": None,
    " 3 ": 3,
    "\t3\r\n": 3,
    "256": None,
    "4294967297": None,
    "18446744073709551617": None,
    "1 2": None,
    "1,": None,
}
"""How a cell may be written -> the colour that it means; None for none."""

GRIDS: dict[str, bool] = {
    "[]": False,
    "[[]]": False,
    "[[1, 2], [3]]": False,
    "[[1], []]": False,
    '["12", "34"]': False,
    "null": False,
    '[{"0": 1}]': False,
    '"[[1]]"': False,
    "[[[1]]]": False,
    "[[[[[1]]]]]": False,
    "[1, 2]": False,
    "{}": False,
    '{"rows": [[1]]}': False,
    "[[1], null]": False,
    "[[1], [[1]]]": False,
    "[[1.0]]": False,
    "[[1], [true]]": False,
    "[[0], [1]], [[2]]": False,
    '{"0": [1]}': False,
    "[[1], 1]": False,
    "1": False,
    "false": False,
    "[[null, null]]": False,
    '[[1, "2"]]': False,
    str([[1]] * 31): False,
    str([[1] * 31]): False,
    str([[1] * 31] * 30): False,
    str([[1] * 30] * 30): True,
    str([[0]] * 30): True,
    "[ [\t9 ]\r\n, [0] ]": True,
    str([[1] * 30] * 29 + [[1] * 29]): False,
    str([[1] * 100_000]): False,
    "[" + "[1]," * 30 + "[1],[]]": False,
}
"""How a grid may be written -> whether it is one."""

SIDES = ("train input", "train output", "test input", "output inside", "solution")
MARK = "\x01"
"""Stands in a content for raw text, which JSON could not write."""


def cell_attack(side: str, raw: str, value: int | None) -> Callable[[np.random.Generator, Path], Files]:
    """One cell written in another way."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        wanted = copy.deepcopy(meaning)
        for each, mark in ((meaning, MARK), (wanted, value)):
            grid = _grid_at(each, side)
            grid[-1][-1] = mark  # type: ignore[call-overload]
        return _written(folder, meaning, raw, side, None if value is None else wanted)

    return make


def grid_attack(side: str, raw: str, legal: bool) -> Callable[[np.random.Generator, Path], Files]:
    """One grid written in another way."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        wanted = copy.deepcopy(meaning)
        _replace_at(meaning, side, MARK)
        if side == "output inside" and raw in ("[]", "null"):
            return _written(folder, meaning, raw, side, Meaning(wanted.challenges, None))  # the output is not known
        if legal:
            _replace_at(wanted, side, json.loads(raw))
        return _written(folder, meaning, raw, side, wanted if legal else None)

    return make


def _written(folder: Path, meaning: Meaning, raw: str, side: str, wanted: Meaning | None) -> Files:
    """Files with raw text in the place of the mark: the tasks with outputs inside, or the pair of Kaggle."""
    within = side == "output inside"
    texts = [json.dumps(each) for each in (inside(meaning) if within else meaning.challenges, meaning.solutions)]
    challenges, solutions = (each.replace(json.dumps(MARK), raw) for each in texts)
    if within:
        return Files(put(folder / "challenges.json", challenges), None, wanted)
    return Files(put(folder / "challenges.json", challenges), put(folder / "solutions.json", solutions), wanted)


def _grid_at(meaning: Meaning, side: str) -> Any:
    name = sorted(meaning.challenges)[-1]
    assert meaning.solutions is not None
    if side in ("solution", "output inside"):
        return meaning.solutions[name][0]
    part, key = side.split()
    return meaning.challenges[name][part][0][key]


def _replace_at(meaning: Meaning, side: str, value: Any) -> None:
    name = sorted(meaning.challenges)[-1]
    assert meaning.solutions is not None
    if side in ("solution", "output inside"):
        meaning.solutions[name][0] = value
    else:
        part, key = side.split()
        meaning.challenges[name][part][0][key] = value


def values() -> Iterator[tuple[str, Callable[[np.random.Generator, Path], Files]]]:
    """All cells and all grids at all sides."""
    for side in SIDES:
        for raw, value in CELLS.items():
            yield f"cell {raw[:20]!r} as {side}", cell_attack(side, raw, value)
        for raw, legal in GRIDS.items():
            yield f"grid {raw[:20]!r} as {side}", grid_attack(side, raw, legal)


def attack_of(name: str, make: Callable[[np.random.Generator, Path], Files], seed: int) -> Attack:
    """The attack that makes these files and judges how they are read."""

    def act(folder: Path) -> Verdict:
        return judged(make(np.random.default_rng(seed), folder), folder)

    return Attack(f"{name}, seed {seed}", act)
