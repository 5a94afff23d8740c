"""Grids <-> token ids: layouts, one per model family, positions, and what may follow in an answer.

A `Layout` is a value. Ids are put together by array operations from the layout's fragments; no tokenizer is
called per grid. Text form of one prompt, with the fragment names:

    opening {input_open GRID input_to_output GRID output_close}* query_open GRID query_to_answer | GRID answer_close

and a GRID is cells with `cell_gap` between cells and `row_gap` between rows. What follows the bar is the answer,
the part that a model is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, grid

Ids = NDArray[np.int64]


class AnswerState(NamedTuple):
    """Where in an answer a token prefix stands; what may follow depends on nothing else."""

    width: int = 0
    """Cells in the first row, 0 while that row is open."""
    rows: int = 0
    """Rows completed."""
    column: int = 0
    """Cells in the open row."""
    pending: tuple[int, ...] = ()
    """Tokens since the last cell that do not yet decide what comes next."""


@dataclass(frozen=True)
class Layout:
    """How a model family writes a task as token ids; every fragment is a tuple of ids."""

    name: str
    cells: tuple[int, ...]
    """The ids of the colours 0..9."""
    cell_gap: tuple[int, ...]
    row_gap: tuple[int, ...]
    opening: tuple[int, ...]
    input_open: tuple[int, ...]
    input_to_output: tuple[int, ...]
    output_close: tuple[int, ...]
    """After the output of a demonstration that another one follows."""
    context_close: tuple[int, ...]
    """After the output of the last demonstration."""
    query_open: tuple[int, ...]
    query_to_answer: tuple[int, ...]
    answer_close: tuple[int, ...]
    pad: int
    positions: Literal["line", "grid"] = "line"
    """line: one running number a token. grid: (segment, row, column), see `where`."""

    @property
    def axes(self) -> int:
        """Numbers that make one position."""
        return 3 if self.positions == "grid" else 1

    @property
    def longest_answer(self) -> int:
        """Tokens of a 30x30 answer: the most that any answer can take."""
        return len(self.answer(grid(np.zeros((LARGEST_SIDE, LARGEST_SIDE)))))

    @property
    def alphabet(self) -> tuple[int, ...]:
        """Every id that can occur in an answer, in ascending order: the only ones a search may expand."""
        return tuple(sorted({*self.cells, *self.cell_gap, *self.row_gap, *self.answer_close}))

    def rows(self, cells: Grid) -> Ids:
        """A grid's ids, without the fragments around it: int64 [h * (w + gaps)]."""
        height, width = cells.shape
        step = 1 + len(self.cell_gap)
        written = np.empty((height, width * step + len(self.row_gap)), np.int64)
        written[:, 0 : width * step : step] = np.array(self.cells, np.int64)[cells]
        for k, token in enumerate(self.cell_gap, start=1):
            written[:, k : width * step : step] = token
        written = np.delete(written, np.s_[width * step - len(self.cell_gap) : width * step], axis=1)
        if self.row_gap:
            written[:, -len(self.row_gap) :] = self.row_gap
        return written.reshape(-1)[: written.size - len(self.row_gap)]

    def answer(self, cells: Grid) -> Ids:
        """The answer that a model gives for this grid, with its closing tokens."""
        return np.concatenate([self.rows(cells), as_ids(self.answer_close)])

    def parse(self, answer: Sequence[int]) -> Grid | None:
        """The grid of a complete answer, or None where the ids are not exactly one legal answer."""
        state: AnswerState | None = AnswerState()
        colour = {token: c for c, token in enumerate(self.cells)}
        seen: list[int] = []
        for k, token in enumerate(answer):
            following = successors(self, state) if state is not None else {}
            if token not in following:
                return None
            state = following[token]
            if token in colour:
                seen.append(colour[token])
            if state is None and k + 1 < len(answer):
                return None
        if state is not None or not seen:
            return None
        return grid(np.array(seen).reshape(-1, self._first_width(answer)))

    def where(self, ids: Ids) -> Ids:
        """The position of each token of a whole prompt: int64 [axes, length].

        grid: segment counts the grids (input, output, input, ...); a row gap opens the next row at column 0, so
        that each cell (row, column) is predicted from its left neighbour at (row, column - 1), in every row.
        """
        if self.positions == "line":
            return np.arange(len(ids), dtype=np.int64)[None]
        starts, breaks = ids == self.input_open[0], ids == self.row_gap[0]
        index = np.arange(len(ids))
        begin = np.maximum.accumulate(np.where(starts, index, 0))
        row = np.cumsum(breaks) - np.cumsum(breaks)[begin]
        column = index - np.maximum.accumulate(np.where(starts | breaks, index, 0))
        return np.stack([np.cumsum(starts) - 1, row, column]).astype(np.int64)

    def step(self, where: tuple[int, ...], token: int) -> tuple[int, ...]:
        """The position, on each axis, of this answer token behind one that stands at `where`."""
        if self.positions == "line":
            return (where[0] + 1,)
        segment, row, column = where
        return (segment, row + 1, 0) if token == self.row_gap[0] else (segment, row, column + 1)

    def _first_width(self, answer: Sequence[int]) -> int:
        for k, token in enumerate(answer):
            if tuple(answer[k : k + len(self.row_gap)]) == self.row_gap or token == self.answer_close[0]:
                return -(-k // (1 + len(self.cell_gap)))
        raise AssertionError("a legal answer has a row gap or a close")


@lru_cache(maxsize=1 << 16)
def successors(layout: Layout, state: AnswerState) -> Mapping[int, AnswerState | None]:
    """Legal next tokens of an answer and where each leads; None means that the answer is complete.

    Legal answers are rectangular grids of 1..30 by 1..30 cells, fully closed.
    """
    width, rows, column, pending = state
    options: list[tuple[tuple[int, ...], AnswerState | None]] = []
    if column < (width or LARGEST_SIDE):
        gap = layout.cell_gap if column else ()
        options += [((*gap, cell), AnswerState(width, rows, column + 1)) for cell in layout.cells]
    if column and column == (width or column):
        if rows + 1 < LARGEST_SIDE:
            options += [((*layout.row_gap, cell), AnswerState(column, rows + 1, 1)) for cell in layout.cells]
        options.append((layout.answer_close, None))
    following: dict[int, AnswerState | None] = {}
    done = len(pending)
    for tokens, then in options:
        if tokens[:done] == pending:
            last = len(tokens) == done + 1
            following[tokens[done]] = then if last else state._replace(pending=tokens[: done + 1])
    return following


CHAT16 = Layout(
    name="chat16",
    cells=tuple(range(10)),
    cell_gap=(),
    row_gap=(10,),
    opening=(),
    input_open=(14, 11, 10),
    input_to_output=(15, 14, 12, 10),
    output_close=(15,),
    context_close=(15,),
    query_open=(14, 11, 10),
    query_to_answer=(15, 14, 12, 10),
    answer_close=(15,),
    pad=13,
)
"""The 16 ids of NVARC's Qwen3 models: 10 newline, 11 user, 12 assistant, 13 pad, 14 im_start, 15 im_end."""

GRID16 = replace(CHAT16, name="grid16", positions="grid")
"""chat16 with (segment, row, column) positions: the embedded model's layout."""

NAMED = {layout.name: layout for layout in (CHAT16, GRID16)}
"""The layouts that a checkpoint's config may name as its `arc_layout`; others it has to describe."""


def described(layout: Layout) -> str | dict[str, Any]:
    """What a checkpoint's config says of its layout as `arc_layout`: a name, or all of its fragments."""
    return layout.name if layout.name in NAMED else asdict(layout)


def read_layout(description: Any) -> Layout:
    """The layout behind a config's `arc_layout`; ValueError where that is none."""
    if isinstance(description, str) and description in NAMED:
        return NAMED[description]
    if not isinstance(description, dict) or set(description) != {each.name for each in fields(Layout)}:
        raise ValueError(f"its arc_layout is neither one of {', '.join(NAMED)} nor a whole layout")
    read: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value for key, value in description.items()
    }
    layout = Layout(**read)
    if len(set(layout.cells)) != len(layout.cells) or len(layout.cells) != 10:
        raise ValueError("its arc_layout does not name ten ids for the ten colours")
    return layout


