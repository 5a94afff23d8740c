"""Grids become ids and ids become grids without loss, in the very text that each model family was trained on."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import numpy as np
import pytest
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as InTurn

from submission.arc.layouts import (
    CHAT16,
    GRID16,
    AnswerState,
    Ids,
    Layout,
    successors,
)
from submission.arc.prompts import Prompt, Row, padded, prompt, row, task_length
from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, grid
from submission.arc.tokenizer_layouts import architects, numpy_layout, numpy_text

UNLIMITED = 1 << 30

# -- tokenizers of the model families, without their weights ----------------------------------------------------


def character_tokenizer() -> Tokenizer:
    """One id a character: what is left of the Architects' tokenizers after their vocabulary was cut."""
    special = ["<bos>", "<eos>", "<pad>"]
    letters = [*special, *string.ascii_letters, *string.digits, *"!?.:,;*+/-=", "\n"]
    made = Tokenizer(BPE(vocab={letter: k for k, letter in enumerate(letters)}, merges=[]))
    made.add_special_tokens([AddedToken(each, special=True) for each in special])
    return made


LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama-3 cuts a text into pieces before it merges bytes (published with its tokenizer)."""

MERGES = {
    "bytes": [],
    "pieces": [("[", "["), ("]", "]"), ("]]", "#"), ("]]#", "Ċ"), ("]", "Ċ"), ("Ġ", "["), ("Ġ", "[["), ("Ġ", "-"),
               ("Ġ-", ">"), ("1", "2"), ("12", "3"), ("0", "0")],
    "parts": [("]", "]"), ("#", "Ċ"), ("]", "Ċ"), ("Ġ", "["), ("Ġ[", "["), ("-", ">"), ("Ġ", "->"), ("Ċ", "Ċ")],
}  # fmt: skip
"""bytes: nothing is merged. pieces: "]]#\\n" is one token. parts: it is "]]" and "#\\n"."""


def llama3_tokenizer(merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """Llama-3's pre-tokenizer and special tokens over a byte-level vocabulary with only these merges."""
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    pieces = [*sorted(ByteLevel.alphabet()), *(left + right for left, right in merges)]
    made = Tokenizer(BPE(vocab={piece: k for k, piece in enumerate(pieces)}, merges=list(merges)))
    made.pre_tokenizer = InTurn(
        [
            Split(Regex(LLAMA3_PATTERN), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.add_special_tokens([AddedToken(each, special=True) for each in special])
    return made


def encoder(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


CHARACTERS = encoder(character_tokenizer())
LLAMA3 = {name: encoder(llama3_tokenizer(merges)) for name, merges in MERGES.items()}

ARCHITECTS = architects(CHARACTERS, *(CHARACTERS(special)[0] for special in ("<bos>", "<eos>", "<pad>")))
NUMPY = {name: numpy_layout(encode, pad=encode("<|eot_id|>")[0]) for name, encode in LLAMA3.items()}

LAYOUTS = {
    "chat16": CHAT16,
    "grid16": GRID16,
    "architects": ARCHITECTS,
    **{f"numpy-{name}": layout for name, layout in NUMPY.items()},
}


@pytest.fixture(params=LAYOUTS, name="layout")
def each_layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


def random_grid(rng: np.random.Generator, largest: int = 6) -> Grid:
    return grid(rng.integers(10, size=rng.integers(1, largest + 1, size=2)))


def random_pairs(rng: np.random.Generator, n: int, largest: int = 6) -> list[Pair]:
    return [Pair(random_grid(rng, largest), random_grid(rng, largest)) for _ in range(n)]


# -- grids and answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chat16", "grid16", "architects", "numpy-pieces"])
def test_every_shape_survives_the_way_to_ids_and_back(name: str) -> None:
    layout, rng = LAYOUTS[name], np.random.default_rng(0)
    for height in range(1, LARGEST_SIDE + 1):
        for width in range(1, LARGEST_SIDE + 1):
            cells = grid(rng.integers(10, size=(height, width)))
            back = layout.parse(layout.answer(cells).tolist())
            assert back is not None
            assert np.array_equal(back, cells)


def test_an_answer_is_parsed_from_an_array_as_from_a_list(layout: Layout) -> None:
    cells = grid([[1, 2, 3], [4, 5, 6]])
    for answer in (layout.answer(cells), tuple(layout.answer(cells).tolist())):
        back = layout.parse(answer)  # type: ignore[arg-type]
        assert back is not None
        assert np.array_equal(back, cells)


def test_an_answer_is_the_rows_and_the_close(layout: Layout) -> None:
    cells = grid([[1, 2], [3, 4]])
    assert tuple(layout.answer(cells)) == (*layout.grid_ids(cells), *layout.answer_close)


def test_the_alphabet_is_what_occurs_in_answers(layout: Layout) -> None:
    assert layout.alphabet == tuple(sorted(set(layout.answer(grid(np.arange(10).reshape(2, 5))).tolist())))


def test_no_answer_is_longer_than_the_longest() -> None:
    assert CHAT16.longest_answer == 30 * 31
    assert ARCHITECTS.longest_answer == 30 * 31 + 1
    for layout in LAYOUTS.values():
        assert layout.longest_answer == len(layout.answer(grid(np.full((30, 30), 9))))


# -- the text forms ---------------------------------------------------------------------------------------------


def written_rows(cells: Grid) -> str:
    return "\n".join("".join(str(int(cell)) for cell in line) for line in cells)


def chat16_ids(pairs: Sequence[Pair], query: Grid, answer: Grid | None) -> list[int]:
    """NVARC's form: a user turn for each input, an assistant turn for each output."""
    turns = [turn for pair in pairs for turn in (("U", pair.input), ("A", pair.output))] + [("U", query)]
    text = "".join(f"<{role}\n{written_rows(cells)}>" for role, cells in turns)
    text += "<A\n" + (f"{written_rows(answer)}>" if answer is not None else "")
    return ["0123456789\nUA_<>".index(letter) for letter in text]


def architects_text(pairs: Sequence[Pair], query: Grid, answer: Grid | None) -> str:
    """`<bos>`, the letters without I, O, i and o, then `I` input `+/-=O` output `<eos>` for each pair."""
    text = "<bos>" + "".join(letter for letter in string.ascii_uppercase if letter not in "IO")
    text += "".join(letter for letter in string.ascii_lowercase if letter not in "io")
    for pair in pairs:
        text += f"I{written_rows(pair.input)}\n+/-=O{written_rows(pair.output)}\n<eos>"
    text += f"I{written_rows(query)}\n+/-=O"
    return text + (f"{written_rows(answer)}\n<eos>" if answer is not None else "")


def numpy_ids(encode: Callable[[str], list[int]], pairs: Sequence[Pair], query: Grid, answer: Grid | None) -> list[int]:
    """Every answer begins with its brackets, so a prompt holds them and the model is asked from the first cell on."""
    return encode(numpy_text(pairs, query, answer) + ("[[" if answer is None else ""))


Reference = Callable[[Sequence[Pair], Grid, Grid | None], list[int]]
REFERENCES: dict[str, Reference] = {
    "chat16": chat16_ids,
    "grid16": chat16_ids,
    "architects": lambda pairs, query, answer: CHARACTERS(architects_text(pairs, query, answer)),
    **{f"numpy-{name}": partial(numpy_ids, encode) for name, encode in LLAMA3.items()},
}


@pytest.mark.parametrize("demonstrations", [0, 1, 2, 5])
@pytest.mark.parametrize("family", LAYOUTS)
def test_prompts_and_rows_are_the_ids_of_the_family_s_text(family: str, demonstrations: int) -> None:
    layout, reference = LAYOUTS[family], REFERENCES[family]
    rng = np.random.default_rng(demonstrations)
    for largest in (2, 6, 30):
        *pairs, last = random_pairs(rng, demonstrations + 1, largest)
        assert prompt(layout, pairs, last.input, UNLIMITED).ids.tolist() == reference(pairs, last.input, None)
        assert row(layout, [*pairs, last], UNLIMITED).ids.tolist() == reference(pairs, last.input, last.output)


def test_the_text_of_a_numpy_prompt_is_the_published_one() -> None:
    pair, query, answer = Pair(grid([[1, 2], [3, 4]]), grid([[5]])), grid([[6, 7]]), grid([[8], [9]])
    text = numpy_text([pair, pair], query, answer)
    assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n")
    assert text.endswith(
        "\n[[1 2]\n [3 4]] -> [[5]]#\n[[1 2]\n [3 4]] -> [[5]]#<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n[[6 7]] -> <|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[8]\n [9]]#<|eot_id|>"
    )


def test_the_largest_grid_is_written_whole_in_the_numpy_text() -> None:
    """numpy breaks lines and abbreviates beyond its print options."""
    full = grid(np.arange(900).reshape(30, 30) % 10)
    assert f"\n\n{full} -> " in numpy_text([], full)
    assert str(full).count("\n") == 29
    assert "..." not in str(full)


def test_a_tokenizer_that_does_not_write_each_character_as_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match="character"):
        architects(lambda text: [ord(letter) for letter in text for _ in range(2)], 0, 1, 2)


def test_a_tokenizer_that_joins_a_cell_to_the_gap_before_it_is_refused() -> None:
    joining = llama3_tokenizer([("Ġ", "0")])
    joining.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    with pytest.raises(ValueError, match="cell"):
        numpy_layout(encoder(joining), pad=0)


def test_a_tokenizer_that_does_not_tell_the_colours_apart_is_refused() -> None:
    encode = LLAMA3["bytes"]
    with pytest.raises(ValueError, match="cell"):
        numpy_layout(lambda text: encode(text.replace("9", "8")), pad=0)


# -- what counts in the loss ------------------------------------------------------------------------------------


def learned_runs(made: Row) -> list[list[int]]:
    """The ids of each stretch of neighbouring learned tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], made.learn, [False]]).astype(int)))
    return [made.ids[start:end].tolist() for start, end in edges.reshape(-1, 2)]


def assert_outputs_with_their_close(layout: Layout, runs: list[list[int]], pairs: Sequence[Pair]) -> None:
    """Each run is one pair's output and the tokens that close it; the last closes as an answer does."""
    assert len(runs) == len(pairs)
    for k, (run, pair) in enumerate(zip(runs, pairs, strict=True)):
        cells = layout.grid_ids(pair.output).tolist()
        assert run[: len(cells)] == cells
        close = tuple(run[len(cells) :])
        if k == len(pairs) - 1:
            assert close == layout.answer_close
        else:
            whole_closes = (layout.output_close, layout.answer_close)
            assert close and any(close == whole[: len(close)] for whole in whole_closes)


@pytest.mark.parametrize("first_learned", [0, 1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_only_outputs_from_the_first_learned_on_and_the_answer_count(
    layout: Layout, n: int, first_learned: int
) -> None:
    pairs = random_pairs(np.random.default_rng(n), n)
    made = row(layout, pairs, UNLIMITED, first_learned)
    assert made.ids.shape == made.learn.shape
    learned = [*pairs[first_learned : n - 1], pairs[-1]]
    assert_outputs_with_their_close(layout, learned_runs(made), learned)


def test_a_model_is_asked_exactly_what_it_was_trained_on(layout: Layout) -> None:
    *pairs, last = random_pairs(np.random.default_rng(8), 4)
    asked, trained = prompt(layout, pairs, last.input, UNLIMITED), row(layout, [*pairs, last], UNLIMITED)
    assert np.array_equal(np.concatenate([asked.ids, layout.answer(last.output)]), trained.ids)


# -- fitting into the context -----------------------------------------------------------------------------------


def test_a_prompt_drops_the_earliest_demonstrations_and_no_more_than_it_must(layout: Layout) -> None:
    *pairs, last = random_pairs(np.random.default_rng(9), 6)
    lengths = [task_length(layout, pairs[k:], last.input) for k in range(len(pairs) + 1)]
    for limit in range(lengths[-1], lengths[0] + 2):
        made = prompt(layout, pairs, last.input, limit)
        assert len(made.ids) <= limit
        assert np.array_equal(made.ids, prompt(layout, pairs[made.dropped :], last.input, UNLIMITED).ids)
        assert made.dropped == 0 or lengths[made.dropped - 1] > limit
    assert prompt(layout, pairs, last.input, lengths[0]).dropped == 0
    assert prompt(layout, pairs, last.input, lengths[0] - 1).dropped == 1


def test_a_query_over_the_limit_stands_alone_and_whole(layout: Layout) -> None:
    pairs, query = random_pairs(np.random.default_rng(10), 3), grid(np.full((30, 30), 7))
    made = prompt(layout, pairs, query, limit=100)
    assert made.dropped == 3
    assert np.array_equal(made.ids, prompt(layout, [], query, UNLIMITED).ids)
    assert np.count_nonzero(made.ids == layout.cells[7]) >= 900


@pytest.mark.parametrize("first_learned", [0, 1, 2])
def test_a_row_drops_the_earliest_pairs_and_learns_from_those_that_stay(layout: Layout, first_learned: int) -> None:
    pairs = random_pairs(np.random.default_rng(11), 5)
    lengths = [len(row(layout, pairs[k:], UNLIMITED).ids) for k in range(len(pairs))]
    for dropped, limit in enumerate(lengths):
        made, whole = (
            row(layout, pairs, limit, first_learned),
            row(layout, pairs[dropped:], UNLIMITED, first_learned),
        )
        assert np.array_equal(made.ids, whole.ids)
        assert np.array_equal(made.learn, whole.learn)
    alone = row(layout, pairs, 0, first_learned)
    assert np.array_equal(alone.ids, row(layout, pairs[-1:], UNLIMITED).ids)
    assert_outputs_with_their_close(layout, learned_runs(alone), pairs[-1:])


def test_the_length_of_a_task_is_that_of_its_whole_prompt(layout: Layout) -> None:
    *pairs, last = random_pairs(np.random.default_rng(12), 4, largest=30)
    assert task_length(layout, pairs, last.input) == len(prompt(layout, pairs, last.input, UNLIMITED).ids)


# -- positions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chat16", "architects", "numpy-pieces"])
def test_positions_on_a_line_are_running_numbers(name: str) -> None:
    layout = LAYOUTS[name]
    *pairs, last = random_pairs(np.random.default_rng(13), 3)
    ids = prompt(layout, pairs, last.input, UNLIMITED).ids
    assert layout.axes == 1
    assert np.array_equal(layout.positions_of(ids), [np.arange(len(ids))])


def test_positions_on_a_grid_are_segment_row_and_column() -> None:
    rng = np.random.default_rng(14)
    assert GRID16.axes == 3
    for _ in range(20):
        pairs = random_pairs(rng, 3, largest=30)
        made = row(GRID16, pairs, UNLIMITED)
        where = GRID16.positions_of(made.ids)
        assert where.shape == (3, len(made.ids))
        cells = np.flatnonzero(made.ids < 10)
        expected = [
            (segment, r, c)
            for segment, side in enumerate(side for pair in pairs for side in (pair.input, pair.output))
            for r, c in np.ndindex(side.shape)
        ]
        origin = np.array(where[:, cells[0]])
        assert origin[0] == 0, "segments are numbered from the first grid"
        assert [tuple(each) for each in (where[:, cells] - origin[:, None]).T.tolist()] == expected


def test_every_cell_is_predicted_from_one_column_to_its_left_in_its_row() -> None:
    rng = np.random.default_rng(15)
    for _ in range(20):
        made = row(GRID16, random_pairs(rng, 3, largest=30), UNLIMITED)
        where, cells = GRID16.positions_of(made.ids), np.flatnonzero(made.ids < 10)
        assert np.array_equal(where[:, cells] - where[:, cells - 1], np.tile([[0], [0], [1]], len(cells)))


def test_no_two_tokens_of_a_row_share_a_position() -> None:
    made = row(GRID16, random_pairs(np.random.default_rng(16), 4, largest=30), UNLIMITED)
    assert len(np.unique(GRID16.positions_of(made.ids), axis=1).T) == len(made.ids)


def test_step_goes_on_where_the_prompt_ends(layout: Layout) -> None:
    rng = np.random.default_rng(17)
    for largest in (1, 3, 30):
        *pairs, last = random_pairs(rng, 3, largest)
        asked, answer = prompt(layout, pairs, last.input, UNLIMITED), layout.answer(last.output)
        whole = layout.positions_of(np.concatenate([asked.ids, answer]))
        at = tuple(layout.positions_of(asked.ids)[:, -1].tolist())
        assert at == tuple(whole[:, len(asked.ids) - 1])
        for k, token in enumerate(answer.tolist()):
            at = layout.next_position(at, token)
            assert at == tuple(whole[:, len(asked.ids) + k])


# -- legal answers ----------------------------------------------------------------------------------------------


def accepted(layout: Layout, tokens: Sequence[int]) -> bool:
    """Whether `successors` leads along these tokens to the end of an answer, exactly at the last one."""
    state: AnswerState | None = AnswerState()
    for token in tokens:
        if state is None:
            return False
        following = successors(layout, state)
        if token not in following:
            return False
        state = following[token]
    return state is None


def ends(layout: Layout, state: AnswerState) -> list[int]:
    return [token for token, then in successors(layout, state).items() if then is None]


def test_every_legal_answer_is_accepted(layout: Layout) -> None:
    rng = np.random.default_rng(18)
    shapes = [
        (1, 1),
        (1, 30),
        (30, 1),
        (30, 30),
        (29, 30),
        (30, 29),
        *rng.integers(1, 31, size=(30, 2)).tolist(),
    ]
    for shape in shapes:
        cells = grid(rng.integers(10, size=shape))
        assert accepted(layout, layout.answer(cells).tolist())
        assert np.array_equal(layout.parse(layout.answer(cells).tolist()), cells)  # type: ignore[arg-type]


def test_every_way_through_the_successors_is_a_legal_answer(layout: Layout) -> None:
    rng = np.random.default_rng(19)
    for closing in (0.02, 0.2, 0.6):
        for _ in range(30):
            state: AnswerState | None = AnswerState()
            walked: list[int] = []
            while state is not None:
                following = successors(layout, state)
                assert following, f"nothing may follow {walked}"
                rare = [token for token in following if token not in layout.cells]
                choice = rare if rare and rng.random() < closing else list(following)
                walked.append(choice[rng.integers(len(choice))])
                state = following[walked[-1]]
            cells = layout.parse(walked)
            assert cells is not None, f"{walked} is no answer"
            assert layout.answer(cells).tolist() == walked
            assert max(cells.shape) <= LARGEST_SIDE


@pytest.mark.parametrize(
    ("name", "longest"), [("chat16", 7), ("architects", 6), ("numpy-pieces", 6), ("numpy-bytes", 5)]
)
def test_exactly_the_legal_answers_are_accepted(name: str, longest: int) -> None:
    """Brute force over all short strings of an alphabet with two colours (one for the longer numpy answers)."""
    layout = LAYOUTS[name]
    colours = (4, 7) if len(layout.alphabet) < 14 else (4,)
    sizes = [shape for shape in product(range(1, longest), repeat=2) if shape[0] * shape[1] < longest]
    grids = (grid(np.reshape(cells, size)) for size in sizes for cells in product(colours, repeat=size[0] * size[1]))
    legal = {answer for answer in (tuple(layout.answer(each).tolist()) for each in grids) if len(answer) <= longest}
    assert legal
    cells = {layout.cells[colour] for colour in colours}
    letters = sorted(cells | (set(layout.alphabet) - set(layout.cells)))
    strings = [text for length in range(longest + 1) for text in product(letters, repeat=length)]
    assert {text for text in strings if accepted(layout, text)} == legal
    assert {text for text in strings if layout.parse(text) is not None} == legal


def test_what_is_no_grid_of_at_most_30_by_30_is_no_answer(layout: Layout) -> None:
    def lines(*widths: int) -> list[int]:
        parts = [layout.grid_ids(grid(np.full((1, width), 3))).tolist() for width in widths]
        joined = parts[0]
        for part in parts[1:]:
            joined = [*joined, *layout.row_gap, *part]
        return [*joined, *layout.answer_close]

    assert layout.parse(lines(2, 2)) is not None
    wrong = {
        "31 wide": lines(31),
        "31 high": lines(*[1] * 31),
        "a second row too short": lines(3, 2),
        "a second row too long": lines(2, 3),
        "a third row too short": lines(3, 3, 1),
        "empty": [*layout.answer_close],
        "nothing": [],
        "an empty first row": [*layout.row_gap, *lines(2)],
        "an empty last row": [*layout.grid_ids(grid([[3]])).tolist(), *layout.row_gap, *layout.answer_close],
        "unclosed": lines(2, 2)[: -len(layout.answer_close)],
        "half closed": lines(2, 2)[:-1] if len(layout.answer_close) > 1 else lines(2, 2)[:-2],
        "more after the close": [*lines(2, 2), layout.cells[0]],
        "closed twice": [*lines(2, 2), *layout.answer_close],
        "a token that is no part of answers": [max(layout.alphabet) + 1, *lines(2)],
    }
    for what, answer in wrong.items():
        assert layout.parse(answer) is None, what
        assert not accepted(layout, answer), what


def test_an_answer_can_end_only_where_a_row_is_full() -> None:
    assert ends(CHAT16, AnswerState()) == []
    assert ends(CHAT16, AnswerState(width=0, rows=0, column=2)) == [15]
    assert ends(CHAT16, AnswerState(width=3, rows=1, column=2)) == []
    assert ends(CHAT16, AnswerState(width=3, rows=1, column=3)) == [15]


# -- batches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiple", [1, 32])
def test_a_batch_holds_each_row_on_the_left_and_learns_nothing_from_padding(layout: Layout, multiple: int) -> None:
    rng = np.random.default_rng(20)
    rows = [row(layout, random_pairs(rng, n), UNLIMITED, first_learned=1) for n in (1, 4, 2)]
    ids, learn, where = padded(layout, rows, multiple)
    longest = max(len(each.ids) for each in rows)
    width = ids.shape[1]
    assert longest <= width < longest + multiple
    assert width % multiple == 0
    assert ids.shape == learn.shape == (3, width)
    assert where.shape == (layout.axes, 3, width)
    for k, each in enumerate(rows):
        n = len(each.ids)
        assert np.array_equal(ids[k, :n], each.ids)
        assert np.array_equal(learn[k, :n], each.learn)
        assert np.array_equal(where[:, k, :n], layout.positions_of(each.ids))
        assert (ids[k, n:] == layout.pad).all()
        assert not learn[k, n:].any()


def test_ids_are_64_bit_as_torch_wants_them(layout: Layout) -> None:
    pairs = random_pairs(np.random.default_rng(21), 2)
    made: Prompt = prompt(layout, pairs, pairs[0].input, UNLIMITED)
    trained = row(layout, pairs, UNLIMITED)
    arrays: list[Ids] = [made.ids, trained.ids, layout.positions_of(made.ids), layout.answer(pairs[0].output)]
    assert {each.dtype for each in arrays} == {np.dtype(np.int64)}
    assert trained.learn.dtype == bool
