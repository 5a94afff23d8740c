"""Frames on the channel between a program and the one who runs it: what is no grid is not read as one."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.programs.sandbox.protocol import MAX_FRAME_BYTES, MAX_SIDE, frame_of, read_frame
from tests.support.cases import cases


@cases(
    "frame",
    [b"", b"g", b"g\1", b"g\1\1", b"g\1\1\1\1", b"g\1\1\12", b"g\0\0", b"g\37\1" + bytes(31), b"x\1\1\1", b"g\1\37"],
)
def test_a_frame_that_is_no_grid_is_not_read_as_one(frame: bytes) -> None:
    assert read_frame(frame) == {"reason": "it wrote something else than answers"}


def test_frames_hold_every_size_of_grid() -> None:
    assert MAX_SIDE == LARGEST_SIDE
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (30, 30), (1, 30), (30, 1), (7, 5)]:
        cells = rng.integers(0, 10, shape)
        assert len(frame_of(cells)) <= MAX_FRAME_BYTES
        assert read_frame(frame_of(cells)) == {"grid": cells.tolist()}


def test_a_reason_holds_nothing_that_drives_a_terminal() -> None:
    assert read_frame(b"r\x1b[2J\r\xff") == {"reason": " [2J \ufffd"}
