"""Random programs as families: what is kept is a rule that can be learned, and each is there once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from submission.arc.tasks import Pair, grid, grid_key
from submission.programs.grid_language import shapes
from submission.rng import generator
from submission.training import generators
from submission.training.corpus import Sources, load
from submission.training.random_programs import (
    FEWEST,
    MOST_OF_ONE,
    PAIRS,
    is_a_rule,
    random_families,
    random_walk,
    signature,
)
from submission.training.rearc import pair_length

LONGEST = 200

SOURCES = {f"{name}:0": generators.family(name, 30, generator(0, "test", name)) for name in list(generators.RULES)[::6]}


@pytest.fixture(scope="module")
def families() -> Mapping[str, Sequence[Pair]]:
    return random_families(SOURCES, 60, LONGEST)


def test_families_are_as_many_as_asked_for_and_the_same_each_time(families: Mapping[str, Sequence[Pair]]) -> None:
    again = random_families(SOURCES, 60, LONGEST)
    assert [*families] == [f"program:{k}" for k in range(60)]
    assert {name: [*map(keys, pairs)] for name, pairs in families.items()} == {
        name: [*map(keys, pairs)] for name, pairs in again.items()
    }
    other = random_families(SOURCES, 60, LONGEST, seed=1)
    assert [*map(keys, families["program:0"])] != [*map(keys, other["program:0"])]


def keys(pair: Pair) -> tuple[bytes, bytes]:
    return grid_key(pair.input), grid_key(pair.output)


def test_each_family_is_a_rule_on_known_inputs(families: Mapping[str, Sequence[Pair]]) -> None:
    inputs = {grid_key(pair.input) for pairs in SOURCES.values() for pair in pairs}
    for pairs in families.values():
        assert FEWEST <= len(pairs) <= PAIRS and is_a_rule(pairs)
        for pair in pairs:
            assert grid_key(pair.input) in inputs and grid_key(pair.output) != grid_key(pair.input)
            assert pair_length(pair) <= LONGEST and max(pair.output.shape) <= 30
            assert pair.output.dtype == np.uint8 and not pair.output.flags.writeable


def test_no_two_families_are_the_same_and_none_is_its_source(families: Mapping[str, Sequence[Pair]]) -> None:
    known = [frozenset(map(keys, pairs)) for pairs in families.values()]
    assert len(set(known)) == len(known)
    sources = [frozenset(map(keys, pairs)) for pairs in SOURCES.values()]
    assert not any(each <= source for each in known for source in sources)


def test_a_source_that_mirrors_its_input_gives_no_family_that_does() -> None:
    rng = np.random.default_rng(0)
    inputs = [grid(rng.integers(0, 4, (4, 5))) for _ in range(PAIRS)]
    mirrored = tuple(Pair(each, grid(shapes.mirror_rows(each))) for each in inputs)
    unknown = tuple(Pair(each, grid([[k % 10]])) for k, each in enumerate(inputs))
    wanted = frozenset(map(keys, mirrored))

    def found(source: tuple[Pair, ...]) -> bool:
        families = random_families({"source": source}, 150, 200)
        return any(frozenset(map(keys, pairs)) == wanted for pairs in families.values())

    assert found(unknown) and not found(mirrored)


def test_one_program_makes_only_a_few_families() -> None:
    rng = np.random.default_rng(1)
    many = {
        str(k): tuple(Pair(grid(rng.integers(0, 4, (4, 5))), grid([[1]])) for _ in range(FEWEST)) for k in range(40)
    }
    mirrored = 0
    for pairs in random_families(many, 400, 200).values():
        mirrored += all(np.array_equal(pair.output, shapes.mirror_rows(pair.input)) for pair in pairs)
    assert 1 < mirrored <= MOST_OF_ONE


def test_a_walk_says_what_its_operations_make_of_the_inputs() -> None:
    inputs = [pair.input for pair in next(iter(SOURCES.values()))]
    rng = np.random.default_rng(3)
    walks = [walk for _ in range(200) if (walk := random_walk(inputs, rng)) is not None]
    assert len(walks) > 20 and len({signature(walk.operations) for walk in walks}) > 15
    for walk in walks:
        for shown, given in zip(walk.inputs, walk.outputs, strict=True):
            value = shown
            for operation in walk.operations:
                value = operation.function(value, *operation.constants)  # type: ignore[assignment]
            assert np.array_equal(value, given)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([[[k % 10, 1]] for k in range(FEWEST)], True),
        ([[[k % 10, 1]] for k in range(FEWEST - 1)], False),
        ([[[1, 2]]] * FEWEST, False),
        ([[[k % 10]] for k in range(FEWEST)], False),
    ],
    ids=["varied", "too few", "always the same", "of one colour"],
)
def test_what_is_trivial_is_no_rule(outputs: list[list[list[int]]], expected: bool) -> None:
    pairs = [Pair(grid([[k % 10, k // 10, 3]]), grid(output)) for k, output in enumerate(outputs)]
    assert is_a_rule(pairs) == expected


def test_a_corpus_takes_inputs_of_what_is_trained_on_alone() -> None:
    without = load(Sources(generated=24), LONGEST)
    corpus = load(Sources(generated=24, programs=40), LONGEST)
    new = [family for family in corpus.train if family.name.startswith("program:")]
    assert 30 < len(new) <= 40 and {family.weight for family in new} == {0.25}
    assert [family.name for family in corpus.train[: len(without.train)]] == [each.name for each in without.train]
    assert [family.name for family in corpus.held_out] == [each.name for each in without.held_out]
    assert corpus.checked == without.checked + 40
    trained = {grid_key(pair.input) for family in without.train for pair in family.pairs}
    assert all(grid_key(pair.input) in trained for family in new for pair in family.pairs)
    hidden = {grid_key(pair.input) for family in without.held_out for pair in family.pairs} - trained
    assert hidden and not any(grid_key(pair.input) in hidden for family in new for pair in family.pairs)
