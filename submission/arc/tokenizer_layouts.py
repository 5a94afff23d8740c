"""Layouts whose ids are those of a checkpoint's own tokenizer: the Architects' and the TTT paper's.

The tokenizer is called a few times to make the layout, and never for a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from submission.arc.layouts import Layout
from submission.arc.prompts import prompt
from submission.arc.tasks import Grid, Pair, grid

PRE_PROMPT = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjklmnpqrstuvwxyz"
"""The text before each task in the prompts of the Architects' models: all letters without I, O, i and o."""

Encode = Callable[[str], Sequence[int]]
"""A tokenizer: text with special tokens written out -> ids, nothing added."""


def architects(encode: Encode, bos: int, eos: int, pad: int) -> Layout:
    """Return the layout of the Architects' and PoE's models: `I` grid `+/-=O` grid eos, one token per character.

    Source: Franzen, Disselhoff and Hartmann, "The LLM ARChitect" (ARC Prize 2024). ValueError for a tokenizer that does
    not write each character as one token of its own.
    """
    letters = sorted({*PRE_PROMPT, *"0123456789IO+/-=\n"})
    # A character of no language: what stands for it stands for all that the tokenizer does not know.
    unknown = list(encode("\ue000"))[-1:]
    if lacking := [letter for letter in letters if list(encode(letter))[-1:] in ([], unknown)]:
        raise ValueError(f"this tokenizer does not know the characters {''.join(lacking)!r}")
    tokens = {letter: character(encode, letter) for letter in letters}
    shared = sorted(letter for letter, token in tokens.items() if list(tokens.values()).count(token) > 1)
    if shared:
        raise ValueError(f"this tokenizer writes the characters {''.join(shared)!r} as one and the same token")
    written = list(encode(PRE_PROMPT))
    if len(written) == len(PRE_PROMPT) + 1 and written[1:] == [tokens[letter] for letter in PRE_PROMPT]:
        # A vocabulary that was cut to characters, but not its rule to begin every text with a space: the model was
        # trained with spaces in places that this layout does not know.
        raise ValueError("this tokenizer writes each character as one token, and puts a space before each text")

    def one(text: str) -> tuple[int, ...]:
        return tuple(tokens[letter] for letter in text)

    between = one("\n+/-=O")
    close = (*one("\n"), eos)
    return Layout(
        name="architects",
        cells=one("0123456789"),
        cell_gap=(),
        row_gap=one("\n"),
        opening=(bos, *one(PRE_PROMPT)),
        input_open=one("I"),
        input_to_output=between,
        output_close=close,
        context_close=close,
        query_open=one("I"),
        query_to_answer=between,
        answer_close=close,
        pad=pad,
    )


def character(encode: Encode, letter: str) -> int:
    """Return the id of one character within a text; ValueError where that is not one token.

    A tokenizer of the sentencepiece kind puts a space before each text, as a token of its own or joined to the first
    character ("\u2581A"). There the id is what the character adds to a new line before it.
    """
    alone, pair, line = list(encode(letter)), list(encode("\n" + letter)), list(encode("\n"))
    if len(line) > 1 and len(pair) == len(line) + 1 and pair[:-1] == line:
        return pair[-1]
    if len(alone) != 1:
        raise ValueError(f"this tokenizer does not write each character as one token: {letter!r} becomes {alone}")
    return alone[0]


SPECIAL_WORDS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
"""The words of Llama 3 between the messages of a chat."""

NUMPY_INSTRUCTION = (
    "Figure out the underlying transformation in the following examples and apply it to the test case. "
    "Here are some examples from this transformation, your answer must follow the format.\n"
    "The input-output grids are provided as python arrays:\n"
)


