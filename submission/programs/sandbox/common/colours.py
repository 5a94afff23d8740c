"""The colours of cells by their names."""

from __future__ import annotations

__all__ = ["Color"]


class Color:
    """The colours as ints: `Color.BLACK` is 0, `Color.BROWN` is 9.

    GREY, TEAL and MAROON are the names of BARC's seeds; its writers are trained with GRAY, PURPLE and BROWN.
    """

    BLACK, BLUE, RED, GREEN, YELLOW, GRAY, PINK, ORANGE, PURPLE, BROWN = range(10)
    GREY, TEAL, MAROON = GRAY, PURPLE, BROWN
    BACKGROUND = TRANSPARENT = BLACK
    ALL_COLORS = [BLACK, BLUE, RED, GREEN, YELLOW, GRAY, PINK, ORANGE, PURPLE, BROWN]
    NOT_BLACK = [BLUE, RED, GREEN, YELLOW, GRAY, PINK, ORANGE, PURPLE, BROWN]
