"""The corpus of a training: families of pairs that share one rule.

Sources: RE-ARC (1000 generated pairs for each ARC-AGI-1 training task), the public training tasks, packs of further
families, the rules of `generators`, and random programs on the inputs of all these. A family that has the id, the rule
or a pair of an evaluation set is left out (`leakage.Guard`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from submission.arc.task_files import read_solutions, read_tasks, require_agreement
from submission.arc.tasks import (
    PUBLIC_SETS,
    Grid,
    Pair,
    Solutions,
    Task,
    Tasks,
    public_set,
)
from submission.errors import BadInput
from submission.rng import generator
from submission.training import generators
from submission.training.leakage import Guard, Leak, LeakageFilter, fingerprint, task_of
from submission.training.random_programs import family_name, random_families
from submission.training.rearc import WRONG_GENERATORS, pair_length, read_rearc

logger = logging.getLogger(__name__)

TRAINING_SETS = ("arc1-train", "arc2-train")
EVALUATION_SETS = ("arc1-eval", "arc2-eval")
HELD_OUT_SHARE = 12
"""One task id in HELD_OUT_SHARE is held out of training, with its RE-ARC family, to choose settings by."""

INSTANCES = 6
"""Draws of the hidden parameters of each rule of `generators`: each draw is a family of its own."""

DIGITS_OF_ID = 8
"""Letters of the id of a public task, some of which are digits alone."""

MIN_PAIRS = 3
"""Pairs that a family needs: two demonstrations and a query."""


@dataclass(frozen=True, eq=False)
class Family:
    """Pairs that share one rule; it is drawn with probability `weight` over the sum of all weights."""

    name: str
    pairs: Sequence[Pair]
    weight: float


@dataclass(frozen=True)
class Sources:
    """Where the families come from, and the evaluation sets that they must not share a pair with."""

    sets: tuple[str, ...] = TRAINING_SETS
    """Training tasks: public sets, or CHALLENGES[:SOLUTIONS]. Tasks that repeat an earlier set are left out."""
    rearc: Path | None = None
    """RE-ARC: re_arc.zip as it is published, or an .npz, see `rearc`."""
    generated: int = 0
    """Pairs of each family made by the rules of `generators`; 0 for none."""
    against: tuple[str, ...] = EVALUATION_SETS
    """Evaluation sets, named as `sets` are, that are guarded beside EVALUATION_SETS, which always are."""
    families: tuple[Path, ...] = ()
    """Packs of further families, as the .npz of `rearc`; their names are `arcgen:ID`, `tgi:NAME:N`, or any other."""
    programs: int = 0
    """Families made by random programs on the inputs of the others, see `random_programs`; 0 for none."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """The families to train on, and those held out."""

    train: tuple[Family, ...]
    held_out: tuple[Family, ...]
    leaks: Mapping[str, Leak]
    """Families left out as evaluation data -> why."""
    checked: int
    """Families that were compared with the evaluation sets."""


def load(sources: Sources, longest_pair: int) -> Corpus:
    """All families of the sources that share no pair with an evaluation set, named by their task's id.

    Pairs of more than `longest_pair` tokens are left out, then families of fewer than MIN_PAIRS pairs. BadInput for a
    source that cannot be read.
    """
    clean = clean_sets(sources.sets, sources.against)
    rearc = read_rearc(sources.rearc, longest_pair) if sources.rearc else {}
    generated = _generated(sources.generated)
    taken = {*rearc, *generated, *(name for tasks_and_answers in clean.sets for name in tasks_and_answers[0])}
    taken |= {family_name(k) for k in range(sources.programs)}
    further = read_packs(sources.families, longest_pair, taken)
    leaking = {**clean.leaking, **guard(sources.against).leaks({**rearc, **further, **generated})}
    # With RE-ARC an ARC-AGI-1 task is there twice; its own pairs are few, so they are drawn less often.
    tasks = [
        Family(name, tuple(pairs), 0.35 if set_name == "arc1-train" and rearc else 1.0)
        for set_name, tasks_and_solutions in zip(sources.sets, clean.sets, strict=True)
        for name, pairs in known_pairs(*tasks_and_solutions).items()
    ]
    tasks += [Family(name, pairs, 1.0) for name, pairs in rearc.items() if name not in {*leaking, *WRONG_GENERATORS}]
    draws = Counter(_rule_of(name) for name in further)
    # Many draws of one rule count together as one family.
    tasks += [Family(name, pairs, 1 / draws[_rule_of(name)]) for name, pairs in further.items() if name not in leaking]
    rules = [Family(name, pairs, 0.5) for name, pairs in generated.items() if name not in leaking]
    tasks, rules = _usable(tasks, longest_pair), _usable(rules, longest_pair)
    train = [*(family for family in tasks if not held_out(family.name)), *rules]
    drawn = random_families({family.name: family.pairs for family in train}, sources.programs, longest_pair)
    leaking |= guard(sources.against).leaks(drawn)
    train += [Family(name, pairs, 0.25) for name, pairs in drawn.items() if name not in leaking]
    return Corpus(
        train=tuple(train),
        held_out=tuple(family for family in tasks if held_out(family.name)),
        leaks=leaking,
        checked=clean.checked + len(rearc) + len(further) + len(generated) + len(drawn),
    )


def read_packs(packs: Sequence[Path], longest_pair: int, taken: Collection[str] = ()) -> dict[str, Sequence[Pair]]:
    """The families of all packs by name, with their pairs of at most `longest_pair` tokens.

    BadInput for a pack that cannot be read, and for a name that is `taken`, or that two packs have: one family would
    replace another.
    """
    found: dict[str, Sequence[Pair]] = {}
    for pack in packs:
        families = read_rearc(pack, longest_pair)
        if twice := next((name for name in families if name in found or name in taken), None):
            raise BadInput(f"{pack}: has a family {twice}, and so has another source: name it arcgen:{twice}, say")
        found |= families
    return found


def _rule_of(family: str) -> str:
    """What the draws of one generator have in common: the name without its last part, where that is a number."""
    name, _, draw = family.rpartition(":")
    return name if draw.isdigit() and len(draw) < DIGITS_OF_ID and ":" in name else family


def _usable(families: Sequence[Family], longest_pair: int) -> list[Family]:
    """The families with their pairs of at most `longest_pair` tokens, where these are at least MIN_PAIRS."""
    short = [
        replace(family, pairs=tuple(pair for pair in family.pairs if pair_length(pair) <= longest_pair))
        for family in families
    ]
    return [family for family in short if len(family.pairs) >= MIN_PAIRS]


@dataclass(frozen=True)
class CleanSets:
    """Training tasks that share no pair with an evaluation set: (tasks, solutions) of each set that was named."""

    sets: tuple[tuple[Tasks, Solutions], ...]
    leaking: Mapping[str, Leak]
    """The tasks that were left out as evaluation data -> why."""
    checked: int
    """Tasks of all sets together."""


@cache
def clean_sets(sets: tuple[str, ...] = TRAINING_SETS, against: tuple[str, ...] = EVALUATION_SETS) -> CleanSets:
    """The sets without evaluation data, and without tasks that share an id or a pair with an earlier set."""
    guarded = guard(against)
    earlier_ids: set[str] = set()
    earlier_pairs: set[bytes] = set()
    leaking: dict[str, Leak] = {}
    clean: list[tuple[Tasks, Solutions]] = []
    checked = 0
    for set_name in sets:
        tasks, solutions = read_set(set_name)
        pairs = known_pairs(tasks, solutions)
        prints = {name: {fingerprint(pair) for pair in of_task} for name, of_task in pairs.items()}
        leaking |= guarded.leaks(pairs)
        new = {
            name: task
            for name, task in tasks.items()
            if name not in leaking and name not in earlier_ids and not prints[name] & earlier_pairs
        }
        clean.append((new, {name: solutions[name] for name in new if name in solutions}))
        earlier_ids.update(tasks)
        earlier_pairs.update(*prints.values())
        checked += len(tasks)
    return CleanSets(tuple(clean), leaking, checked)


@cache
def guard(against: tuple[str, ...] = ()) -> Guard:
    """The guard against these sets and against the public evaluation sets, which nothing may be trained on."""
    names = [*dict.fromkeys((*EVALUATION_SETS, *against))]
    return Guard(
        LeakageFilter.joined(_filter_of(name) for name in names),
        frozenset(task for name in names for task in _pairs_of(name)),
        frozenset().union(*(_rules_of(name) for name in names)),
    )


@cache
def _pairs_of(set_name: str) -> Mapping[str, list[Pair]]:
    """All known pairs of each task of a set."""
    return known_pairs(*read_set(set_name))


@cache
def _filter_of(set_name: str) -> LeakageFilter:
    """A filter for every pair of a set."""
    return LeakageFilter(pair for pairs in _pairs_of(set_name).values() for pair in pairs)


@cache
def _rules_of(set_name: str) -> frozenset[str]:
    """The ids of the public training tasks that share a pair with a set."""
    forbidden = _filter_of(set_name)
    training = [_pairs_of(name) for name in TRAINING_SETS]
    return frozenset(name for each in training for name, pairs in each.items() if forbidden.shares_pair(pairs))


def read_set(name: str) -> tuple[Tasks, Solutions]:
    """A public set by its name, or a file or folder of tasks, with its solutions file after a colon if there is one.

    Of a task of which some outputs are known, the tests are those. The log says what was read.
    """
    if name in PUBLIC_SETS:
        return public_set(name)
    challenges, answers = set_paths(name)
    found = read_tasks(challenges)
    found.require_good([*found.tasks, *found.bad], "mend these tasks or take them out")
    logger.info("%s%s", found.line(), f", and those of {answers.name}" if answers else "")
    if answers is not None:
        solutions = read_solutions(answers, found.tasks)
        require_agreement(found, solutions, answers)
        return found.tasks, solutions
    tasks, solutions = dict(found.tasks), {}
    for task_id, outputs in found.outputs.items():
        known = [k for k, output in enumerate(outputs) if output is not None]
        tasks[task_id] = replace(tasks[task_id], tests=tuple(tasks[task_id].tests[k] for k in known))
        solutions[task_id] = tuple(output for output in outputs if output is not None)
    return tasks, solutions


def set_paths(name: str) -> tuple[Path, Path | None]:
    """The paths in CHALLENGES[:SOLUTIONS]; a colon in the name of a file or folder that exists is part of it."""
    challenges, colon, answers = name.rpartition(":")
    if not colon or os.path.exists(name):
        return Path(name), None
    return Path(challenges), Path(answers) if answers else None


def held_out_tasks() -> tuple[dict[str, Task], dict[str, tuple[Grid, ...]]]:
    """The tasks of the public training sets that are held out, with their solutions: to choose settings by."""
    sets = clean_sets().sets
    tasks = {name: task for each, _ in sets for name, task in each.items() if held_out(name)}
    return tasks, {name: answers for _, each in sets for name, answers in each.items() if name in tasks}


def held_out(name: str) -> bool:
    """Whether a family is held out of training: by the name of its task alone, so the same in all sources."""
    return int.from_bytes(hashlib.sha256(task_of(name).encode()).digest()[:8], "big") % HELD_OUT_SHARE == 0


def known_pairs(tasks: Tasks, solutions: Solutions) -> dict[str, list[Pair]]:
    """All known pairs of each task, test pairs included; only for training tasks and for the leakage filter."""
    return {
        name: [*task.demonstrations, *(Pair(i, o) for i, o in zip(task.tests, solutions.get(name, ()), strict=False))]
        for name, task in tasks.items()
    }


def _generated(number: int) -> dict[str, tuple[Pair, ...]]:
    """Families of `number` pairs made by the rules of `generators`, named rule:instance."""
    if not number:
        return {}
    names = [(name, k) for name in generators.RULES for k in range(INSTANCES)]
    try:
        return {f"{n}:{k}": generators.family(n, number, generator(k, "generators", n)) for n, k in names}
    except generators.Unfit as error:
        raise BadInput(f"--generated {number}: a rule has fewer pairs ({error})") from None
