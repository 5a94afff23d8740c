"""Families made by random programs of the grid language, run on the inputs of other families.

A program is a chain of operations from grid to grid, drawn at random. A family is kept where its rule can be learned
from its pairs and is not trivial: each output differs from its input, each operation changes something, the outputs
vary with the inputs, and most of them have more than one colour. The same pairs are not taken twice, nor those of the
source.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, grid, grid_key
from submission.programs.grid_language.values import NotApplicable, Value, value_key
from submission.programs.grid_language.vocabulary import Kind, Operation, operations
from submission.rng import generator
from submission.training.rearc import pair_length

logger = logging.getLogger(__name__)

PAIRS = 24
"""Pairs of a family, at most: as many inputs are tried."""

FEWEST = 12
"""Pairs of a family, at least: inputs to which an operation does not apply are left out."""

STEPS = (0.25, 0.45, 0.3)
"""Shares of the programs with one, two and three operations that give a grid; those that give parts are not counted."""

MOST_OPERATIONS = 5
"""Operations of a program, those from and to lists of parts included."""

MOST_OF_ONE = 6
"""Families of one program, on the inputs of different families."""

VARIED = 0.5
"""Share of a family's outputs that are different ones, at least."""

COLOURED = 0.7
"""Share of a family's outputs that have more than one colour, at least."""

TRIES = 60
"""Programs that are drawn for each family that is wanted, at most."""

Behaviour = frozenset[tuple[bytes, bytes]]
"""The pairs of a family, as keys of input and output."""


@dataclass(frozen=True)
class Walk:
    """A program and what it makes of some inputs."""

    operations: tuple[Operation, ...]
    inputs: tuple[Grid, ...]
    outputs: tuple[Grid, ...]
    """One for each input."""


def random_families(
    sources: Mapping[str, Sequence[Pair]], number: int, longest_pair: int, seed: int = 0
) -> dict[str, tuple[Pair, ...]]:
    """`number` families by name; fewer where TRIES draws for each find no more.

    `sources` are families whose inputs are used: their first PAIRS pairs. Pairs are of at most `longest_pair` tokens.
    """
    rng = generator(seed, "random programs")
    names = [name for name, pairs in sources.items() if len(pairs) >= FEWEST]
    firsts: dict[str, list[Pair]] = {}
    known: set[tuple[str, Behaviour]] = set()
    of_program: Counter[tuple[object, ...]] = Counter()
    found: dict[str, tuple[Pair, ...]] = {}
    for _ in range(TRIES * number if names else 0):
        if len(found) == number:
            break
        name = names[rng.integers(len(names))]
        if name not in firsts:
            firsts[name] = list(sources[name][:PAIRS])
        walk = random_walk([pair.input for pair in firsts[name]], rng)
        if walk is None:
            continue
        pairs = _pairs(walk, longest_pair)
        behaviour, program = _behaviour(pairs), signature(walk.operations)
        new = (name, behaviour) not in known and not behaviour <= _behaviour(firsts[name])
        if new and of_program[program] < MOST_OF_ONE and is_a_rule(pairs):
            known.add((name, behaviour))
            of_program[program] += 1
            found[family_name(len(found))] = pairs
    if len(found) < number:
        logger.warning("random programs: %d families were found where %d were asked for", len(found), number)
    return found


def family_name(number: int) -> str:
    """program:0, program:1, ..."""
    return f"program:{number}"


def random_walk(inputs: Sequence[Grid], rng: np.random.Generator) -> Walk | None:
    """A random program and its outputs for the inputs that all its operations apply to.

    None where these are fewer than FEWEST, where an operation changes nothing, and where no grid is reached.
    """
    vocabulary = _vocabulary(inputs)
    grids_wanted = 1 + int(rng.choice(len(STEPS), p=STEPS))
    kept, values = list(inputs), list[Value](inputs)
    kind: Kind = "grid"
    chosen: list[Operation] = []
    while grids_wanted and len(chosen) < MOST_OPERATIONS:
        operation = _drawn([each for each in vocabulary if each.takes == kind], rng)
        applied = [_applied(operation, value) for value in values]
        stays = [k for k, result in enumerate(applied) if result is not None]
        results = [result for result in applied if result is not None]
        if len(stays) < FEWEST or all(
            value_key(values[k]) == value_key(r) for k, r in zip(stays, results, strict=True)
        ):
            return None
        kept, values, kind = [kept[k] for k in stays], results, operation.gives
        chosen.append(operation)
        grids_wanted -= kind == "grid"
    if kind != "grid":
        return None
    return Walk(tuple(chosen), tuple(kept), tuple(grid(each) for each in values if isinstance(each, np.ndarray)))


def is_a_rule(pairs: Sequence[Pair]) -> bool:
    """Whether these are enough pairs, and enough of their outputs differ and have more than one colour."""
    if len(pairs) < FEWEST:
        return False
    different = len({grid_key(pair.output) for pair in pairs}) / len(pairs)
    coloured = sum(len(np.unique(pair.output)) > 1 for pair in pairs) / len(pairs)
    return different >= VARIED and coloured >= COLOURED


def signature(program: Sequence[Operation]) -> tuple[object, ...]:
    """What tells a program from another one, whatever it is run on."""
    return tuple((each.function.__qualname__, *map(_name, each.constants)) for each in program)


def _name(constant: object) -> object:
    return constant.__qualname__ if isinstance(constant, FunctionType) else constant


def _vocabulary(inputs: Sequence[Grid]) -> list[Operation]:
    """The operations for inputs with these colours, without those on a canvas, whose size would have to be learned."""
    used = sorted({int(colour) for cells in inputs for colour in np.unique(cells)} - {0})
    return [each for each in operations(tuple(used)) if not each.on_canvas]


def _drawn(choices: Sequence[Operation], rng: np.random.Generator) -> Operation:
    """One operation: first a function, all alike, then its constants."""
    by_function: dict[str, list[Operation]] = {}
    for each in choices:
        by_function.setdefault(each.function.__qualname__, []).append(each)
    of_one = list(by_function.values())[rng.integers(len(by_function))]
    return of_one[rng.integers(len(of_one))]


def _applied(operation: Operation, value: Value) -> Value | None:
    """The result; None where the operation does not apply, or gives what no grid may be."""
    try:
        result = operation.function(value, *operation.constants)
    except NotApplicable:
        return None
    return None if isinstance(result, np.ndarray) and max(result.shape) > LARGEST_SIDE else result


def _pairs(walk: Walk, longest_pair: int) -> tuple[Pair, ...]:
    """The pairs that are short enough and whose output is not the input."""
    made = (Pair(shown, given) for shown, given in zip(walk.inputs, walk.outputs, strict=True))
    return tuple(
        pair for pair in made if pair_length(pair) <= longest_pair and grid_key(pair.input) != grid_key(pair.output)
    )


def _key(pair: Pair) -> tuple[bytes, bytes]:
    return grid_key(pair.input), grid_key(pair.output)


def _behaviour(pairs: Sequence[Pair]) -> Behaviour:
    return frozenset(map(_key, pairs))
