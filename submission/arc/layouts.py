"""Layouts: how each model family writes grids as token ids, the positions of the tokens, and the grammar of answers.

A `Layout` is a value: fragments of token ids, joined by array operations; no tokenizer is called per grid. A prompt and
its answer, with the names of the fragments:

    opening {input_open GRID input_to_output GRID output_close}* query_open GRID query_to_answer | GRID answer_close

The last demonstration ends in `context_close`; without any the opening is `opening_alone`. GRID is cells with
`cell_gap` between cells and `row_gap` between grid rows. The bar is where the prompt ends and the answer begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import LARGEST_SIDE, Grid, grid

Ids = NDArray[np.int64]
"""Token ids."""


class AnswerState(NamedTuple):
    """The state of the answer grammar after some tokens: the legal next tokens depend on it alone."""

    width: int = 0
    """Cells in the first grid row, 0 while that is not complete."""
    rows: int = 0
    """Grid rows that are complete."""
    column: int = 0
    """Cells in the grid row that is not complete."""
    pending: tuple[int, ...] = ()
    """Tokens since the last cell, if they are the beginning of a longer fragment."""


Positions = Literal["line", "grid"]
POSITIONS = get_args(Positions)


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
    """Follows the output of every demonstration but the last."""
    context_close: tuple[int, ...]
    """Follows the output of the last demonstration."""
    query_open: tuple[int, ...]
    query_to_answer: tuple[int, ...]
    answer_close: tuple[int, ...]
    pad: int
    positions: Positions = "line"
    """line: the index of the token. grid: (segment, grid row, grid column), see `positions_of`."""
    opening_alone: tuple[int, ...] = ()
    """In place of `opening` where no demonstration follows; empty: `opening` there as well."""
    learned_before_output: int = 0
    """Tokens at the end of `input_to_output` that count in the loss where the output behind them does."""
    learned_before_answer: int = 0
    """Tokens at the end of `query_to_answer` that count in the loss of a training row."""

    @property
    def axes(self) -> int:
        """Numbers in the position of one token."""
        return 3 if self.positions == "grid" else 1

    @property
    def longest_answer(self) -> int:
        """Tokens of a 30x30 answer, the longest there is."""
        return len(self.answer(grid(np.zeros((LARGEST_SIDE, LARGEST_SIDE)))))

    @property
    def alphabet(self) -> tuple[int, ...]:
        """The ids that can occur in an answer, ascending."""
        return tuple(sorted({*self.cells, *self.cell_gap, *self.row_gap, *self.answer_close}))

    def grid_ids(self, cells: Grid) -> Ids:
        """Return the ids of a grid [h, w], without fragments around it: int64 [h * (w + gaps)]."""
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
        """Return the ids of the answer with this grid, `answer_close` included: int64 [length]."""
        return np.concatenate([self.grid_ids(cells), as_ids(self.answer_close)])

    def parse(self, answer: Sequence[int]) -> Grid | None:
        """Return the grid of a complete answer; None if the ids are not exactly one legal answer."""
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

    def positions_of(self, ids: Ids) -> Ids:
        """Return the position of each token of a prompt, or of prompt and answer: ids [length] -> int64 [axes, length].

        With `positions` "grid": the segment counts the grids (input, output, input, ...); a row gap stands at column 0
        of the next grid row, so that every cell is predicted from the position to its left.
        """
        if self.positions == "line":
            return np.arange(len(ids), dtype=np.int64)[None]
        starts, breaks = ids == self.input_open[0], ids == self.row_gap[0]
        index = np.arange(len(ids))
        begin = np.maximum.accumulate(np.where(starts, index, 0))
        row = np.cumsum(breaks) - np.cumsum(breaks)[begin]
        column = index - np.maximum.accumulate(np.where(starts | breaks, index, 0))
        return np.stack([np.cumsum(starts) - 1, row, column]).astype(np.int64)

    def next_position(self, position: tuple[int, ...], token: int) -> tuple[int, ...]:
        """Return the position (one number per axis) of an answer token that follows a token at `position`."""
        if self.positions == "line":
            return (position[0] + 1,)
        segment, row, column = position
        return (segment, row + 1, 0) if token == self.row_gap[0] else (segment, row, column + 1)

    def _first_width(self, answer: Sequence[int]) -> int:
        """Return the cells in the first grid row of a legal answer."""
        for k, token in enumerate(answer):
            if tuple(answer[k : k + len(self.row_gap)]) == self.row_gap or token == self.answer_close[0]:
                return -(-k // (1 + len(self.cell_gap)))
        raise AssertionError("a legal answer has a row gap or a close")


@lru_cache(maxsize=1 << 16)
def successors(layout: Layout, state: AnswerState) -> Mapping[int, AnswerState | None]:
    """Return the legal next tokens of an answer, each with the state that follows; None: the answer is complete.

    Legal answers are rectangular grids of 1..30 by 1..30 cells, followed by `answer_close`.
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
"""The ids of NVARC's Qwen3 models: 0..9 colours, 10 newline, 11 user, 12 assistant, 13 pad, 14 im_start, 15 im_end."""

