"""A layout writes grids as ids and reads them back, says where each token stands, and knows every legal answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

from submission.arc.layouts import CHAT16, GRID16, AnswerState, Layout, described, read_layout, successors
from submission.arc.prompts import prompt, row
from submission.arc.tasks import LARGEST_SIDE, Pair, grid
from submission.arc.tokenizer_layouts import architects, numpy_layout, numpy_text
from tests.support.layouts import (
    ARCHITECTS,
    LAYOUTS,
    LLAMA3,
    LLAMA3_IDS,
    LLAMA3_PATTERN,
    LLAMA3_PIECES,
    MERGES,
    UNLIMITED,
    character_tokenizer,
    encoder,
    llama3_ids,
    llama3_tokenizer,
    random_pairs,
)


@pytest.mark.parametrize(
    "name",
    ["chat16", "numpy-pieces", *(pytest.param(each, marks=pytest.mark.slow) for each in ("grid16", "architects"))],
)
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


def spoken(name: str, ids: Sequence[int]) -> list[str]:
    """The tokens of these ids, as the family's tokenizer names them (Ġ is a space, Ċ a new line)."""
    if name.endswith("16"):
        return ["0123456789ĊUA_<>"[each] for each in ids]
    made = character_tokenizer() if name == "architects" else llama3_tokenizer(MERGES[name.removeprefix("numpy-")])
    return [made.id_to_token(each).replace("\n", "Ċ") for each in ids]


ANSWERS = {
    "chat16": "1 2 Ċ 3 4 >",
    "grid16": "1 2 Ċ 3 4 >",
    "architects": "1 2 Ċ 3 4 Ċ <eos>",
    "numpy-bytes": "1 Ġ 2 ] Ċ Ġ [ 3 Ġ 4 ] ] # <|eot_id|>",
    "numpy-pieces": "1 Ġ 2 ]Ċ Ġ[ 3 Ġ 4 ]]# <|eot_id|>",
    "numpy-parts": "1 Ġ 2 ]Ċ Ġ[ 3 Ġ 4 ]] # <|eot_id|>",
}
"""How each layout answers with the rows 1 2 and 3 4, token by token."""


def test_an_answer_is_what_the_family_writes_for_its_grid() -> None:
    written = {name: " ".join(spoken(name, each.answer(grid([[1, 2], [3, 4]])))) for name, each in LAYOUTS.items()}
    assert written == ANSWERS


def test_the_alphabet_is_the_ten_cells_and_what_stands_between_and_behind_them() -> None:
    for name, layout in LAYOUTS.items():
        marks = set(ANSWERS[name].split()) - set("1234")
        assert sorted(spoken(name, layout.alphabet)) == sorted({*"0123456789", *marks}), name


def test_no_answer_is_longer_than_the_longest() -> None:
    assert CHAT16.longest_answer == 30 * 31
    assert ARCHITECTS.longest_answer == 30 * 31 + 1
    for layout in LAYOUTS.values():
        assert layout.longest_answer == len(layout.answer(grid(np.full((30, 30), 9))))


def test_the_text_of_a_numpy_prompt_is_the_published_one() -> None:
    pair, query, answer = Pair(grid([[1, 2], [3, 4]]), grid([[5]])), grid([[6, 7]]), grid([[8], [9]])
    text = numpy_text([pair, pair], query, answer)
    assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n")
    assert text.endswith(
        "\n[[1 2]\n [3 4]] -> [[5]]#\n[[1 2]\n [3 4]] -> [[5]]#<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n[[6 7]] -><|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[8]\n [9]]#<|eot_id|>"
    )


def test_no_message_of_a_numpy_prompt_begins_or_ends_with_white_space() -> None:
    """Llama-3's chat template and the paper's training code trim every message, the system's without examples too."""
    pair = Pair(grid([[1, 2], [3, 4]]), grid([[5]]))
    for pairs in ([], [pair], [pair, pair]):
        text = numpy_text(pairs, grid([[6]]), grid([[7]]))
        messages = [each.split("<|end_header_id|>\n\n")[1] for each in text.split("<|eot_id|>") if each]
        assert len(messages) == 3
        assert messages == [each.strip() for each in messages]
    assert numpy_text([], grid([[6]])).split("<|eot_id|>")[0].endswith("python arrays:")


