"""What the embedded model is trained on: families of pairs that share a rule, and the rows made from them.

Sources: RE-ARC (1000 generated pairs for each ARC-AGI-1 training task), the public training tasks, and the rules of
`generators`. A family that shares a pair with an evaluation set, up to symmetry and recolouring, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row, row
from submission.arc.tasks import (
    PUBLIC_SETS,
    Grid,
    Pair,
    Solutions,
    Task,
    Tasks,
    grid,
    public_set,
    read_challenges,
    read_solutions,
)
from submission.arc.views import SYMMETRIES, Background, View, recolouring
from submission.errors import BadInput
from submission.rng import generator  # fmt: skip
from submission.training import generators
from submission.training.leakage import LeakageFilter, fingerprint
from submission.training.rule_augmentation import varied

TRAINING_SETS = ("arc1-train", "arc2-train")
EVALUATION_SETS = ("arc1-eval", "arc2-eval")
WRONG_GENERATORS = frozenset({"6cf79266", "7e0986d6", "97a05b5b", "a64e4611", "a8d7556c", "e5062a87"})
"""RE-ARC's generators that are known to disagree with the original task (RE-ARC issue 13)."""

HELD_OUT_SHARE = 12
"""One task id in so many is held out of training, with its RE-ARC family, to choose settings by."""

INSTANCES = 6
"""Choices of hidden parameters for each rule of `generators`: each is a family of its own."""


@dataclass(frozen=True, eq=False)
class Family:
    """Pairs that follow one rule. `weight` is how often it is drawn, against the others."""

    name: str
    pairs: tuple[Pair, ...]
    weight: float


@dataclass(frozen=True)
class Sources:
    """Where families come from, and what they are guarded against."""

    sets: tuple[str, ...] = TRAINING_SETS
    """Training tasks: public sets or CHALLENGES[:SOLUTIONS] files; what repeats an earlier set is left out."""
    rearc: Path | None = None
    """RE-ARC: its re_arc.zip, or the same packed as .npz (names, task, shapes, cells)."""
    generated: int = 0
    """Pairs of each family made by the rules of `generators`; 0 for none."""
    against: tuple[str, ...] = EVALUATION_SETS
    """Evaluation sets, named as `sets` are, of which no pair may be trained on."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Families to train on, families held out, and how many tasks were looked at and refused as leaks."""

    train: tuple[Family, ...]
    held_out: tuple[Family, ...]
    leaks: int
    looked_at: int


def load(sources: Sources, longest_pair: int) -> Corpus:
    """All families of the sources that no evaluation set knows, named by their task's id.

    Pairs of more than `longest_pair` tokens are left out, then families of fewer than 3 pairs (2 to show, 1 to ask).
    """
    clean = clean_sets(sources.sets, sources.against)
    guard = guard_against(sources.against)
    rearc = _rearc(sources.rearc, longest_pair) if sources.rearc else {}
    ours = _generated(sources.generated)
    leaking = set(clean.leaking)
    leaking |= {name for name, pairs in chain(rearc.items(), ours.items()) if guard.refuses(pairs)}
    # With RE-ARC an ARC-AGI-1 task is there twice, and its few own pairs are the lesser part of it.
    tasks = [
        Family(name, tuple(pairs), 0.35 if which == "arc1-train" and rearc else 1.0)
        for which, each in zip(sources.sets, clean.sets, strict=True)
        for name, pairs in solved(*each).items()
    ]
    tasks += [Family(n, pairs, 1.0) for n, pairs in rearc.items() if n not in leaking | WRONG_GENERATORS]
    made_up = [Family(n, pairs, 0.5) for n, pairs in ours.items() if n not in leaking]
    tasks, made_up = _usable(tasks, longest_pair), _usable(made_up, longest_pair)
    return Corpus(
        train=(*(each for each in tasks if not held_out(each.name)), *made_up),
        held_out=tuple(each for each in tasks if held_out(each.name)),
        leaks=len(leaking),
        looked_at=clean.looked_at + len(rearc) + len(ours),
    )


