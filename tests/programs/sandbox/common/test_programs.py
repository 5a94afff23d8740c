"""Programs of our own in the form that BARC's writers give them: taken from an answer and verified on a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER
from submission.programs.induction.dialogue import program_of
from submission.programs.induction.induction import verify
from submission.programs.sandbox.common import chance, colours, detection, drawing, objects, outlines, symmetry
from submission.programs.sandbox.sandbox import Limits, Sandbox
from tests.support.cases import cases
from tests.support.library_grids import drawn

ANSWER = """\
Let's solve this puzzle using Python code with the common library functions.
```python
from common import *

import numpy as np
from typing import *

# concepts:
# {idea}

# description:
# {idea}, as the function does it.

def transform(input_grid: np.ndarray) -> np.ndarray:
{body}
```
"""


class Written(NamedTuple):
    """A program, and pairs of inputs and outputs; the last input is the test."""

    idea: str
    body: str
    pairs: tuple[tuple[str, str], ...]


PROGRAMS = (
    Written(
        "recolour the largest object",
        """
        objects = find_connected_components(input_grid, connectivity=4, monochromatic=True, background=Color.BLACK)
        largest = max(objects, key=lambda obj: np.sum(obj != Color.BLACK))
        output_grid = input_grid.copy()
        output_grid[largest != Color.BLACK] = Color.PURPLE
        return output_grid
        """,
        (("11.2 .1.2", "88.2 .8.2"), ("3.44 3..4 ...4", "3.88 3..8 ...8"), ("5.66 ..66", "5.88 ..88")),
    ),
    Written(
        "fill what is enclosed",
        """
        inside = object_interior(input_grid) & ~object_boundary(input_grid)
        output_grid = np.copy(input_grid)
        for x, y in np.argwhere(inside):
            if output_grid[x, y] == Color.BLACK:
                output_grid[x, y] = Color.YELLOW
        return output_grid
        """,
        (
            (".333. .3.3. .333.", ".333. .343. .333."),
            ("33.. .33. 3333", "33.. .33. 3333"),
            ("333 3.3 333", "333 343 333"),
        ),
    ),
    Written(
        "draw a halo around each object",
        """
        output_grid = input_grid.copy()
        output_grid[object_neighbors(input_grid, connectivity=8)] = Color.GREEN
        return output_grid
        """,
        (("... .5. ...", "333 353 333"), ("5...", "53.."), ("..... ..5.. ..5..", ".333. .353. .353.")),
    ),
    Written(
        "cut the sprite out and scale it",
        """
        sprite = crop(input_grid, background=Color.BLACK)
        return scale_sprite(sprite, factor=2)
        """,
        (("... .12 ...", "1122 1122"), ("4. .4", "44.. 44.. ..44 ..44"), ("..7", "77 77")),
    ),
    Written(
        "gravity: move the object to the bottom",
        """
        obj = find_connected_components(input_grid, connectivity=8, monochromatic=False)[0]
        output_grid = np.full_like(input_grid, Color.BLACK)
        x, y, width, height = bounding_box(obj)
        moved = translate(obj, input_grid.shape[0] - x - width, 0)
        return blit_object(output_grid, moved, background=Color.BLACK)
        """,
        (("12. .3. ...", "... 12. .3."), ("4.. ... ...", "... ... 4.."), ("..5 ...", "... ..5")),
    ),
    Written(
        "slide the red cell until it touches the blue object",
        """
        blue = np.where(input_grid == Color.BLUE, Color.BLUE, Color.BLACK)
        red = np.where(input_grid == Color.RED, Color.RED, Color.BLACK)
        for distance in range(input_grid.shape[1]):
            if contact(object1=blue, object2=translate(red, 0, distance), connectivity=4):
                return blit_object(blue, translate(red, 0, distance))
        """,
        (("2..1 ...1", "..21 ...1"), (".2..1", "...21"), ("2....1", "....21")),
    ),
    Written(
        "a sprite that collides with nothing is placed at the first free place",
        """
        sprite = np.full((2, 2), Color.ORANGE)
        output_grid = input_grid.copy()
        for x in range(input_grid.shape[0] - 1):
            for y in range(input_grid.shape[1] - 1):
                if not collision(object1=output_grid, object2=sprite, x2=x, y2=y):
                    blit_sprite(output_grid, sprite, x=x, y=y)
                    return output_grid
        return output_grid
        """,
        (("1... ....", "177. .77."), (".... ....", "77.. 77.."), ("11. 1.. 1..", "11. 177 177")),
    ),
    Written(
        "shoot rays from the pink cell until a gray wall",
        """
        x, y = np.argwhere(input_grid == Color.PINK)[0]
        for direction in [(0, 1), (0, -1), (1, 0), (-1, 0)]:
            draw_line(input_grid, x + direction[0], y + direction[1], direction=direction, color=Color.RED,
                      stop_at_color=[Color.GRAY])
        return input_grid
        """,
        (("..... 5.6.. ..5..", "..2.. 52622 ..5.."), ("6..5.", "6225."), ("..6", "226")),
    ),
    Written(
        "connect two cells by a diagonal line",
        """
        (x1, y1), (x2, y2) = np.argwhere(input_grid != Color.BLACK)
        stop = draw_line(input_grid, x1, y1, end_x=x2, end_y=y2, color=Color.BLUE)
        assert stop == (x2, y2)
        return input_grid
        """,
        (
            ("1.. ... ..1", "1.. .1. ..1"),
            ("...1 .... .1..", "...1 ..1. .1.."),
            ("1... .... .... ...1", "1... .1.. ..1. ...1"),
        ),
    ),
    Written(
        "flood the region of the corner",
        """
        flood_fill(input_grid, 0, 0, Color.BROWN, connectivity=4)
        return input_grid
        """,
        (("..1 .1. 1..", "991 91. 1.."), (".2.", "92."), ("..3. ..3.", "993. 993.")),
    ),
    Written(
        "restore a tiling that is hidden by black",
        """
        translations = detect_translational_symmetry(input_grid, ignore_colors=[Color.BLACK])
        for x, y in np.argwhere(input_grid == Color.BLACK):
            colors = {input_grid[i, j] for i, j in orbit(input_grid, x, y, translations)} - {Color.BLACK}
            input_grid[x, y] = colors.pop()
        return input_grid
        """,
        (
            ("1212 3434 12.. 34..", "1212 3434 1212 3434"),
            ("567567 ...567", "567567 567567"),
            ("121212 ..2121 .21212 212121", "121212 212121 121212 212121"),
        ),
    ),
    Written(
        "mirror what an orange rectangle hides",
        """
        output_grid = input_grid.copy()
        for mirror in detect_mirror_symmetry(input_grid, ignore_colors=[Color.ORANGE], background=Color.BLACK):
            for x, y in np.argwhere(input_grid == Color.ORANGE):
                output_grid[x, y] = input_grid[mirror.apply(x, y)]
        return output_grid
        """,
        (
            ("1277 3443", "1221 3443"),
            ("123321 457554 689986", "123321 455554 689986"),
            ("1721 2332 5665", "1221 2332 5665"),
        ),
    ),
    Written(
        "complete a rotational symmetry in red",
        """
        symmetry = detect_rotational_symmetry(input_grid, ignore_colors=[Color.BLACK], background=Color.BLACK)
        output_grid = input_grid.copy()
        for x, y in np.argwhere(input_grid == Color.BLUE):
            for i, j in orbit(input_grid, x, y, [symmetry]):
                if input_grid[i, j] == Color.BLACK:
                    output_grid[i, j] = Color.RED
        return output_grid
        """,
        (
            (".1.. 111. .... ....", ".1.. 111. .2.. ...."),
            ("..1.. ..1.. 111.. ..1.. ..1..", "..1.. ..1.. 11122 ..1.. ..1.."),
            (".1. 11. .1.", ".1. 112 .1."),
        ),
    ),
    Written(
        "squares of two by two become yellow",
        """
        squares = detect_objects(input_grid, allowed_dimensions=[(2, 2)], colors=[Color.BLUE],
                                 predicate=lambda sprite: np.all(sprite == Color.BLUE))
        for obj in squares:
            input_grid[obj != Color.BLACK] = Color.YELLOW
        return input_grid
        """,
        (("11.. 11.1 ..1.", "44.. 44.1 ..1."), ("111. 1.1.", "111. 1.1."), (".1111 .1111", ".4444 .4444")),
    ),
    Written(
        "the box of each object is filled with the object's other color",
        """
        for obj in detect_objects(input_grid, monochromatic=False, connectivity=8):
            first, second = sorted(object_colors(obj, background=Color.BLACK))
            box = bounding_box_mask(obj)
            input_grid[box & (input_grid == Color.BLACK)] = second
        return input_grid
        """,
        (("12. 1..", "12. 12."), ("..3 .13", ".33 .13"), ("45.. 4...", "45.. 45..")),
    ),
    Written(
        "a bridge of gray between two objects",
        """
        one, other = find_connected_components(input_grid, background=Color.BLACK)
        for x in range(input_grid.shape[0]):
            for y in range(input_grid.shape[1]):
                if check_between_objects(one, other, x, y, padding=1):
                    input_grid[x, y] = Color.GRAY
        return input_grid
        """,
        (
            ("1...2 1...2 1...2", "1...2 15552 1...2"),
            ("33. 33. 33. ... 444", "33. 33. 33. ... 444"),
            ("111 ... 222", "111 .5. 222"),
        ),
    ),
    Written(
        "the middle of a frame gets its center",
        """
        x, y = object_position(input_grid, background=Color.BLACK, anchor="center")
        if is_contiguous(input_grid, connectivity=4) and (x, y) == (int(x), int(y)):
            input_grid[x, y] = Color.TEAL
        return input_grid
        """,
        (("111 1.1 111", "111 181 111"), ("111 1.1 11.", "111 181 11."), ("2222 2..2 2222", "2222 2..2 2222")),
    ),
    Written(
        "each line of a sprite is repeated by a symmetry that the program makes",
        """
        output_grid = np.zeros((input_grid.shape[0] * 2, input_grid.shape[1]), dtype=int)
        step = TranslationalSymmetry(translate_x=input_grid.shape[0], translate_y=0)
        mirror = MirrorSymmetry(mirror_x=None, mirror_y=(input_grid.shape[1] - 1) / 2)
        for x, y in np.argwhere(input_grid != Color.BLACK):
            output_grid[x, y] = input_grid[x, y]
            i, j = mirror.apply(*step.apply(x, y))
            output_grid[i, j] = input_grid[x, y]
        return output_grid
        """,
        (("12.", "12. .21"), ("3. .4", "3. .4 .3 4."), ("5..", "5.. ..5")),
    ),
    Written(
        "divide the grid by lines at fixed places",
        """
        import time
        began = time.time()
        output_grid = np.copy(input_grid)
        for x in randomly_spaced_indices(5, 2, border_size=1, padding=1):
            output_grid[x, :] = Color.ALL_COLORS[-1]
        time.sleep(0.001)
        assert time.time() >= began and len(Color.NOT_BLACK) == 9
        return output_grid
        """,
        (
            (".. .. .. .. ..", ".. 99 .. 99 .."),
            ("1 2 3 4 5", "1 9 3 9 5"),
            ("... ... ... ... 111", "... 999 ... 999 111"),
        ),
    ),
    Written(
        "the only sprite goes to the only free place",
        """
        sprite = random_sprite(2, 2, density=1, symmetry="not_symmetric", color_palette=[Color.GREEN])
        x, y = random_free_location_for_sprite(input_grid, sprite, background=Color.BLACK)
        return blit(input_grid, sprite, x, y, background=Color.BLACK)
        """,
        (("..1 ..1 1..", "331 331 1.."), ("11.. 11..", "1133 1133"), (".. ..", "33 33")),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(call_seconds=10.0, seconds=30.0)) as made:
        yield made


def task_of(written: Written) -> Task:
    """All pairs but the last are demonstrations."""
    pairs = [Pair(grid(drawn(before)), grid(drawn(after))) for before, after in written.pairs]
    return Task("written", tuple(pairs[:-1]), (pairs[-1].input,))


def source_of(written: Written) -> str:
    """The program as it is taken from the answer."""
    body = "\n".join(line[4:] for line in written.body.strip("\n").rstrip().split("\n"))
    source = program_of(ANSWER.format(idea=written.idea, body=body), "barc")
    assert source is not None
    return source


@cases("written", PROGRAMS)
def test_a_program_that_calls_the_library_is_verified(sandbox: Sandbox, written: Written) -> None:
    source, task = source_of(written), task_of(written)
    program = verify(source, task, sandbox, NEVER)
    assert program is not None, (written.idea, sandbox.run(source, [pair.input for pair in task.demonstrations]))
    (answer,) = program.answers
    assert answer is not None and np.array_equal(answer, drawn(written.pairs[-1][1])), (written.idea, answer)


def test_the_programs_use_almost_every_function() -> None:
    parts = (chance, colours, detection, drawing, objects, outlines, symmetry)
    names = {name for part in parts for name in part.__all__}
    unused = {name for name in names if not any(name in written.body for written in PROGRAMS)}
    assert unused == {
        "RotationalSymmetry", "generate_position_has_interval", "random_free_location_for_object",
        "randomly_scatter_points", "scale_pattern", "show_colored_grid",
    }  # fmt: skip
