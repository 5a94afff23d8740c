"""Prompts and rows: the very text that each model family was trained on, fitted into the context, with its loss."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import get_args

import numpy as np
import pytest

from submission.arc.layouts import Ids, Layout
from submission.arc.prompts import Prompt, Row, padded, prompt, row, task_length
from submission.arc.tasks import Grid, Pair, grid, public_set
from submission.arc.tokenizer_layouts import numpy_layout, numpy_text
from submission.config import Dropped
from tests.support.layouts import CHARACTERS, LAYOUTS, LLAMA3, UNLIMITED, llama3_ids, random_pairs

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


@pytest.mark.parametrize("family", LAYOUTS)
def test_prompts_and_rows_are_the_ids_of_the_family_s_text(family: str) -> None:
    layout, reference = LAYOUTS[family], REFERENCES[family]
    for demonstrations, largest in product((0, 1, 2, 5), (2, 6, 30)):
        rng = np.random.default_rng((demonstrations, largest))
        *pairs, last = random_pairs(rng, demonstrations + 1, largest)
        assert prompt(layout, pairs, last.input, UNLIMITED).ids.tolist() == reference(pairs, last.input, None)
        assert row(layout, [*pairs, last], UNLIMITED).ids.tolist() == reference(pairs, last.input, last.output)


# -- what counts in the loss ------------------------------------------------------------------------------------


def learned_runs(made: Row) -> list[list[int]]:
    """The ids of each stretch of neighbouring learned tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], made.learn, [False]]).astype(int)))
    return [made.ids[start:end].tolist() for start, end in edges.reshape(-1, 2)]


def assert_outputs_with_their_close(layout: Layout, runs: list[list[int]], pairs: Sequence[Pair]) -> None:
    """Each run is one pair's output and the tokens that close it; the last closes as an answer does.

    In the layout numpy the brackets before an output count as well, and the header of the last message.
    """
    assert len(runs) == len(pairs)
    for k, (whole_run, pair) in enumerate(zip(runs, pairs, strict=True)):
        is_answer = k == len(pairs) - 1
        before = layout.query_to_answer if is_answer else layout.input_to_output
        lead = layout.learned_before_answer if is_answer else layout.learned_before_output
        assert tuple(whole_run[:lead]) == before[len(before) - lead :]
        assert (lead > 0) == (layout.name == "numpy")
        run, cells = whole_run[lead:], layout.grid_ids(pair.output).tolist()
        assert run[: len(cells)] == cells
        close = tuple(run[len(cells) :])
        if k == len(pairs) - 1:
            assert close == layout.answer_close
        else:
            whole_closes = (layout.output_close, layout.answer_close)
            assert close and any(close == whole[: len(close)] for whole in whole_closes)


def test_only_outputs_from_the_first_learned_on_and_the_answer_count(layout: Layout) -> None:
    for n, first_learned in product((1, 2, 5), (0, 1, 2, 4)):
        pairs = random_pairs(np.random.default_rng(n), n)
        made = row(layout, pairs, UNLIMITED, first_learned)
        assert made.ids.shape == made.learn.shape
        learned = [*pairs[first_learned : n - 1], pairs[-1]]
        assert_outputs_with_their_close(layout, learned_runs(made), learned)


def released_numpy_mask(ids: Sequence[int]) -> list[bool]:
    """What the TTT paper's training code learns of a row, from its description.

    In the system message, for each " ->" (1492) but the first: what follows, up to the next "#" (2) or "#\\n" (5062).
    Of the messages behind it the assistant's (78191 in its header), whole.
    """
    ends = [k + 1 for k, token in enumerate(ids) if token == 128009]
    learn = [False] * len(ids)
    for begin, end in zip([0, *ends], ends, strict=False):
        if 9125 in ids[begin : begin + 3]:
            for arrow in [k for k in range(begin, end) if ids[k] == 1492][1:]:
                close = next(k for k in range(arrow, end) if ids[k] in (2, 5062))
                learn[arrow + 1 : close + 1] = [True] * (close - arrow)
        elif 78191 in ids[begin : begin + 2]:
            learn[begin:end] = [True] * (end - begin)
    return learn