def _usable(families: Sequence[Family], longest_pair: int) -> list[Family]:
    """The families of which 3 pairs are short enough, with these pairs."""
    short = [replace(each, pairs=tuple(p for p in each.pairs if length(p) <= longest_pair)) for each in families]
    return [each for each in short if len(each.pairs) >= 3]


@dataclass(frozen=True)
class Clean:
    """Training tasks that may be learned from: one (tasks, solutions) for each set that was named."""

    sets: tuple[tuple[Tasks, Solutions], ...]
    leaking: frozenset[str]
    """The ids that were refused."""
    looked_at: int
    """Tasks in all sets together."""


@cache
def clean_sets(sets: tuple[str, ...] = TRAINING_SETS, against: tuple[str, ...] = EVALUATION_SETS) -> Clean:
    """The sets without the tasks that share a pair with an evaluation set, or an id or a pair with an earlier set."""
    guard = guard_against(against)
    ids: set[str] = set()
    known: set[bytes] = set()
    leaking: set[str] = set()
    kept: list[tuple[Tasks, Solutions]] = []
    looked_at = 0
    for name in sets:
        tasks, solutions = read_set(name)
        pairs = solved(tasks, solutions)
        prints = {each: {fingerprint(pair) for pair in of_task} for each, of_task in pairs.items()}
        leaking |= {each for each, of_task in pairs.items() if guard.refuses(of_task)}
        fresh = {n: t for n, t in tasks.items() if n not in leaking and n not in ids and not prints[n] & known}
        kept.append((fresh, {each: solutions[each] for each in fresh if each in solutions}))
        ids.update(tasks)
        known.update(*prints.values())
        looked_at += len(tasks)
    return Clean(tuple(kept), frozenset(leaking), looked_at)


@cache
def guard_against(sets: tuple[str, ...]) -> LeakageFilter:
    """A guard that knows every pair of these sets."""
    return LeakageFilter(pair for name in sets for pairs in solved(*read_set(name)).values() for pair in pairs)


def read_set(name: str) -> tuple[Tasks, Solutions]:
    """A public set by its name, or a challenges file, with its solutions file after a colon if there is one."""
    if name in PUBLIC_SETS:
        return public_set(name)
    challenges, _, answers = name.partition(":")
    tasks = read_challenges(Path(challenges))
    return tasks, read_solutions(Path(answers), tasks) if answers else {}


def held_out_tasks() -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """The whole tasks behind the held-out families, with their solutions: for choosing settings."""
    sets = clean_sets().sets
    tasks = {name: task for each, _ in sets for name, task in each.items() if held_out(name)}
    return tasks, {name: answers for _, each in sets for name, answers in each.items() if name in tasks}


def held_out(name: str) -> bool:
    """Whether the task of this id is kept out of training; by the id alone, so that all its sources agree."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % HELD_OUT_SHARE == 0


def solved(tasks: Tasks, solutions: Solutions) -> dict[str, list[Pair]]:
    """Every known pair of each task, the tests' with their answers; for training tasks and leak checks only."""
    return {
        name: [*task.demonstrations, *(Pair(i, o) for i, o in zip(task.tests, solutions.get(name, ()), strict=False))]
        for name, task in tasks.items()
    }


def length(pair: Pair) -> int:
    """Tokens of one pair in the embedded model's layout."""
    return int(sum(g.shape[0] * (g.shape[1] + 1) for g in (pair.input, pair.output))) + 6


def rows(
    families: Sequence[Family],
    limit: int,
    rng: np.random.Generator,
    layout: Layout = GRID16,
    first_learned: int = 1,
    new_rules: float = 0.3,
) -> Iterator[Row]:
    """Endless training rows of at most `limit` tokens: 2 to 7 pairs of one family, seen through one random view.

    A share `new_rules` of them follows a new rule besides, see `rules.varied`. Outputs count in the loss from pair
    `first_learned` on. The layout must be one of 16 ids.
    """
    weights = np.array([each.weight for each in families])
    weights /= weights.sum()
    while True:
        family = families[rng.choice(len(families), p=weights)]
        drawn = [family.pairs[k] for k in rng.permutation(len(family.pairs))[: rng.integers(3, 8)]]
        pairs = varied(drawn, rng) if rng.random() < new_rules else drawn
        chosen: list[Pair] = []
        room = limit
        for pair in _seen(pairs, rng):
            if length(pair) <= room:
                room -= length(pair)
                chosen.append(pair)
        if len(chosen) >= 2:
            yield row(layout, chosen, limit, first_learned)


