"""Decision tables for cells: the smallest sets of features that determine the outcome of every cell.

A set of features determines the outcome if no two cells of the demonstrations agree in all of them and differ in the
outcome (a reduct, in the terms of rough sets). Such sets are searched as hitting sets of the discernibility matrix
(Skowron and Rauszer, 1992): each pair of cells with different outcomes must differ in a feature of the set. Only a
sample of the pairs is drawn; a set that hits the sample is checked on all cells, and where it fails it gives a new pair
for the sample. The table of a set maps its features to outcomes (Kohavi, "The Power of Decision Tables", 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from submission.deadline import Deadline

ROUNDS = 8
"""Most searches for sets, each with the pairs on which sets of the round before failed."""
CLASHES_A_ROUND = 48
"""Failed sets that start a new round."""
MOST_UNUSABLE = 400
"""The search ends after more sets than this whose tables do not cover the tests."""
FEW_FEATURES = 24
"""With at most this many features sets of any allowed size are tried; with more, sets of up to three."""
ENOUGH_SETS = 60
"""Sets of three are tried only if there are fewer smaller ones than this."""
FEATURES_IN_TRIPLES = 110
"""Features that are tried three at a time: those that tell most pairs apart."""
MOST_TRIPLES, TRIPLES_A_FEATURE = 4000, 400
"""Where the search for sets of three stops, and the most that begin with one feature and are kept."""
SAMPLED_PAIRS, DIFFERENT_PAIRS, SIMILAR_PAIRS = 6000, 200, 300
"""Pairs of cells that are drawn; of these, pairs with different outcomes that are kept, and pairs with different
outcomes but an equal first feature (mostly the cell's colour) that are kept."""
ENTRY_COST = 0.02
"""Cost of a table entry."""

Bools = NDArray[np.bool_]
FeatureSet = tuple[int, ...]
"""Indices of features, ascending."""


@dataclass(frozen=True, eq=False)
class CellExamples:
    """All cells of a task: the demonstrations' cells with features and outcomes, the tests' cells with features."""

    features: NDArray[np.uint8]
    """[features, cells of demonstrations], numbers 0..63."""
    test_features: NDArray[np.uint8]
    """[features, cells of tests]."""
    outcome: NDArray[np.uint8]
    """[cells of demonstrations], 0..15: a colour, or another code of what happens to the cell."""
    demonstration: NDArray[np.uint8]
    """[cells of demonstrations]: the number of the demonstration that a cell belongs to."""
    costs: NDArray[np.float64]
    """[features]: what each feature adds to the cost of a program."""


@dataclass(frozen=True, eq=False)
class DecisionTable:
    """A set of features that determines the outcome."""

    features: FeatureSet
    stability: float
    """Leave-one-out stability, 0..1: the share of demonstrations all of whose cells are in the table of the others."""
    entries: int
    """Entries of the table: distinct combinations of features."""
    cost: float
    """Costs of the features and of the entries."""


def distinct(examples: CellExamples) -> CellExamples:
    """Return the examples with equal cells of one demonstration merged, in sorted order."""
    rows = np.ascontiguousarray(
        np.concatenate([examples.features, examples.outcome[None], examples.demonstration[None]]).T
    )
    _, kept = np.unique(rows.view(f"V{rows.shape[1]}")[:, 0], return_index=True)
    return CellExamples(
        examples.features[:, kept],
        examples.test_features,
        examples.outcome[kept],
        examples.demonstration[kept],
        examples.costs,
    )


def decision_tables(
    examples: CellExamples, most_features: int, wanted: int, rng: np.random.Generator, until: Deadline
) -> list[DecisionTable]:
    """Return up to `wanted` decision tables, roughly the cheapest first.

    Each has at most `most_features` features, is right for all cells of the demonstrations, and has an entry for every
    cell of the tests. At the deadline those found so far are returned.
    """
    first, second = _conflicts(examples, rng)
    found: dict[FeatureSet, DecisionTable] = {}
    unusable: set[FeatureSet] = set()
    for _ in range(ROUNDS):
        apart = examples.features[:, first] != examples.features[:, second]  # [features, pairs]
        clashes = []
        for chosen in _covers(apart, examples.costs, most_features, until):
            if chosen in found or chosen in unusable:
                continue
            if (clash := _clash(examples, chosen)) is not None:
                clashes.append(clash)
                if len(clashes) >= CLASHES_A_ROUND:
                    break
                continue
            if (table := _decision_table(examples, chosen)) is not None:
                found[chosen] = table
            else:
                unusable.add(chosen)
            if len(found) >= wanted or len(unusable) > MOST_UNUSABLE or until.passed():
                return list(found.values())
        if not clashes or until.passed():
            break
        first = np.r_[first, [pair[0] for pair in clashes]]
        second = np.r_[second, [pair[1] for pair in clashes]]
    return list(found.values())


def entries_of(examples: CellExamples, chosen: Sequence[int]) -> dict[tuple[int, ...], int]:
    """Return the table of a feature set: features -> outcome, for all cells of the demonstrations."""
    rows = np.concatenate([examples.features[list(chosen)], examples.outcome[None]])
    return {tuple(row[:-1]): row[-1] for row in np.unique(rows, axis=1).T.tolist()}


def feature_codes(columns: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return one number per cell that stands for all its features (0..63 each): [features, cells] -> [cells]."""
    codes = np.zeros(columns[0].shape, np.int64)
    for column in columns:
        codes = codes * 64 + column
    return codes


def _conflicts(examples: CellExamples, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw pairs of cells with different outcomes: the first and the second cell of each, [pairs] each."""
    count = examples.outcome.size
    first = rng.integers(count, size=SAMPLED_PAIRS)
    second = rng.integers(count, size=SAMPLED_PAIRS)
    differ = examples.outcome[first] != examples.outcome[second]
    similar = differ & (examples.features[0, first] == examples.features[0, second])
    kept = np.r_[np.flatnonzero(differ)[:DIFFERENT_PAIRS], np.flatnonzero(similar)[:SIMILAR_PAIRS]]
    return first[kept], second[kept]


def _covers(apart: Bools, costs: NDArray[np.float64], most: int, until: Deadline) -> list[FeatureSet]:
    """Return minimal sets of features that tell all pairs apart, the cheapest first.

    apart [features, pairs]: whether a feature differs within a pair. costs [features]. `most` limits the size of a set.
    """
    if len(apart) <= FEW_FEATURES:
        return sorted(_small_covers(apart, most), key=lambda chosen: (sum(costs[k] for k in chosen), chosen))
    blind = (~apart).astype(np.float32)
    count = len(apart)
    singles = np.flatnonzero(apart.all(1))
    found: list[FeatureSet] = [(int(k),) for k in singles]
    rest = np.setdiff1d(np.arange(count), singles)
    if most >= 2:
        # Entry (a, b) counts the pairs to which both features are blind.
        both = blind[rest] @ blind[rest].T == 0
        found += [(int(rest[a]), int(rest[b])) for a, b in np.argwhere(np.triu(both, 1))]
        if most >= 3 and len(found) < ENOUGH_SETS:
            by_pairs = np.argsort(-apart[rest].sum(1) + costs[rest], kind="stable")
            telling = np.sort(by_pairs[:FEATURES_IN_TRIPLES])
            found += _triples(blind, rest[telling], both[np.ix_(telling, telling)], until)
    return sorted(found, key=lambda chosen: (sum(costs[k] for k in chosen), chosen))


def _small_covers(apart: Bools, most: int) -> list[FeatureSet]:
    """Return all minimal sets of at most `most` features that tell all pairs apart: apart [features, pairs]."""
    bits = [int.from_bytes(np.packbits(row).tobytes(), "big") for row in apart]
    whole = int.from_bytes(np.packbits(np.ones(apart.shape[1], bool)).tobytes(), "big")
    found: list[FeatureSet] = []
    for size in range(1, most + 1):
        for chosen in combinations(range(len(bits)), size):
            union = 0
            for k in chosen:
                union |= bits[k]
            if union == whole and not any(set(smaller) < set(chosen) for smaller in found[:50]):
                found.append(chosen)
    return found


def _triples(blind: NDArray[np.float32], rest: NDArray[np.intp], both: Bools, until: Deadline) -> list[FeatureSet]:
    """Return sets of three features that tell all pairs apart, none of them with two features that do so alone.

    blind [features, pairs] is 1 where a feature is equal within a pair; rest [n] are the features to combine; both
    [n, n] says which two of them tell all pairs apart.
    """
    found: list[FeatureSet] = []
    for position, a in enumerate(rest[:-2]):
        later = rest[position + 1 :]
        left = blind[a] > 0
        view = blind[np.ix_(later, left)]
        done = (view @ view.T == 0) & ~both[position + 1 :, position + 1 :]
        done &= ~(both[position, position + 1 :, None] | both[position, None, position + 1 :])
        for b, c in np.argwhere(np.triu(done, 1))[:TRIPLES_A_FEATURE]:
            found.append((int(a), int(later[b]), int(later[c])))
        if len(found) > MOST_TRIPLES or until.passed():
            break
    return found


def _clash(examples: CellExamples, chosen: FeatureSet) -> tuple[int, int] | None:
    """Return two cells with equal features but different outcomes; None if the set determines the outcome."""
    codes = feature_codes(examples.features[list(chosen)]) * 16 + examples.outcome
    distinct_codes, cells = np.unique(codes, return_index=True)
    clashing = np.flatnonzero(distinct_codes[1:] // 16 == distinct_codes[:-1] // 16)
    if not clashing.size:
        return None
    return int(cells[clashing[0]]), int(cells[clashing[0] + 1])


def _decision_table(examples: CellExamples, chosen: FeatureSet) -> DecisionTable | None:
    """Return the table of a set that determines the outcome; None if it has no entry for some cell of the tests."""
    codes = feature_codes(examples.features[list(chosen)])
    entries = np.unique(codes)
    if not np.isin(feature_codes(examples.test_features[list(chosen)]), entries).all():
        return None
    numbers = range(int(examples.demonstration.max()) + 1)
    own = [np.unique(codes[examples.demonstration == k]) for k in numbers]
    others = {k: np.concatenate([own[j] for j in numbers if j != k] or [own[k][:0]]) for k in numbers}
    stability = sum(bool(np.isin(own[k], others[k]).all()) for k in numbers) / len(numbers)
    cost = float(examples.costs[list(chosen)].sum()) + ENTRY_COST * entries.size
    return DecisionTable(chosen, stability, entries.size, cost)
