"""What the embedded model is trained on: families of pairs that share a rule, and the rows made from them.

Sources: RE-ARC (1000 generated pairs for each ARC-AGI-1 training task), the public training tasks, and the rules of
`generators`. A family that shares a pair with an evaluation set, up to symmetry and recolouring, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

from submission.arc.tasks import (
    PUBLIC_SETS,
    Grid,
    Pair,
    Solutions,
    Task,
    Tasks,
    public_set,
    read_challenges,
    read_solutions,
)
from submission.errors import BadInput
from submission.rng import generator
from submission.training import generators
from submission.training.leakage import LeakageFilter, fingerprint
from submission.training.rearc import WRONG_GENERATORS, pair_length, read_rearc

TRAINING_SETS = ("arc1-train", "arc2-train")
EVALUATION_SETS = ("arc1-eval", "arc2-eval")
HELD_OUT_SHARE = 12
"""One task id in so many is held out of training, with its RE-ARC family, to choose settings by."""

INSTANCES = 6
"""Choices of hidden parameters for each rule of `generators`: each is a family of its own."""


@dataclass(frozen=True, eq=False)
class Family:
    """Pairs that follow one rule. `weight` is how often it is drawn, against the others."""

    name: str
    pairs: Sequence[Pair]
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
    rearc = read_rearc(sources.rearc, longest_pair) if sources.rearc else {}
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
    short = [replace(each, pairs=tuple(p for p in each.pairs if pair_length(p) <= longest_pair)) for each in families]
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


def _generated(number: int) -> dict[str, tuple[Pair, ...]]:
    """Families of the rules of `generators`, named rule:instance."""
    if not number:
        return {}
    names = [(name, k) for name in generators.RULES for k in range(INSTANCES)]
    try:
        return {f"{n}:{k}": generators.family(n, number, generator(k, "generators", n)) for n, k in names}
    except generators.Unfit as error:
        raise BadInput(f"so many pairs cannot be generated ({error})") from None
