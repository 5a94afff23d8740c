"""One HTML page about a run: its figures, and for every task what was asked, answered and true.

The page is a single file that refers to no other: `report.css` and `report.js` are copied into it. Grids travel as
short texts in `data-g`, and the script paints them as they come into sight. Nothing here decides anything about a run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from submission.arc.tasks import Solutions, Tasks
from submission.atomic import write_bytes
from submission.results.report_tasks import FILTERS, VERDICTS, TaskResult, css_class, duration, section, verdict
from submission.results.report_tasks import tags as tags_of
from submission.solver.records import TaskRecord

PALETTE = (
    "#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00",
    "#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25",
)  # fmt: skip
"""The official colours of ARC, 0 to 9."""


def write_report(
    out: Path,
    tasks: Tasks,
    records: Mapping[str, TaskRecord],
    summary: Mapping[str, Any],
    solutions: Solutions | None,
) -> Path:
    """Write out/report.html, so that at any moment the old page or the new one is there whole."""
    text = page(tasks, records, summary, solutions)
    path = out / "report.html"
    # A lone surrogate, which JSON can hold, has no UTF-8; it becomes a character reference.
    write_bytes(path, text.encode("utf-8", "xmlcharrefreplace"))
    return path


def page(
    tasks: Tasks,
    records: Mapping[str, TaskRecord],
    summary: Mapping[str, Any],
    solutions: Solutions | None,
) -> str:
    """The whole page as text."""
    results = [
        TaskResult(task, records.get(name), solutions.get(name) if solutions is not None else None)
        for name, task in tasks.items()
    ]
    verdicts = [verdict(each.record, each.truths) for each in results]
    tags = [tags_of(each, word) for each, word in zip(results, verdicts, strict=True)]
    sections = [section(n, *each) for n, each in enumerate(zip(results, verdicts, tags, strict=True))]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(_headline(summary, verdicts))}</title>",
            f"<style>\n{_beside('report.css')}</style>\n</head>\n<body>",
            _header(summary, solutions, results, verdicts, tags),
            _filter(tags),
            "<noscript><p>The grids are painted by a script, which is off here.</p></noscript>",
            "<main>",
            *sections,
            '<p class="nothing" hidden>There is no such task.</p>',
            "</main>",
            f"<script>\nconst palette = {json.dumps(PALETTE)};\n{_beside('report.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


# The head of the page.


def _headline(summary: Mapping[str, Any], verdicts: Sequence[str]) -> str:
    of = f"of {summary.get('tasks', len(verdicts))} tasks"
    if "solved_tasks" in summary:
        return f"{summary['solved_tasks']} {of} solved"
    return f"{len(verdicts) - verdicts.count('not reached')} {of} answered"


SCORES = {
    "score_by_output": "by output",
    "score_by_task": "by task",
    "score_strict": "strict",
    "coverage": "coverage",
}
"""Scores of the summary -> what the page calls them."""


def _header(
    summary: Mapping[str, Any],
    solutions: Solutions | None,
    results: Sequence[TaskResult],
    verdicts: Sequence[str],
    tags: Sequence[Sequence[str]],
) -> str:
    count, _, rest = _headline(summary, verdicts).partition(" ")
    scores = [(word, f"{100 * summary[key]:.1f} %") for key, word in SCORES.items() if summary.get(key) is not None]
    if not scores:
        scores = [("scores", "no solutions given" if solutions is None else "not scored yet")]
    finished = {True: "yes", False: "not yet"}
    facts = [
        ("time", duration(summary.get("seconds"))),
        ("per task", duration(summary.get("seconds_per_task"))),
        ("model", str(summary.get("model", "–"))),
        ("seed", str(summary.get("seed", "–"))),
        ("finished", finished.get(summary.get("finished", None), "–")),
    ]
    counts = Counter(verdicts)
    key = [f'<span class="{css_class(w)}">{counts[w]} {w}</span>' for w in VERDICTS if counts[w]]
    titles = [f"{escape(each.task.id)}: {word}" for each, word in zip(results, verdicts, strict=True)]
    squares = [
        f'<a class="{css_class(word)}" data-is="{" ".join(tag)}" href="#t{n}" title="{title}"></a>'
        for n, (word, tag, title) in enumerate(zip(verdicts, tags, titles, strict=True))
    ]
    return "\n".join(
        [
            "<header>",
            f'<p class="stripe">{"".join(f"<i style=background:{colour}></i>" for colour in PALETTE)}</p>',
            f"<h1><b>{escape(count)}</b> {escape(rest)}</h1>",
            f'<dl class="scores">{_terms(scores)}</dl>',
            f'<dl class="facts">{_terms(facts)}</dl>',
            f'<nav class="map" aria-label="tasks">{"".join(squares)}</nav>',
            f'<p class="key">{"".join(key)}</p>',
            "</header>",
        ]
    )


def _terms(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd></div>" for term, value in pairs)


def _filter(tags: Sequence[Sequence[str]]) -> str:
    counts = Counter(tag for each in tags for tag in each)
    buttons = (
        f'<button type="button" data-show="{tag}" aria-pressed="{str(tag == "all").lower()}"'
        f"{'' if counts[tag] else ' disabled'}>{label} <b>{counts[tag]}</b></button>"
        for tag, label in FILTERS.items()
    )
    return f'<nav class="filter" aria-label="which tasks to show">{"".join(buttons)}</nav>'
