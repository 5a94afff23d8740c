"""Training rows keep to their limit and rule; batches keep to their tokens; the loader draws the same for one seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest

from submission.arc.layouts import CHAT16, GRID16, Ids
from submission.arc.prompts import Row, padded, row
from submission.arc.tasks import Grid, Pair, grid
from submission.training.batches import Batch, groups, loader, rows
from submission.training.corpus import Family
from submission.training.leakage import fingerprint
from submission.training.settings import Training
from tests.training.families import families

# -- rows -------------------------------------------------------------------------------------------------------

LIMIT = 200


def made_up_families() -> list[Family]:
    """Squares, wide grids (longer when turned), and many pairs that do not all fit."""
    rng = np.random.default_rng(3)

    def pairs(n: int, *shape: int) -> tuple[Pair, ...]:
        made: dict[bytes, Pair] = {}
        while len(made) < n:
            pair = Pair(grid(rng.integers(10, size=shape)), grid(rng.integers(10, size=shape)))
            made[fingerprint(pair)] = pair
        return tuple(made.values())

    return [
        Family("small", pairs(9, 2, 3), 1.0),
        Family("three", pairs(3, 3, 3), 1.0),
        Family("wide", pairs(6, 1, 30), 1.0),
        Family("large", pairs(5, 8, 5), 1.0),
    ]


def drawn_rows(n: int, families: Sequence[Family], limit: int = LIMIT, seed: int = 4, **options: float) -> list[Row]:
    return list(islice(rows(families, limit, np.random.default_rng(seed), **options), n))


def grids_of(ids: Ids) -> list[Grid]:
    """The grids of a row in order, read back from its ids."""
    starts = np.flatnonzero(ids == GRID16.input_open[0])
    made = []
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        cells = GRID16.parse(ids[start + len(GRID16.input_open) : end].tolist())
        assert cells is not None
        made.append(cells)
    return made


def pairs_of(made: Row) -> list[Pair]:
    grids = grids_of(made.ids)
    return [Pair(i, o) for i, o in zip(grids[::2], grids[1::2], strict=True)]


def test_a_row_shows_at_least_one_pair_asks_one_and_has_at_most_seven() -> None:
    counts = {len(pairs_of(each)) for each in drawn_rows(300, made_up_families())}
    assert min(counts) == 2
    assert max(counts) == 7


def test_no_row_is_longer_than_the_limit() -> None:
    for limit in (90, 100, LIMIT, 300):
        assert max(len(each.ids) for each in drawn_rows(300, made_up_families(), limit)) <= limit


def test_the_loss_is_on_the_outputs_after_the_first_pair() -> None:
    for each in drawn_rows(50, made_up_families()):
        pairs = pairs_of(each)
        again = row(GRID16, pairs, limit=1 << 30)
        assert np.array_equal(again.ids, each.ids)
        learned, at = np.zeros(len(each.ids), bool), 0
        for k, pair in enumerate(pairs):
            at += len(GRID16.input_open) + len(GRID16.grid_ids(pair.input)) + len(GRID16.input_to_output)
            answer = len(GRID16.answer(pair.output))
            learned[at : at + answer] = k >= 1
            at += answer
        assert at == len(each.ids)
        assert np.array_equal(each.learn, learned)


def test_the_pairs_of_a_row_are_of_one_family_and_differ() -> None:
    families = made_up_families()
    owner = {fingerprint(pair): family.name for family in families for pair in family.pairs}
    plain = 0
    made = drawn_rows(200, families)
    for each in made:
        prints = [fingerprint(pair) for pair in pairs_of(each)]
        if all(each in owner for each in prints):
            plain += 1
            assert len({owner[each] for each in prints}) == 1
            assert len(set(prints)) == len(prints)
    assert 0.6 < plain / len(made) < 0.85, "three rows in ten follow a new rule"
    for each in drawn_rows(50, families, new_rules=0.0):
        assert all(fingerprint(pair) in owner for pair in pairs_of(each))


def test_a_family_is_drawn_as_often_as_its_weight_says() -> None:
    square, line = made_up_families()[0].pairs, tuple(Pair(grid([[k, 0]]), grid([[k]])) for k in range(1, 9))
    made = drawn_rows(600, [Family("often", square, 3.0), Family("rarely", line, 1.0)], new_rules=0.0)
    often = sum(pairs_of(each)[0].input.size == 6 for each in made)
    assert often / len(made) == pytest.approx(0.75, abs=0.06)


def test_one_generator_gives_one_series_of_rows() -> None:
    def series(seed: int) -> list[bytes]:
        return [each.ids.tobytes() for each in drawn_rows(20, made_up_families(), seed=seed)]

    assert series(5) == series(5)
    assert series(5) != series(6)


# -- batches ----------------------------------------------------------------------------------------------------

TOKENS = 2048


def numbered(drawn: list[Row], lengths: np.random.Generator) -> Iterator[Row]:
    """Endless rows of random lengths; each one that is drawn is noted."""
    while True:
        n = int(lengths.integers(20, 400))
        drawn.append(Row(np.full(n, len(drawn), np.int64), np.ones(n, bool)))
        yield drawn[-1]


def test_a_batch_is_within_the_token_budget_with_its_padding() -> None:
    drawn: list[Row] = []
    source = groups(numbered(drawn, np.random.default_rng(8)), TOKENS, np.random.default_rng(9))
    for group in islice(source, 300):
        ids, learn, where = padded(GRID16, group)
        assert ids.size <= TOKENS
        assert learn.shape == ids.shape == where.shape[1:]


def test_nothing_is_lost_or_repeated_between_batches() -> None:
    drawn: list[Row] = []
    source = groups(numbered(drawn, np.random.default_rng(10)), TOKENS, np.random.default_rng(11), pool=64)
    given: list[int] = []
    known = 0
    for group in islice(source, 400):
        if len(drawn) > known:  # all that was known before is given out, but for one group that waits for more
            waiting = sorted(set(range(known)) - set(given))
            assert len(waiting) * max((len(drawn[k].ids) for k in waiting), default=0) <= TOKENS
            known = len(drawn)
        given += [int(each.ids[0]) for each in group]
    assert known > 20 * 64
    assert len(given) == len(set(given))


def test_rows_of_a_batch_are_of_like_length_and_batches_come_in_no_order_of_length() -> None:
    drawn: list[Row] = []
    source = groups(numbered(drawn, np.random.default_rng(12)), TOKENS, np.random.default_rng(13))
    made = list(islice(source, 200))
    kept = sum(len(each.ids) for group in made for each in group)
    whole = sum(len(group) * max(len(each.ids) for each in group) for group in made)
    assert kept / whole > 0.95, "little is padding"
    longest = [max(len(each.ids) for each in group) for group in made]
    rises = sum(later > earlier for earlier, later in zip(longest, longest[1:], strict=False))
    assert 0.3 < rises / len(longest) < 0.7


# -- the loader --------------------------------------------------------------------------------------------------

SETTINGS = Training(steps=20, tokens=256, limit=80, new_rules=0.0)


def drawn(settings: Training, step: int, number: int = 6) -> list[bytes]:
    source: Iterator[Batch] = loader(families(), settings, step)
    return [ids.numpy().tobytes() for ids, *_ in islice(source, number)]


def test_one_seed_draws_one_series_of_rows_and_another_call_draws_others() -> None:
    assert drawn(SETTINGS, 0) == drawn(SETTINGS, 0)
    assert drawn(SETTINGS, 0) != drawn(SETTINGS, 110)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # Where there is one core only.
def test_workers_make_batches_of_their_own_ahead_of_time() -> None:
    two = Training(steps=1, tokens=256, limit=80, workers=2)
    made = drawn(two, 0, 12)
    assert len(set(made)) == len(made), "no two workers draw the same rows"


def test_a_batch_says_how_many_of_its_tokens_are_not_padding() -> None:
    for ids, learn, where, tokens in islice(loader(families(), SETTINGS, 0), 10):
        assert tokens == int((ids != CHAT16.pad).sum())
        assert ids.numel() <= SETTINGS.tokens
        assert learn.shape == ids.shape == where.shape[1:]