def numpy_text(demonstrations: Sequence[Pair], query: Grid, answer: Grid | None = None) -> str:
    """Return a prompt as text, as the Llama-3 models of the TTT paper (arXiv 2411.07279) read it.

    Grids are written as numpy prints them, in three chat messages: system, user, assistant. No message begins or ends
    with a space or a new line: Llama 3's chat template trims each message, and so does the paper's training code.
    """

    def message(role: str, content: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n{content.strip()}"

    shown = "\n".join(f"{pair.input} -> {pair.output}#" for pair in demonstrations)
    text = "<|begin_of_text|>" + message("system", NUMPY_INSTRUCTION + shown) + "<|eot_id|>"
    text += message("user", f"{query} ->") + "<|eot_id|>" + message("assistant", "")
    return text + (f"{answer}#<|eot_id|>" if answer is not None else "")


def numpy_layout(encode: Encode, pad: int) -> Layout:
    """Return the layout of `numpy_text`, with the fragments that this tokenizer gives for one probe text.

    The probe has two demonstrations, a query and its answer, all grids 2x2 zeros. ValueError for a tokenizer that does
    not write a digit between brackets or spaces, or a word between two messages, as one token (Llama-3's does).

    The loss is that of the paper's training code: of each output that counts also the brackets before it, and of the
    answer the whole last message, its header included.
    """
    if several := [word for word in SPECIAL_WORDS if len(encode(word)) != 1]:
        raise ValueError(
            f"layout numpy is for Llama 3, and this tokenizer does not have {', '.join(several)} as one token each"
        )
    zero = grid(np.zeros((2, 2)))
    probe = Pair(zero, zero)
    cells = tuple(encode(str(c))[-1] for c in range(10))
    pieces = _split(encode(numpy_text([probe, probe], zero, zero)), cells[0])
    # The six grids have four cells each. A tokenizer that cannot write spaces or brackets leaves the gaps empty.
    if len(pieces) != 6 * 4 + 1 or len(set(cells)) != 10 or not pieces[1] or not pieces[2]:
        raise ValueError("this tokenizer does not write each cell of a numpy grid as one token")
    _, cell_gap, row_gap, *_ = pieces
    # Every fourth piece stands before, between and after the grids: in out, in out, query answer.
    start, input_to_output, next_demonstration, _, before_query, query_to_answer, answer_close = pieces[::4]
    bracket = len(encode("[[0")) - 1
    eot = before_query.index(encode("<|eot_id|>")[0])
    alone, *_ = _split(encode(numpy_text([], zero)), cells[0])
    arrow = tuple(encode("]] ->"))
    if input_to_output[: len(arrow)] != arrow:
        raise ValueError("this tokenizer does not write the arrow between two numpy grids apart from the second one")
    made = Layout(
        name="numpy",
        cells=cells,
        cell_gap=cell_gap,
        row_gap=row_gap,
        opening=start[:-bracket],
        input_open=start[-bracket:],
        input_to_output=input_to_output,
        output_close=next_demonstration[:-bracket],
        context_close=before_query[:eot],
        query_open=before_query[eot:],
        query_to_answer=query_to_answer,
        answer_close=answer_close,
        pad=pad,
        opening_alone=alone[: len(alone) - len(before_query[eot:])],
        learned_before_output=len(input_to_output) - len(arrow),
        learned_before_answer=len(query_to_answer) - query_to_answer.index(encode("<|start_header_id|>")[0]),
    )
    _check_numpy(made, encode)
    return made


def _check_numpy(layout: Layout, encode: Encode) -> None:
    """ValueError unless the layout writes other texts as the tokenizer does: all colours, in other shapes."""
    shapes = [(1, 1), (2, 3), (3, 1), (1, 5), (4, 2), (5, 5)]
    grids = [grid(np.arange(k, k + h * w).reshape(h, w) % 10) for k, (h, w) in enumerate(shapes)]
    both = [Pair(grids[0], grids[1]), Pair(grids[2], grids[3])]
    texts = {
        numpy_text(pairs, grids[4], grids[5]): [*prompt(layout, pairs, grids[4], 10_000).ids, *layout.answer(grids[5])]
        for pairs in (both, both[:1], [])
    }
    if any(written != list(encode(text)) for text, written in texts.items()):
        raise ValueError("this tokenizer writes the cells of a numpy grid in other tokens beside other cells")


def _split(ids: Sequence[int], separator: int) -> list[tuple[int, ...]]:
    """Return the runs of ids between the occurrences of one id; runs may be empty."""
    runs: list[tuple[int, ...]] = [()]
    for token in ids:
        if token == separator:
            runs.append(())
        else:
            runs[-1] = (*runs[-1], token)
    return runs
