"""Rules for cells that are tables: the fewest features of a cell that decide what becomes of it.

A set of features decides the outcome if no two cells of the demonstrations agree in all of them and differ in the
outcome. Such sets are found as covers: pairs of cells with different outcomes are drawn, every pair must be told apart
by some feature of the set, and a set that passes is checked on all cells, which gives new pairs where it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from submission.deadline import Deadline

ROUNDS = 8
"""How often sets are looked for anew, with the pairs that the last ones failed on."""
PAIRS_A_ROUND = 48
"""Failures that make a new round."""
IN_TRIPLES = 110
"""Features, those that tell most pairs apart, that are tried three at a time."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cases:
    """All cells of a task's demonstrations with what is seen and what becomes of them, and the tests' cells."""

    seen: NDArray[np.uint8]
    """[features, cells of demonstrations], numbers 0..63."""
    asked: NDArray[np.uint8]
    """[features, cells of tests]."""
    outcome: NDArray[np.uint8]
    """[cells of demonstrations]: 0..15."""
    demonstration: NDArray[np.uint8]
    """[cells of demonstrations]: which demonstration a cell is of."""
    costs: NDArray[np.float64]
    """[features]."""


@dataclass(frozen=True, eq=False)
class Decision:
    """A set of features that decides the outcome."""

    features: tuple[int, ...]
    stability: float
    """Share of the demonstrations that the table of the others decides rightly."""
    entries: int
    """Rows of its table."""
    cost: float


def distinct(cases: Cases) -> Cases:
    """The same cases with equal cells of one demonstration taken together."""
    rows = np.ascontiguousarray(np.concatenate([cases.seen, cases.outcome[None], cases.demonstration[None]]).T)
    _, where = np.unique(rows.view(f"V{rows.shape[1]}")[:, 0], return_index=True)
    return Cases(cases.seen[:, where], cases.asked, cases.outcome[where], cases.demonstration[where], cases.costs)


def decisions(
    cases: Cases, most_features: int, wanted: int, rng: np.random.Generator, until: Deadline
) -> list[Decision]:
    """Cheapest sets that decide all cells of the demonstrations, and whose table knows all cells of the tests."""
    first, second = _conflicts(cases, rng)
    rejected: set[tuple[int, ...]] = set()
    found: dict[tuple[int, ...], Decision] = {}
    for _ in range(ROUNDS):
        apart = cases.seen[:, first] != cases.seen[:, second]  # [features, pairs]
        wrong = []
        for chosen in _covers(apart, cases.costs, most_features, until):
            if chosen in rejected or chosen in found:
                continue
            clash = _clash(cases, chosen)
            if clash is not None:
                wrong.append(clash)
                if len(wrong) >= PAIRS_A_ROUND:
                    break
                continue
            decision = _decided(cases, chosen)
            if decision is None:
                rejected.add(chosen)
            else:
                found[chosen] = decision
            if len(found) >= wanted or len(rejected) > 400 or until.passed():
                wrong = []
                break
        if not wrong or until.passed():
            break
        first = np.r_[first, [pair[0] for pair in wrong]]
        second = np.r_[second, [pair[1] for pair in wrong]]
    return list(found.values())


