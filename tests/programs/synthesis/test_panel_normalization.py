"""Tasks of panels are solved on small grids."""

from __future__ import annotations

from submission.arc.tasks import Pair, Task
from submission.deadline import NEVER
from submission.programs.synthesis.expressions import run
from submission.programs.synthesis.panel_normalization import panel_task
from submission.programs.synthesis.synthesizer import Synthesizer
from tests.support.drawn import drawn, text


def panels(small: str) -> str:
    """A drawing with a panel of 2x2 cells for each cell, and lines of 5 between them."""
    rows = []
    for row in small.split():
        rows += 2 * ["5".join(2 * cell for cell in row)]
    return " ".join([line for k in range(0, len(rows), 2) for line in (*rows[k : k + 2], "5" * len(rows[0]))][:-1])


def task(output: str = ".1. ... .22") -> Task:
    pairs = (
        Pair(drawn(panels("1.. ... 22.")), drawn(panels(output))),
        Pair(drawn(panels(".3. 1.. ..2")), drawn(panels("..3 .1. 2.."))),
    )
    return Task("t", pairs, (drawn(panels("... 4.. .1.")),))


def test_panels_are_made_a_small_grid() -> None:
    small = panel_task(task())
    assert small is not None
    assert text(small.task.demonstrations[0].input) == "1.. ... 22." and text(small.task.tests[0]) == "... 4.. .1."


def test_a_program_for_the_small_grids_gives_the_whole() -> None:
    best = Synthesizer(most_states=200, most_renamed_states=10).programs(task(), NEVER, 0)[0]
    assert best.answers[0] is not None and text(best.answers[0]) == panels("... .4. ..1")
    assert text(run(best.source, task().tests[0])) == panels("... .4. ..1")
    assert "panel_colours" in best.source


def test_a_task_whose_lines_change_is_none_of_panels() -> None:
    whole = task()
    other = Pair(whole.demonstrations[0].input, drawn(text(whole.demonstrations[0].output).replace("5", "6")))
    assert panel_task(Task("t", (other,), whole.tests)) is None
    assert panel_task(Task("t", (Pair(drawn("12"), drawn("21")),), (drawn("12"),))) is None