def test_the_loss_of_a_numpy_row_is_that_of_the_released_code() -> None:
    layout, learned, before = numpy_layout(llama3_ids, pad=128004), 0, 0
    for seed in range(60):
        pairs = random_pairs(np.random.default_rng(seed), 1 + seed % 6, largest=8)
        made = row(layout, pairs, UNLIMITED, first_learned=1)
        assert made.learn.tolist() == released_numpy_mask(made.ids.tolist())
        learned += int(made.learn.sum())
        before += sum(len(layout.answer(pair.output)) for pair in pairs[1:-1]) + len(layout.answer(pairs[-1].output))
        before -= max(0, len(pairs) - 2)  # a demonstration closes without the end of the message
    assert learned - before == 60 * 5 + sum(max(0, seed % 6 - 1) for seed in range(60)), "header and brackets"


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


def test_a_row_drops_the_earliest_pairs_and_learns_from_those_that_stay(layout: Layout) -> None:
    pairs = random_pairs(np.random.default_rng(11), 5)
    lengths = [len(row(layout, pairs[k:], UNLIMITED).ids) for k in range(len(pairs))]
    for first_learned in (0, 1, 2):
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


@pytest.mark.parametrize("n", [1, 2, 5])
def test_poe_drops_the_pairs_that_are_shown_last(n: int) -> None:
    """The reference is the released code's loop: it takes the last pair away until the text fits."""
    layout, family = LAYOUTS["architects"], REFERENCES["architects"]
    *pairs, query = random_pairs(np.random.default_rng(n), n + 1)
    lengths = [len(family(pairs[:k], query.input, None)) for k in range(n + 1)]
    for limit in [each - less for each in lengths for less in (0, 1)]:
        shown = list(pairs)
        while shown and len(family(shown, query.input, None)) > limit:
            shown.pop()
        made = prompt(layout, pairs, query.input, limit, "last")
        assert (made.ids.tolist(), made.dropped) == (family(shown, query.input, None), n - len(shown))
    every = [*pairs, query]
    lengths = [len(family(every[:k], every[k].input, every[k].output)) for k in range(n + 1)]
    for limit in [each - less for each in lengths for less in (0, 1)]:
        shown = list(every)
        while len(shown) > 1 and len(family(shown[:-1], shown[-1].input, shown[-1].output)) > limit:
            shown.pop()
        trained = row(layout, every, limit, 1, "last")
        assert trained.ids.tolist() == family(shown[:-1], shown[-1].input, shown[-1].output)
        assert_outputs_with_their_close(layout, learned_runs(trained), shown[1:] or shown)


@pytest.mark.parametrize(("name", "prompts", "cut", "long"), [("arc1-eval", 419, 4, 17), ("arc2-eval", 167, 3, 5)])
def test_as_many_prompts_of_the_public_sets_lose_demonstrations_as_in_the_released_code(
    name: str, prompts: int, cut: int, long: int
) -> None:
    """Counted with PoE's own code at 8192 tokens, which keeps 931 for the answer; no training row is over 8192 tokens,
    and those of so many tasks are over the Architects' 4224."""
    tasks, _ = public_set(name)
    layout = LAYOUTS["architects"]
    for dropped in get_args(Dropped):
        asked = [
            prompt(layout, task.demonstrations, query, 8192 - layout.longest_answer, dropped).dropped > 0
            for task in tasks.values()
            for query in task.tests
        ]
        assert (len(asked), sum(asked)) == (prompts, cut)
    rows = [len(row(layout, task.demonstrations, UNLIMITED, 1).ids) for task in tasks.values()]
    assert (max(rows) <= 8192, sum(length > 4224 for length in rows)) == (True, long)


# -- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_holds_each_row_on_the_left_and_learns_nothing_from_padding(layout: Layout) -> None:
    rng = np.random.default_rng(20)
    rows = [row(layout, random_pairs(rng, n), UNLIMITED, first_learned=1) for n in (1, 4, 2)]
    longest = max(len(each.ids) for each in rows)
    for multiple in (1, 32):
        ids, learn, where = padded(layout, rows, multiple)
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
