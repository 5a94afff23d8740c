"""The page about a run, made from hand-made records."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import Grid, Pair, Solutions, Task, grid
from submission.arc.views import identity
from submission.results.report import PALETTE, page, write_report
from submission.results.report_tasks import encoded, verdict
from submission.solver.records import FitRecord, ProgramRecord, TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate

TRUE = [[1, 2], [3, 4]]
ELSE = [[0, 0], [0, 5]]
THIRD = [[9]]

SCORED: dict[str, Any] = {
    "tasks": 2,
    "solved_tasks": 1,
    "score_by_output": 0.5,
    "score_by_task": 0.25,
    "score_strict": 0.125,
    "coverage": 0.75,
    "seconds": 3700.0,
    "seconds_per_task": 61.6,
    "model": "embedded",
    "seed": 7,
    "finished": True,
}
UNSCORED: dict[str, Any] = {
    "tasks": 2,
    "seconds": 3.0,
    "seconds_per_task": 1.5,
    "model": "embedded",
    "seed": 7,
    "finished": False,
}


def a_task(name: str, tests: int = 1) -> Task:
    return Task(name, (Pair(grid([[1]]), grid([[2, 2, 2]])),), (grid([[7]]),) * tests)


FIT = FitRecord(192, 48, (1.5, 0.75), 12.3, "converged")


def a_record(name: str, *tests: tuple[list[Any], list[Any]]) -> TaskRecord:
    """A record of (attempts, grids of the candidates) for each test input."""
    views = (ViewRecord(identity(1), 0, True),) * 2
    return TaskRecord(
        name,
        tuple(tuple(grid(rows) for rows in attempts) for attempts, _ in tests),
        tuple(
            TestRecord(
                views,
                False,
                tuple(
                    Candidate(grid(rows), {0: -0.5 - n}, np.array([-0.25 - n, np.nan])) for n, rows in enumerate(grids)
                ),
            )
            for _, grids in tests
        ),
        FIT,
        seconds=17.2,
    )


def section(text: str, number: int = 0) -> str:
    """The part of a page that is about the task of this number."""
    return text.split("<section ")[number + 1].split("</section>")[0]


def shown_verdicts(text: str) -> list[str]:
    return re.findall(r'<span class="verdict">([^<]*)</span>', text)


VERDICTS: list[tuple[str, list[Any], list[str]]] = [
    ("right", [([ELSE, TRUE], [ELSE, TRUE])], ["all", "right"]),
    ("partly", [([TRUE, ELSE], [TRUE, ELSE]), ([ELSE], [ELSE])], ["all", "wrong"]),
    (
        "partly",
        [([TRUE, ELSE], [TRUE, ELSE]), ([ELSE, THIRD], [ELSE, THIRD, TRUE])],
        ["all", "wrong", "pool"],
    ),
    ("in the pool", [([ELSE, THIRD], [ELSE, THIRD, TRUE])], ["all", "wrong", "pool"]),
    ("wrong", [([ELSE, THIRD], [ELSE, THIRD])], ["all", "wrong"]),
    ("wrong", [([ELSE], [TRUE]), ([ELSE], [ELSE])], ["all", "wrong"]),
    ("wrong", [([], [])], ["all", "wrong", "none"]),
]


def test_candidates_that_other_views_have_scored_are_shown_as_such() -> None:
    record = a_record("t", ([ELSE, THIRD], [ELSE, THIRD]))
    fresh = (ViewRecord(identity(1), 0, None),) * 3
    scored = [replace(each, scores=np.full(3, -1.0)) for each in record.tests[0].candidates]
    test = replace(record.tests[0], candidates=tuple(scored), scoring=fresh)
    text = section(page({"t": a_task("t")}, {"t": replace(record, tests=(test,))}, SCORED, None))
    assert "scored under 3 other views" in text
    assert "<td>1 of 2</td><td>−3.00</td>" in text, "found in one of the two that proposed; the sum of the three"


@pytest.mark.parametrize(("word", "tests", "filters"), VERDICTS)
def test_verdicts_and_the_filters_that_show_them(word: str, tests: list[Any], filters: list[str]) -> None:
    truths = (grid(TRUE),) * len(tests)
    record = a_record("t", *tests)
    assert verdict(record, truths) == word
    text = page({"t": a_task("t", len(tests))}, {"t": record}, SCORED, {"t": truths})
    assert shown_verdicts(text) == [word]
    assert f'data-is="{" ".join(filters)}"' in section(text)


def test_without_solutions_the_page_comes_and_shows_no_score(tmp_path: Path) -> None:
    tasks = {"a": a_task("a"), "b": a_task("b")}
    records = {"a": a_record("a", ([TRUE, ELSE], [TRUE, ELSE])), "b": a_record("b", ([], []))}
    text = write_report(tmp_path, tasks, records, UNSCORED, None).read_text()
    assert shown_verdicts(text) == ["unknown", "unknown"]
    assert "no solutions given" in text and "2 of 2 tasks answered" in text
    assert " %</dd>" not in text and "<dt>by output" not in text and "truth" not in section(text)
    assert 'data-is="all none"' in section(text, 1)


def test_the_figures_of_the_summary_are_named() -> None:
    text = page({"a": a_task("a")}, {}, SCORED, {"a": (grid(TRUE),)})
    told = {
        "by output": "50.0 %",
        "by task": "25.0 %",
        "strict": "12.5 %",
        "coverage": "75.0 %",
        "time": "1 h 01 min",
        "per task": "1 min 02 s",
        "model": "embedded",
        "seed": "7",
        "finished": "yes",
    }
    for term, value in told.items():
        assert f"<dt>{term}</dt><dd>{value}</dd>" in text
    assert "1 of 2 tasks solved" in text and "no solutions given" not in text


def test_an_empty_summary_is_no_obstacle() -> None:
    text = page({"a": a_task("a")}, {}, {}, {"a": (grid(TRUE),)})
    assert "0 of 1 tasks answered" in text and "not scored yet" in text


def test_tasks_without_a_record_are_not_reached() -> None:
    tasks = {"a": a_task("a"), "b": a_task("b")}
    records = {"b": a_record("b", ([TRUE], [TRUE]))}
    for solutions in (None, {"a": (grid(TRUE),), "b": (grid(TRUE),)}):
        text = page(tasks, records, UNSCORED, solutions)
        assert shown_verdicts(text)[0] == "not reached"
        assert 'data-is="all unreached"' in section(text) and "attempt 1" not in section(text)


def test_attempts_bear_their_marks() -> None:
    task, truths = a_task("t", 3), (grid(TRUE),) * 3
    record = a_record("t", ([TRUE, ELSE], [TRUE]), ([THIRD], [THIRD]), ([], []))
    text = section(page({"t": task}, {"t": record}, SCORED, {"t": truths}))
    assert text.count("✓ right") == 1 and text.count("✗ wrong") == 2
    assert "4 cells off" in text and "other size" in text and text.count("left blank") == 3
    assert text.count("The network has no candidate.") == 1


def test_a_task_that_the_network_did_not_search_is_no_failure_of_its() -> None:
    record = replace(a_record("t", ([], [])), tests=(TestRecord(),))
    text = section(page({"t": a_task("t")}, {"t": record}, SCORED, {"t": (grid(TRUE),)}))
    assert "The network did not search this test input." in text and "no candidate" not in text


def test_what_a_program_has_answered_is_said_to_be_its() -> None:
    program = ProgramRecord("def transform(grid): ...", (grid(TRUE),), 1, "search", 1.0)
    record = replace(a_record("t", ([TRUE, ELSE], [ELSE])), programs=(program,))
    text = section(page({"t": a_task("t")}, {"t": record}, SCORED, {"t": (grid(TRUE),)}))
    assert "attempt 1, by a program" in text
    assert "attempt 2, by a program" not in text


def test_at_most_eight_candidates_by_total_and_the_place_of_the_truth() -> None:
    grids = [[[n]] for n in range(10)]
    record = a_record("t", (grids[:2], grids))
    text = section(page({"t": a_task("t")}, {"t": record}, SCORED, {"t": (grid(grids[9]),)}))
    assert "10 candidates, the best 8 are shown, the truth is number 10" in text
    rows = re.findall(r'class=small data-g="(\d)"></canvas></td><td>1 of 2</td><td>([^<]*)</td>', text)
    assert [cell for cell, _ in rows] == list("01234567")
    assert rows[0][1] == "−0.50"  # one score is known of two; the other counts as much


def test_the_fit_and_the_notes_are_told() -> None:
    record = replace(a_record("t", ([TRUE], [TRUE])), notes=("a sentence",))
    text = section(page({"t": a_task("t")}, {"t": record}, UNSCORED, None))
    assert "Trained 48 steps on 192 rows in 12.3 s, last loss 0.7500; stopped: converged." in text
    assert "The task took 17.2 s." in text and "<li>a sentence</li>" in text
    for fit in (None, FitRecord(0, 0, (), 0.0, "off")):
        page({"t": a_task("t")}, {"t": replace(record, fit=fit)}, UNSCORED, None)


def test_a_record_that_stops_short_is_shown_as_far_as_it_goes() -> None:
    record = replace(a_record("t"), fit=None, notes=("the worker died",))
    text = page({"t": a_task("t", 2)}, {"t": record}, SCORED, {"t": (grid(TRUE),) * 2})
    assert shown_verdicts(text) == ["wrong"] and "the worker died" in text


def test_the_palette_is_the_official_one() -> None:
    assert PALETTE[9] == "#870C25" and len(set(PALETTE)) == 10
    text = page({"t": a_task("t")}, {}, UNSCORED, None)
    assert all(colour in text for colour in PALETTE)


def test_what_others_wrote_is_escaped() -> None:
    name = '<b>x&"'
    record = a_record(name, ([TRUE], [TRUE]))
    odd: Any = "<i>"
    record = replace(record, notes=("<script>alert(1)</script>",), fit=replace(FIT, stopped=odd))
    text = page({name: a_task(name)}, {name: record}, UNSCORED | {"model": '"><img>'}, None)
    assert "&lt;b&gt;x&amp;&quot;" in text
    for bad in (name, "<b>x", "<script>alert", "<i>.", "<img>"):
        assert bad not in text
    assert text.count("<script>") == text.count("</script>") == 1


def test_a_lone_surrogate_in_an_id_can_be_written(tmp_path: Path) -> None:
    write_report(tmp_path, {"\ud800": a_task("\ud800")}, {}, UNSCORED, None).read_bytes().decode("utf-8")


class _Balance(HTMLParser):
    """Fails where a tag closes that is not the open one."""

    open: list[str]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


def test_tags_close_in_order() -> None:
    tasks = {str(n): a_task(str(n), len(tests)) for n, (_, tests, _) in enumerate(VERDICTS)}
    records = {str(n): a_record(str(n), *tests) for n, (_, tests, _) in enumerate(VERDICTS[:-1])}
    records["0"] = replace(records["0"], notes=("a & b",))
    solutions = {name: (grid(TRUE),) * len(task.tests) for name, task in tasks.items()}
    parser = _Balance()
    parser.open = []
    parser.feed(page(tasks, records, SCORED, solutions).removeprefix("<!doctype html>"))
    assert parser.open == []


def test_grids_survive_their_encoding() -> None:
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (30, 30), (1, 30), (30, 1), (7, 12)]
    for cells in [rng.integers(0, colours, shape) for shape in shapes for colours in (1, 2, 10)]:
        text = encoded(grid(cells))
        # What the page's script does, in Python.
        long = re.sub(r"(\d)([a-z])", lambda run: run[1] * (ord(run[2]) - 94), text)
        assert [[int(c) for c in row] for row in long.split("/")] == cells.tolist()
    assert encoded(grid([[3, 3, 0, 0, 0], [1] * 5])) == "330a/1c"


def a_large_run() -> tuple[dict[str, Task], dict[str, Any], Solutions]:
    """120 tasks of noise: 4 demonstrations, 1 test input and 16 candidates, all 20x20."""
    rng = np.random.default_rng(0)

    def noise() -> Grid:
        return grid(rng.integers(0, 10, (20, 20)))

    tasks, records, solutions = {}, {}, {}
    for n in range(120):
        name = f"{n:08x}"
        tasks[name] = Task(name, tuple(Pair(noise(), noise()) for _ in range(4)), (noise(),))
        candidates = [noise().tolist() for _ in range(16)]
        records[name] = a_record(name, (candidates[:2], candidates))
        records[name] = replace(records[name], fit=replace(FIT, losses=tuple(rng.random(192).tolist())))
        solutions[name] = (noise(),)
    return tasks, records, solutions


def test_one_file_below_two_megabytes_for_120_tasks(tmp_path: Path) -> None:
    tasks, records, solutions = a_large_run()
    path = write_report(tmp_path, tasks, records, SCORED | {"tasks": 120}, solutions)
    assert path == tmp_path / "report.html" and os.listdir(tmp_path) == ["report.html"]
    assert path.stat().st_size < 2_000_000
    text = path.read_text().lower()
    assert text.count("<section ") == 120
    for reference in ("http", "src", "<link", "@import", "url(", "<iframe"):
        assert reference not in text
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', text))


def test_a_failed_write_leaves_the_old_report_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("the old one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, {"a": a_task("a")}, {}, UNSCORED, None)
    assert path.read_text() == "the old one" and os.listdir(tmp_path) == ["report.html"]


def test_a_test_that_was_settled_early_says_after_how_many_views() -> None:
    record = a_record("t", ([TRUE, ELSE], [TRUE, ELSE]))
    assert "settled after" not in page({"t": a_task("t", 1)}, {"t": record}, SCORED, {"t": (grid(TRUE),)})
    views = tuple(replace(record.tests[0].views[0], exhaustive=each) for each in (True, True, None))
    record = replace(record, tests=(replace(record.tests[0], views=views),))
    cut_by_time = page({"t": a_task("t", 1)}, {"t": record}, SCORED, {"t": (grid(TRUE),)})
    assert "settled after" not in cut_by_time
    record = replace(record, tests=(replace(record.tests[0], settled=True),))
    assert "settled after 2 of 3 views" in page({"t": a_task("t", 1)}, {"t": record}, SCORED, {"t": (grid(TRUE),)})
