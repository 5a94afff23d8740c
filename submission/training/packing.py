"""Pairs packed two cells a byte, as in RE-ARC's .npz and in the cached corpus.

`shapes` is uint8 [pairs, 4]: input height, input width, output height, output width. `cells` is uint8, two cells a
byte, the high half first: all pairs one after the other, input then output, grid row by grid row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Pair, grid

Bytes = NDArray[np.uint8]


class PackedPairs(Sequence[Pair]):
    """Pairs that are unpacked one by one when they are read: hundreds of thousands take no time at the start."""

    def __init__(self, shapes: Bytes, starts: NDArray[np.int64], cells: Bytes) -> None:
        """`starts` [pairs] is the index of each pair's first cell, counted in cells."""
        self._shapes, self._starts, self._cells = shapes, starts, cells

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> PackedPairs: ...
    def __getitem__(self, index: int | slice) -> Pair | PackedPairs:
        if isinstance(index, slice):
            return PackedPairs(self._shapes[index], self._starts[index], self._cells)
        in_height, in_width, out_height, out_width = (int(side) for side in self._shapes[index])
        start, middle = int(self._starts[index]), in_height * in_width
        end = middle + out_height * out_width
        halves = self._cells[start // 2 : (start + end + 1) // 2]
        unpacked = np.stack([halves >> 4, halves & 15], axis=1).reshape(-1)[start % 2 :]
        input_cells, output_cells = unpacked[:middle], unpacked[middle:end]
        return Pair(grid(input_cells.reshape(in_height, in_width)), grid(output_cells.reshape(out_height, out_width)))


def packed(pairs: Iterable[Pair]) -> tuple[Bytes, Bytes]:
    """The shapes and the cells of these pairs."""
    grids = [cells for pair in pairs for cells in (pair.input, pair.output)]
    shapes = np.array([cells.shape for cells in grids], np.uint8).reshape(-1, 4)
    flat = np.concatenate([np.zeros(0, np.uint8), *(cells.reshape(-1) for cells in grids)])
    if len(flat) % 2:
        flat = np.append(flat, np.uint8(0))
    return shapes, flat[0::2] << 4 | flat[1::2]


def starts_of(shapes: Bytes, cells: Bytes) -> NDArray[np.int64]:
    """The index of each pair's first cell, from the shapes and cells of all pairs that are packed together.

    ValueError where there are not as many cells as the shapes say.
    """
    sides = shapes.astype(np.int64)
    sizes = sides[:, 0] * sides[:, 1] + sides[:, 2] * sides[:, 3]
    if (sizes.sum() + 1) // 2 != cells.size:
        raise ValueError(f"{2 * cells.size} cells are there for pairs of {sizes.sum()} cells")
    starts: NDArray[np.int64] = np.cumsum(sizes) - sizes
    return starts