def batches(source: Iterator[Row], tokens: int, rng: np.random.Generator, pool: int = 256) -> Iterator[list[Row]]:
    """Group rows of like length, so that little is padded: each batch is at most `tokens` with its padding."""
    group: list[Row] = []
    while True:
        groups = []
        drawn = sorted([*group, *islice(source, pool)], key=lambda each: len(each.ids))
        group = []
        for each in drawn:
            if group and (len(group) + 1) * (-(-len(each.ids) // 32) * 32) > tokens:
                groups.append(group)
                group = []
            group.append(each)
        yield from (groups[k] for k in rng.permutation(len(groups)))


def _seen(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    background: Background = "permute" if rng.random() < 0.2 else "keep"
    view = View(int(rng.integers(SYMMETRIES)), recolouring(rng, background), ())
    return [Pair(view.see(pair.input), view.see(pair.output)) for pair in pairs]


def _generated(number: int) -> dict[str, tuple[Pair, ...]]:
    """Families of the rules of `generators`, named rule:instance."""
    if not number:
        return {}
    names = [(name, k) for name in generators.RULES for k in range(INSTANCES)]
    try:
        return {f"{n}:{k}": generators.family(n, number, generator(k, "generators", n)) for n, k in names}
    except generators.Unfit as error:
        raise BadInput(f"so many pairs cannot be generated ({error})") from None


def _rearc(path: Path, longest_pair: int) -> Mapping[str, tuple[Pair, ...]]:
    """RE-ARC's pairs of at most `longest_pair` tokens by task id, from its own archive or from a smaller packing."""
    try:
        if path.suffix == ".zip":
            return _rearc_archive(path, longest_pair)
        packed = np.load(path)
        names, task, shapes, cells = (packed[key] for key in ("names", "task", "shapes", "cells"))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise BadInput(f"{path}: is not RE-ARC's archive, nor a packing of it ({error})") from None
    unpacked = np.empty(2 * cells.size, np.uint8)
    unpacked[0::2], unpacked[1::2] = cells >> 4, cells & 15
    shapes = shapes.astype(np.int64)
    in_size, out_size = shapes[:, 0] * shapes[:, 1], shapes[:, 2] * shapes[:, 3]
    start = np.concatenate([[0], np.cumsum(in_size + out_size)[:-1]])
    tokens = in_size + shapes[:, 0] + out_size + shapes[:, 2] + 6
    families: dict[str, list[Pair]] = {}
    for k in np.flatnonzero(tokens <= longest_pair):
        at, middle = start[k], start[k] + in_size[k]
        made = Pair(
            _cut(unpacked[at:middle], shapes[k, :2]),
            _cut(unpacked[middle : middle + out_size[k]], shapes[k, 2:]),
        )
        families.setdefault(str(names[task[k]]), []).append(made)
    return {name: tuple(pairs) for name, pairs in families.items()}


def _rearc_archive(path: Path, longest_pair: int) -> dict[str, tuple[Pair, ...]]:
    """The pairs of re_arc.zip as it is published: re_arc/tasks/ID.json, each a list of pairs."""
    families: dict[str, tuple[Pair, ...]] = {}
    with ZipFile(path) as archive:
        tasks = [name for name in archive.namelist() if name.endswith(".json") and Path(name).parent.name == "tasks"]
        if not tasks:
            raise ValueError("there is no tasks/*.json in it")
        for name in sorted(tasks):
            pairs = (Pair(grid(each["input"]), grid(each["output"])) for each in json.loads(archive.read(name)))
            families[Path(name).stem] = tuple(each for each in pairs if length(each) <= longest_pair)
    return families


def _cut(cells: Grid, shape: np.ndarray) -> Grid:
    return grid(cells.reshape(tuple(shape)))
