"""What the embedded model is trained on: families of pairs that share a rule, and the rows made from them.

Sources: RE-ARC (1000 generated pairs for each ARC-AGI-1 training task), the ARC-AGI-1 training tasks, and the
ARC-AGI-2 training tasks that share nothing with ARC-AGI-1. A family that shares a pair with a public evaluation
set, up to symmetry and recolouring, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from submission.prompts import GRID16, Row, row
from submission.tasks import BadInput, Grid, Pair, Solutions, Task, Tasks, grid, public_set
from submission.views import SYMMETRIES, Background, View, recolouring

EVALUATION_SETS = ("arc1-eval", "arc2-eval")
WRONG_GENERATORS = frozenset({"6cf79266", "7e0986d6", "97a05b5b", "a64e4611", "a8d7556c", "e5062a87"})
"""RE-ARC's generators that are known to disagree with the original task (RE-ARC issue 13)."""

HELD_OUT_SHARE = 12
"""One task id in so many is held out of training, with its RE-ARC family, to choose settings by."""


@dataclass(frozen=True, eq=False)
class Family:
    """Pairs that follow one rule. `weight` is how often it is drawn, against the others."""

    name: str
    pairs: tuple[Pair, ...]
    weight: float


@dataclass(frozen=True, eq=False)
class Corpus:
    """Families to train on, families held out, and how many were refused as leaks."""

    train: tuple[Family, ...]
    held_out: tuple[Family, ...]
    leaks: int


def load(rearc: Path | None, longest_pair: int) -> Corpus:
    """All families from the installed public sets and, if given, RE-ARC packed as .npz (names, task, shapes, cells).

    Pairs of more than `longest_pair` tokens are left out, then families of fewer than 3 pairs (2 to show, 1 to ask).
    """
    generated = _rearc(rearc, longest_pair) if rearc is not None else {}
    clean = clean_tasks()
    families = [Family(name, tuple(pairs), 0.35) for name, pairs in solved(*clean.arc1).items()]
    families += [Family(name, tuple(pairs), 1.0) for name, pairs in solved(*clean.arc2).items()]
    bad = clean.leaking | WRONG_GENERATORS
    families += [Family(name, pairs, 1.0) for name, pairs in generated.items() if name not in bad]
    short = [
        Family(each.name, tuple(pair for pair in each.pairs if length(pair) <= longest_pair), each.weight)
        for each in families
    ]
    usable = [each for each in short if len(each.pairs) >= 3]
    return Corpus(
        train=tuple(each for each in usable if not held_out(each.name)),
        held_out=tuple(each for each in usable if held_out(each.name)),
        leaks=len(clean.leaking),
    )


@dataclass(frozen=True)
class Clean:
    """The public training tasks that may be learned from, each set with its solutions."""

    arc1: tuple[Tasks, Solutions]
    """ARC-AGI-1's."""
    arc2: tuple[Tasks, Solutions]
    """Those of ARC-AGI-2 that share no pair and no id with ARC-AGI-1's."""
    leaking: frozenset[str]
    """The ids that were refused."""


@cache
def clean_tasks() -> Clean:
    """The public training tasks without those that share a pair with an evaluation set, up to `fingerprint`."""

    def prints(tasks: Tasks, solutions: Solutions) -> dict[str, set[bytes]]:
        return {name: {fingerprint(pair) for pair in pairs} for name, pairs in solved(tasks, solutions).items()}

    forbidden = set().union(*(seen for name in EVALUATION_SETS for seen in prints(*public_set(name)).values()))
    sets = {name: public_set(name) for name in ("arc1-train", "arc2-train")}
    arc1, arc2 = (prints(*each) for each in sets.values())
    leaking = {name for known in (arc2, arc1) for name, seen in known.items() if seen & forbidden}
    known = set().union(*arc1.values())
    repeated = {name for name, seen in arc2.items() if name in arc1 or seen & known}

    def without(which: str, refused: set[str]) -> tuple[Tasks, Solutions]:
        tasks, solutions = sets[which]
        kept = {name: task for name, task in tasks.items() if name not in refused}
        return kept, {name: solutions[name] for name in kept}

    return Clean(without("arc1-train", leaking), without("arc2-train", leaking | repeated), frozenset(leaking))