GRID16 = replace(CHAT16, name="grid16", positions="grid")
"""chat16 with (segment, row, column) positions: the embedded model's layout."""

NAMED = {layout.name: layout for layout in (CHAT16, GRID16)}
"""The layouts that the `arc_layout` of a checkpoint's config may name; all others are described by their fragments."""

LEARNED = {"learned_before_output": "input_to_output", "learned_before_answer": "query_to_answer"}
"""Fields that are numbers of tokens -> the fragment at whose end these are."""

ADDED = {"opening_alone", *LEARNED}
"""Fields that the description of a layout may lack: their defaults are what all layouts but numpy have."""


def described(layout: Layout) -> str | dict[str, Any]:
    """Return the `arc_layout` of a checkpoint's config: the layout's name, or all of its fragments."""
    return layout.name if layout.name in NAMED else asdict(layout)


def read_layout(description: Any) -> Layout:
    """Return the layout of a config's `arc_layout`; ValueError if it is none.

    Earlier versions did not write the fragments of `ADDED`. Of the layout numpy these are not optional: what those
    versions wrote has a token too many before each answer.
    """
    if isinstance(description, str) and description in NAMED:
        return NAMED[description]
    names = {each.name for each in fields(Layout)}
    if isinstance(description, dict) and set(description) == names - ADDED and description.get("name") == "numpy":
        raise ValueError("its arc_layout numpy was written by an earlier version, and is wrong: shrink it again")
    if not isinstance(description, dict) or not names - ADDED <= set(description) <= names:
        raise ValueError(f"its arc_layout is neither one of {', '.join(NAMED)} nor a complete layout")
    read: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value for key, value in description.items()
    }
    layout = Layout(**read)
    for name, value in read.items():
        if name not in ("name", "positions", *LEARNED) and not _is_fragment(value if name != "pad" else (value,)):
            raise ValueError(f"{name} in its arc_layout is not made of token ids")
    for name in LEARNED.keys() & read.keys():
        if type(read[name]) is not int or not 0 <= read[name] <= len(read[LEARNED[name]]):
            raise ValueError(f"{name} in its arc_layout is not a number of tokens of its {LEARNED[name]}")
    if not isinstance(layout.name, str) or not layout.name.isidentifier() or layout.positions not in POSITIONS:
        raise ValueError("its arc_layout has a name or positions that are not known")
    return layout


def _is_fragment(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(token) is int and 0 <= token < 1 << 31 for token in value)


def require_legible(layout: Layout) -> None:
    """ValueError unless every grid can be read back from its ids, and no colour is written anywhere else."""
    if len(set(layout.cells)) != len(layout.cells) or len(layout.cells) != 10:
        raise ValueError("the layout does not have ten different ids for the ten colours")
    others = {name: ids for name, ids in _fragments(layout).items() if name != "cells"} | {"pad": (layout.pad,)}
    if wrong := [name for name, ids in others.items() if set(ids) & set(layout.cells)]:
        raise ValueError(f"the id of a colour is in the layout's {wrong[0]} as well")
    for shape in ((1, 1), (1, 2), (2, 1), (2, 3), (3, 3)):
        cells = grid(np.arange(shape[0] * shape[1]).reshape(shape))
        back = layout.parse(layout.answer(cells).tolist()) if layout.row_gap and layout.answer_close else None
        if back is None or not np.array_equal(back, cells):
            raise ValueError(f"a grid of {shape[0]}x{shape[1]} cannot be read back from its ids")


def renumbered(layout: Layout, kept: Sequence[int]) -> Layout:
    """Return the layout for a vocabulary that was cut to the ids `kept`: each gets its index in `kept` as new id."""
    new = {old: k for k, old in enumerate(kept)}
    fragments: dict[str, Any] = {name: tuple(new[token] for token in ids) for name, ids in _fragments(layout).items()}
    return replace(layout, pad=new[layout.pad], **fragments)


def vocabulary(layout: Layout) -> tuple[int, ...]:
    """Return all ids that the layout writes, ascending."""
    return tuple(sorted({layout.pad, *(token for ids in _fragments(layout).values() for token in ids)}))


def _fragments(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return all fragments of a layout by name, the cells included."""
    values = {each.name: getattr(layout, each.name) for each in fields(Layout)}
    return {name: ids for name, ids in values.items() if isinstance(ids, tuple)}


def as_ids(tokens: tuple[int, ...]) -> Ids:
    """Return a fragment as an array: int64 [length]."""
    return np.array(tokens, np.int64)
