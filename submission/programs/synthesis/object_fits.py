"""Which move fits which object: everything that it paints is right in the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task
from submission.deadline import Deadline
from submission.programs.grid_language.object_drawing import AREAS
from submission.programs.grid_language.object_moves import vanish
from submission.programs.grid_language.object_vocabulary import Move, moves, outcome
from submission.programs.grid_language.scenes import Painted, Scene
from submission.programs.grid_language.values import Cells, NotApplicable

Bools = NDArray[np.bool_]
Choice = tuple[int, ...]
"""Moves by their number, the cheapest first."""
BASE_COST, MOVE_COST = 0.6, 0.3
"""What the rule, and each further move, add to the costs of the moves."""


@dataclass(frozen=True, eq=False)
class Fits:
    """Which move fits which object, of all demonstrations under one grouping."""

    scenes: Sequence[Scene]
    """Of all inputs, demonstrations first."""
    moves: Sequence[tuple[float, Move]]
    """Those that fit at least one object."""
    painted: Sequence[Sequence[Painted | None]]
    """[moves][objects of all demonstrations]: None where the move does not fit."""
    demonstration: NDArray[np.intp]
    """[objects]"""
    needed: Sequence[Bools]
    """For each demonstration the coloured cells of its output, flat."""

    @property
    def fit(self) -> Bools:
        """[moves, objects]"""
        return np.array([[each is not None for each in row] for row in self.painted], bool).reshape(
            len(self.moves), self.demonstration.size
        )

    def labels(self, choice: Choice, larger: bool) -> NDArray[np.uint8]:
        """For each object the place in the choice of a move that fits: the one that paints most, or the first."""
        sizes = np.array(
            [[-1 if each is None else each.places.size for each in self.painted[m]] for m in choice]
        )  # [choice, objects]
        result: NDArray[np.uint8] = (sizes if larger else sizes >= 0).argmax(0).astype(np.uint8)
        return result

    def complete(self, choice: Choice, labels: NDArray[np.uint8], number: int) -> bool:
        """Whether these moves paint all that one demonstration needs."""
        left = self.needed[number].copy()
        for k in np.flatnonzero(self.demonstration == number):
            painted = self.painted[choice[int(labels[k])]][int(k)]
            if painted is None:
                return False
            left[painted.places] = False
        return not left.any()

    def cost(self, choice: Choice) -> float:
        """Of the moves together."""
        return BASE_COST + sum(self.moves[m][0] for m in choice) + MOVE_COST * (len(choice) - 1)


def fits_of(task: Task, scenes: Sequence[Scene], used: Sequence[int], until: Deadline) -> Fits | None:
    """Try all moves on all objects of the demonstrations; of moves with equal results the cheapest is kept.

    None where nothing fits some object, or all that fits leaves a cell of some output unpainted.
    """
    listed = moves(used)
    outputs = [pair.output.ravel() for pair in task.demonstrations]
    columns: dict[int, list[list[Painted | None]]] = {}
    for d in sorted(range(len(outputs)), key=lambda d: len(scenes[d].parts.items)):
        left = outputs[d] > 0
        columns[d] = []
        for k in range(len(scenes[d].parts.items)):
            column = _fitting_moves(scenes[d], k, listed, task.demonstrations[d].output)
            if until.passed() or all(each is None for each in column):
                return None
            for each in column:
                if each is not None:
                    left[each.places] = False
            columns[d].append(column)
        if left.any():
            return None
    objects = [(d, column) for d in range(len(outputs)) for column in columns[d]]
    kept: dict[bytes, int] = {}
    for m in range(len(listed)):
        row = [column[m] for _, column in objects]
        if any(each is not None for each in row):
            key = b"|".join(b"" if p is None else b"+" + p.places.tobytes() + p.colours.tobytes() for p in row)
            kept.setdefault(key, m)
    return Fits(
        scenes,
        [listed[m] for m in kept.values()],
        [[column[m] for _, column in objects] for m in kept.values()],
        np.array([d for d, _ in objects], np.intp),
        [each > 0 for each in outputs],
    )


def _fitting_moves(scene: Scene, k: int, listed: Sequence[tuple[float, Move]], output: Cells) -> list[Painted | None]:
    """What each move paints; None for those that do not fit the object.

    Where background is painted in a colour, it has to be one colour in the output: others are not tried.
    """
    colours: dict[object, int] = {}
    column: list[Painted | None] = []
    for _, (function, constants) in listed:
        if function in AREAS:
            area = (AREAS[function], constants[1:])
            if area not in colours:
                colours[area] = _colour_in(scene, k, output, *area)
            if colours[area] != (constants[0] or scene.main_colours[k]):
                column.append(None)
                continue
        column.append(_fitting(scene, k, (function, constants), output.ravel()))
    return column


def _colour_in(
    scene: Scene, k: int, output: Cells, area: Callable[..., NDArray[np.bool_]], constants: Sequence[object]
) -> int:  # fmt: skip
    """The one colour of the background in an area of an object; 0 where there is none, or several."""
    try:
        painted = output[area(scene, k, *constants) & (scene.cells == 0)]
    except NotApplicable:
        return 0
    return int(painted[0]) if painted.size and (painted == painted[0]).all() else 0


def _fitting(scene: Scene, k: int, move: Move, output: Cells) -> Painted | None:
    """What the move paints, if all of it is right in the output (flat). To vanish, an object must leave its cells."""
    painted = outcome(scene, k, move)
    if painted is None or not (output[painted.places] == painted.colours).all():
        return None
    if move[0] is vanish and (output == scene.cells.ravel())[scene.labels.ravel() == k + 1].any():
        return None
    return painted