def held_out_tasks() -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """The whole tasks behind the held-out families, with their solutions: for choosing settings."""
    clean = clean_tasks()
    tasks = {name: task for each, _ in (clean.arc1, clean.arc2) for name, task in each.items() if held_out(name)}
    solutions = {**clean.arc1[1], **clean.arc2[1]}
    return tasks, {name: solutions[name] for name in tasks}


def held_out(name: str) -> bool:
    """Whether the task of this id is kept out of training; by the id alone, so that all its sources agree."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % HELD_OUT_SHARE == 0


def solved(tasks: Tasks, solutions: Solutions) -> dict[str, list[Pair]]:
    """Every known pair of each task, the tests' with their answers; for training tasks and leak checks only."""
    return {
        name: [*task.demonstrations, *(Pair(i, o) for i, o in zip(task.tests, solutions[name], strict=True))]
        for name, task in tasks.items()
    }


def fingerprint(pair: Pair) -> bytes:
    """The same bytes for all symmetric and recoloured forms of a pair, and for no other pair."""
    forms = []
    for symmetry in range(SYMMETRIES):
        view = View(symmetry, tuple(range(10)), ())
        seen_in, seen_out = view.see(pair.input), view.see(pair.output)
        cells = np.concatenate([seen_in.reshape(-1), seen_out.reshape(-1)])
        _, first, which = np.unique(cells, return_index=True, return_inverse=True)
        renamed = np.argsort(np.argsort(first)).astype(np.uint8)[which]
        forms.append(bytes(seen_in.shape + seen_out.shape) + renamed.tobytes())
    return min(forms)


def length(pair: Pair) -> int:
    """Tokens of one pair in the embedded model's layout."""
    return int(sum(g.shape[0] * (g.shape[1] + 1) for g in (pair.input, pair.output))) + 6


def rows(families: Sequence[Family], limit: int, rng: np.random.Generator) -> Iterator[Row]:
    """Endless training rows of at most `limit` tokens: 2 to 7 pairs of one family, seen through one random view.

    One row in five changes the rule as well: all its inputs, or all its outputs, are turned once more, which makes
    a related rule that no source contains (after the TTT paper's initial fine-tuning data, appendix B.1).
    """
    weights = np.array([each.weight for each in families])
    weights /= weights.sum()
    while True:
        family = families[rng.choice(len(families), p=weights)]
        drawn = [family.pairs[k] for k in rng.permutation(len(family.pairs))[: rng.integers(3, 8)]]
        chosen: list[Pair] = []
        room = limit
        for pair in _augmented(drawn, rng):
            if length(pair) <= room:
                room -= length(pair)
                chosen.append(pair)
        if len(chosen) >= 2:
            yield row(GRID16, chosen, limit, first_learned=1)


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


def _augmented(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    background: Background = "permute" if rng.random() < 0.2 else "keep"
    view = View(int(rng.integers(SYMMETRIES)), recolouring(rng, background), tuple(range(len(pairs))))
    seen = [Pair(view.see(pair.input), view.see(pair.output)) for pair in pairs]
    draw = rng.random()
    if draw < 0.2:
        turn = View(int(rng.integers(1, SYMMETRIES)), tuple(range(10)), ())
        if draw < 0.1:
            return [Pair(turn.see(pair.input), pair.output) for pair in seen]
        return [Pair(pair.input, turn.see(pair.output)) for pair in seen]
    return seen


def _rearc(path: Path, longest_pair: int) -> Mapping[str, tuple[Pair, ...]]:
    """RE-ARC's pairs of at most `longest_pair` tokens by task id."""
    try:
        packed = np.load(path)
        names, task, shapes, cells = (packed[key] for key in ("names", "task", "shapes", "cells"))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BadInput(f"{path}: not RE-ARC packed as .npz ({error})") from None
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


def _cut(cells: Grid, shape: np.ndarray) -> Grid:
    return grid(cells.reshape(tuple(shape)))
