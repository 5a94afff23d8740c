"""Programs as expressions: printed as Python that can be read, and that gives the same when it is run."""

from __future__ import annotations

from submission.programs.grid_language.assembly import overlay
from submission.programs.grid_language.colours import paint_all
from submission.programs.grid_language.part_selection import each
from submission.programs.grid_language.segmentation import equal_pieces
from submission.programs.grid_language.shapes import mirror_rows, upscale
from submission.programs.synthesis.expressions import INPUT, Call, run, size_of, source_of
from submission.programs.synthesis.learned_steps import mosaic
from tests.support.drawn import cells, text


def test_a_program_is_its_imports_and_a_line_for_each_call() -> None:
    source = source_of(Call(mirror_rows, (Call(upscale, (INPUT, 2)),)))
    assert source == (
        "from submission.programs.grid_language.shapes import mirror_rows\n"
        "from submission.programs.grid_language.shapes import upscale\n"
        "\n\n"
        "def transform(grid):\n"
        "    step_1 = upscale(grid, 2)\n"
        "    step_2 = mirror_rows(step_1)\n"
        "    return step_2\n"
    )
    assert text(run(source, cells("12 34"))) == "3344 3344 1122 1122"


def test_a_call_that_is_used_twice_is_printed_and_counted_once() -> None:
    large = Call(upscale, (INPUT, 2))
    twice = Call(mosaic, ([large, Call(mirror_rows, (large,))],))
    assert size_of(twice) == 3
    assert source_of(twice).count("upscale(grid, 2)") == 1
    assert text(run(source_of(twice), cells("1 2"))) == "1122 1122 2211 2211"


def test_functions_are_named_and_literals_written_where_they_are_arguments() -> None:
    program = Call(overlay, (Call(each, (Call(equal_pieces, (INPUT, 1, 2)), paint_all, 5)),))
    source = source_of(program)
    assert "each(step_1, paint_all, 5)" in source
    assert text(run(source, cells("1..2"))) == "55"


def test_the_input_is_a_program_of_no_size() -> None:
    assert size_of(INPUT) == 0
    assert text(run(source_of(INPUT), cells("12"))) == "12"