def test_the_numpy_layout_in_llama_3_s_own_ids() -> None:
    """The ids that the differential review found in the released code's rows, one by one."""
    made = numpy_layout(llama3_ids, pad=128004)
    assert made.cells == tuple(range(15, 25))
    assert (made.cell_gap, made.row_gap) == ((220,), (933, 510))
    assert made.opening == (*made.opening_alone[:-1], 512)
    assert made.opening_alone[-4:] == (439, 10344, 18893, 25), "as python arrays:"
    assert made.opening[:5] == (128000, 128006, 9125, 128007, 271)
    assert made.input_open == (15873,)
    assert made.input_to_output == (5163, 1492, 4416)
    assert (made.output_close, made.context_close) == ((5163, 5062), (5163, 2))
    assert made.query_open == (128009, 128006, 882, 128007, 271, 15873)
    assert made.query_to_answer == (5163, 1492, 128009, 128006, 78191, 128007, 271, 15873)
    assert made.answer_close == (5163, 2, 128009)
    assert (made.learned_before_output, made.learned_before_answer) == (1, 5)


@pytest.fixture(scope="module")
def llama3_vocabulary() -> Callable[[str], list[int]]:
    """Llama-3's own tokenizer, from the package llama-models."""
    tiktoken, package = pytest.importorskip("tiktoken"), find_spec("llama_models")
    if package is None or package.origin is None:
        pytest.skip("needs the package llama-models")
    lines = (Path(package.origin).parent / "llama3" / "tokenizer.model").read_bytes().splitlines()
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in (each.split() for each in lines if each)}
    made = tiktoken.Encoding("llama3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens=LLAMA3_IDS)
    return lambda text: list(made.encode(text, allowed_special="all"))


@pytest.mark.real
def test_the_real_vocabulary_of_llama_3_gives_the_ids_of_the_table(
    llama3_vocabulary: Callable[[str], list[int]],
) -> None:
    assert numpy_layout(llama3_vocabulary, 128004) == numpy_layout(llama3_ids, 128004)
    for word, number in (LLAMA3_IDS | LLAMA3_PIECES).items():
        assert llama3_vocabulary(word) == [number], word


@pytest.mark.real
def test_prompts_and_rows_are_the_real_vocabulary_s_ids_of_their_text(
    llama3_vocabulary: Callable[[str], list[int]],
) -> None:
    layout = numpy_layout(llama3_vocabulary, 128004)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        *pairs, last = random_pairs(rng, 1 + seed % 6, largest=30)
        text = numpy_text(pairs, last.input, last.output)
        made = row(layout, [*pairs, last], UNLIMITED, first_learned=1)
        assert made.ids.tolist() == llama3_vocabulary(text)
        assert prompt(layout, pairs, last.input, UNLIMITED).ids.tolist() == llama3_vocabulary(
            numpy_text(pairs, last.input) + "[["
        )


def test_the_largest_grid_is_written_whole_in_the_numpy_text() -> None:
    """numpy breaks lines and abbreviates beyond its print options."""
    full = grid(np.arange(900).reshape(30, 30) % 10)
    assert f"\n\n{full} -><|eot_id|>" in numpy_text([], full)
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


@pytest.mark.parametrize("number", [-1, 800, 1.0, True, "1", [1], None])
def test_the_learned_tokens_of_a_described_layout_are_a_number_of_those_that_there_are(number: object) -> None:
    described_layout = described(LAYOUTS["numpy-pieces"])
    assert read_layout(described_layout | {"learned_before_answer": 5}).learned_before_answer == 5
    with pytest.raises(ValueError, match="learned_before_answer in its arc_layout is not a number of tokens"):
        read_layout(described_layout | {"learned_before_answer": number})
