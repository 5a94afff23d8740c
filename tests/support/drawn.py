"""Grids drawn as text: rows between spaces, a dot for black."""

from __future__ import annotations

from submission.arc.tasks import Grid, grid


def drawn(rows: str) -> Grid:
    """A grid drawn as text: rows between spaces, a dot for black."""
    return grid([list(map(int, row)) for row in rows.replace(".", "0").split()])


def text(cells: Grid) -> str:
    return " ".join("".join(map(str, row)) for row in cells.tolist()).replace("0", ".")