def renumbered(layout: Layout, kept: Sequence[int]) -> Layout:
    """The same layout after a vocabulary was cut to the ids `kept`, which are numbered anew in that order."""
    new = {old: k for k, old in enumerate(kept)}
    value = {each.name: getattr(layout, each.name) for each in fields(Layout)}
    cut: dict[str, Any] = {
        key: tuple(new[token] for token in ids) for key, ids in value.items() if isinstance(ids, tuple)
    }
    return replace(layout, pad=new[layout.pad], **cut)


def vocabulary(layout: Layout) -> tuple[int, ...]:
    """Every id that the layout writes, in ascending order."""
    written = [ids for each in fields(Layout) if isinstance(ids := getattr(layout, each.name), tuple)]
    return tuple(sorted({layout.pad, *(token for ids in written for token in ids)}))


PRE_PROMPT = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjklmnpqrstuvwxyz"
"""The letters, without I, O, i and o, that the Architects' models read before each task."""

Encode = Callable[[str], Sequence[int]]
"""A tokenizer: text with special tokens spelled out -> ids, nothing added."""


def architects(encode: Encode, bos: int, eos: int, pad: int) -> Layout:
    """The layout of the Architects' and PoE's models: `I` rows `+/-=O` rows eos, one token a character."""

    def one(text: str) -> tuple[int, ...]:
        ids = tuple(token for letter in text for token in encode(letter))
        if len(ids) != len(text):
            raise ValueError(f"this tokenizer does not write each character of {text!r} as one token")
        return ids

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