def _conflicts(cases: Cases, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of cells with different outcomes: at random, half of them alike in the first feature."""
    count = cases.outcome.size
    first = rng.integers(count, size=6000)
    second = rng.integers(count, size=6000)
    differ = cases.outcome[first] != cases.outcome[second]
    alike = differ & (cases.seen[0, first] == cases.seen[0, second])
    kept = np.r_[np.flatnonzero(differ)[:200], np.flatnonzero(alike)[:300]]
    return first[kept], second[kept]


FEW = 24
"""With so few features all sets are tried, of whatever size."""


def _covers(apart: Bools, costs: NDArray[np.float64], most: int, until: Deadline) -> list[tuple[int, ...]]:
    """Minimal sets of features (up to three where there are many) that tell all pairs apart, the cheapest first."""
    if len(apart) <= FEW:
        return sorted(_small_covers(apart, most), key=lambda chosen: (sum(costs[k] for k in chosen), chosen))
    blind = (~apart).astype(np.float32)
    count = len(apart)
    singles = np.flatnonzero(apart.all(1))
    found: list[tuple[int, ...]] = [(int(k),) for k in singles]
    rest = np.setdiff1d(np.arange(count), singles)
    if most >= 2:
        both = blind[rest] @ blind[rest].T == 0
        pairs = [(int(rest[a]), int(rest[b])) for a, b in np.argwhere(np.triu(both, 1))]
        found += pairs
        if most >= 3 and len(found) < 60:
            telling = np.sort(np.argsort(-apart[rest].sum(1) + costs[rest], kind="stable")[:IN_TRIPLES])
            found += _triples(blind, rest[telling], both[np.ix_(telling, telling)], until)
    return sorted(found, key=lambda chosen: (sum(costs[k] for k in chosen), chosen))


def _small_covers(apart: Bools, most: int) -> list[tuple[int, ...]]:
    bits = [int.from_bytes(np.packbits(row).tobytes(), "big") for row in apart]
    whole = int.from_bytes(np.packbits(np.ones(apart.shape[1], bool)).tobytes(), "big")
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        for chosen in combinations(range(len(bits)), size):
            union = 0
            for k in chosen:
                union |= bits[k]
            if union == whole and not any(set(smaller) < set(chosen) for smaller in found[:50]):
                found.append(chosen)
    return found


def _triples(blind: NDArray[np.float32], rest: NDArray[np.intp], both: Bools, until: Deadline) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for position, a in enumerate(rest[:-2]):
        later = rest[position + 1 :]
        left = blind[a] > 0
        view = blind[np.ix_(later, left)]
        done = (view @ view.T == 0) & ~both[position + 1 :, position + 1 :]
        done &= ~(both[position, position + 1 :, None] | both[position, None, position + 1 :])
        for b, c in np.argwhere(np.triu(done, 1))[:400]:
            found.append((int(a), int(later[b]), int(later[c])))
        if len(found) > 4000 or until.passed():
            break
    return found


def _codes(columns: NDArray[np.uint8]) -> NDArray[np.int64]:
    """One number per cell that stands for all its features: [features, cells] -> [cells]."""
    codes = np.zeros(columns.shape[1], np.int64)
    for column in columns:
        codes = codes * 64 + column
    return codes


def _clash(cases: Cases, chosen: Sequence[int]) -> tuple[int, int] | None:
    """Two cells alike in the chosen features but not in the outcome, if there are any."""
    codes = _codes(cases.seen[list(chosen)]) * 16 + cases.outcome
    distinct, where = np.unique(codes, return_index=True)
    clashing = np.flatnonzero(distinct[1:] // 16 == distinct[:-1] // 16)
    if not clashing.size:
        return None
    return int(where[clashing[0]]), int(where[clashing[0] + 1])


def _decided(cases: Cases, chosen: tuple[int, ...]) -> Decision | None:
    """What the set is worth; None if its table does not know some cell of the tests."""
    codes = _codes(cases.seen[list(chosen)])
    table = np.unique(codes)
    if not np.isin(_codes(cases.asked[list(chosen)]), table).all():
        return None
    marks = range(int(cases.demonstration.max()) + 1)
    known = [np.unique(codes[cases.demonstration == k]) for k in marks]
    others = {k: np.concatenate([known[j] for j in marks if j != k] or [known[k][:0]]) for k in marks}
    stability = sum(bool(np.isin(known[k], others[k]).all()) for k in marks) / len(marks)
    return Decision(chosen, stability, table.size, float(cases.costs[list(chosen)].sum()) + 0.02 * table.size)


def table_of(cases: Cases, chosen: Sequence[int]) -> dict[tuple[int, ...], int]:
    """The table: what is seen in the chosen features -> outcome, of all cells of the demonstrations."""
    rows = np.concatenate([cases.seen[list(chosen)], cases.outcome[None]])
    return {tuple(row[:-1]): row[-1] for row in np.unique(rows, axis=1).T.tolist()}