NUMPY_INSTRUCTION = (
    "Figure out the underlying transformation in the following examples and apply it to the test case. "
    "Here are some examples from this transformation, your answer must follow the format.\n"
    "The input-output grids are provided as python arrays:\n"
)


def numpy_text(demonstrations: Sequence[Pair], query: Grid, answer: Grid | None = None) -> str:
    """The text form of the TTT paper's Llama-3 models: grids as numpy prints them, in three chat messages."""

    def message(role: str, content: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n{content}"

    shown = "\n".join(f"{pair.input} -> {pair.output}#" for pair in demonstrations)
    text = "<|begin_of_text|>" + message("system", NUMPY_INSTRUCTION + shown) + "<|eot_id|>"
    text += message("user", f"{query} -> ") + "<|eot_id|>" + message("assistant", "")
    return text + (f"{answer}#<|eot_id|>" if answer is not None else "")


def numpy_layout(encode: Encode, pad: int) -> Layout:
    """The layout of `numpy_text`, its fragments read off one probe text by this tokenizer.

    Holds for tokenizers in which a digit between brackets or spaces is a token of its own (Llama-3's are).
    """
    zero = grid(np.zeros((2, 2)))
    probe = Pair(zero, zero)
    cells = tuple(encode(str(c))[-1] for c in range(10))
    cut: list[tuple[int, ...]] = [()]
    for token in encode(numpy_text([probe, probe], zero, zero)):
        if token == cells[0]:
            cut.append(())
        else:
            cut[-1] = (*cut[-1], token)
    # A tokenizer that has no word for a space or a bracket leaves it out without a word of its own.
    if len(cut) != 6 * 4 + 1 or len(set(cells)) != 10 or not cut[1] or not cut[2]:
        raise ValueError("this tokenizer does not write each cell of a numpy grid as one token")
    bracket = len(encode("[[0")) - 1
    between, before_query = cut[8], cut[16]
    eot = before_query.index(encode("<|eot_id|>")[0])
    return Layout(
        name="numpy",
        cells=cells,
        cell_gap=cut[1],
        row_gap=cut[2],
        opening=cut[0][:-bracket],
        input_open=cut[0][-bracket:],
        input_to_output=cut[4],
        output_close=between[:-bracket],
        context_close=before_query[:eot],
        query_open=before_query[eot:],
        query_to_answer=cut[20],
        answer_close=cut[24],
        pad=pad,
    )


def as_ids(tokens: tuple[int, ...]) -> Ids:
    """A fragment as an array."""
    return np.array(tokens, np.int64)
