"""One HTML page about a run: its figures, and for every task what was asked, answered and true.

The page is a single file that refers to no other: `report.css` and `report.js` are copied into it. Grids travel as
short texts in `data-g`, and the script paints them as they come into sight. Nothing here decides anything about a run.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.tasks import Grid, Solutions, Task, Tasks, grid, grid_key
from submission.atomic import write_bytes
from submission.solver.records import candidates_of
from submission.solver.voting import Candidate

PALETTE = (
    "#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00",
    "#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25",
)  # fmt: skip
"""The official colours of ARC, 0 to 9."""

CANDIDATES = 8
"""At most so many candidates of a test input are drawn."""

VERDICTS = ("right", "partly", "in the pool", "wrong", "unknown", "not reached")
"""What `verdict` may say, in the order in which the page counts them."""


def write_report(
    out: Path,
    tasks: Tasks,
    records: Mapping[str, dict[str, Any]],
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
    records: Mapping[str, dict[str, Any]],
    summary: Mapping[str, Any],
    solutions: Solutions | None,
) -> str:
    """The whole page as text."""
    results = [
        _Result(task, records.get(name), solutions.get(name) if solutions is not None else None)
        for name, task in tasks.items()
    ]
    verdicts = [verdict(each.record, each.truths) for each in results]
    tags = [_tags(each, word) for each, word in zip(results, verdicts, strict=True)]
    sections = [_section(n, *each) for n, each in enumerate(zip(results, verdicts, tags, strict=True))]
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


def verdict(record: Mapping[str, Any] | None, truths: Sequence[Grid] | None) -> str:
    """One of VERDICTS; "in the pool" is wrong although every true output is among the candidates."""
    if record is None:
        return "not reached"
    if truths is None:
        return "unknown"
    right = [_is_in(truth, _attempts(record, k)) for k, truth in enumerate(truths)]
    if all(right):
        return "right"
    if any(right):
        return "partly"
    return "in the pool" if _all_pooled(record, truths) else "wrong"


def encoded(cells: Grid) -> str:
    """A grid as text: rows of digits joined by "/", 3 to 28 equal cells on end as digit and letter."""
    rows = ("".join(map(str, row)) for row in cells.tolist())
    return re.sub(r"(\d)\1{2,27}", lambda run: run[1] + chr(94 + len(run[0])), "/".join(rows))


@dataclass(frozen=True, eq=False)
class _Result:
    """A task, the record of it if there is one, and its true outputs if they are known."""

    task: Task
    record: Mapping[str, Any] | None
    truths: Sequence[Grid] | None


def _attempts(record: Mapping[str, Any], number: int) -> list[Grid]:
    """The attempts at one test input; none where the record does not go that far."""
    attempts = record["attempts"]
    return [grid(rows) for rows in attempts[number][:2]] if number < len(attempts) else []


def _candidates(record: Mapping[str, Any], number: int) -> list[Candidate]:
    """The candidates of one test input, the highest total first."""
    tests = record["tests"]
    candidates = candidates_of(tests[number])[0] if number < len(tests) else []
    return sorted(candidates, key=lambda each: (-each.total(), grid_key(each.answer)))


def _is_in(answer: Grid, grids: Sequence[Grid]) -> bool:
    return any(np.array_equal(answer, each) for each in grids)


def _all_pooled(record: Mapping[str, Any], truths: Sequence[Grid]) -> bool:
    return all(_is_in(t, _pooled(record, k)) for k, t in enumerate(truths))


def _pooled(record: Mapping[str, Any], number: int) -> list[Grid]:
    """All answers to one test input: the network's candidates, then those of programs."""
    programs = [each["answers"][number] for each in record.get("programs", [])]
    return [c.answer for c in _candidates(record, number)] + [grid(rows) for rows in programs if rows is not None]


FILTERS = {
    "all": "all",
    "right": "right",
    "wrong": "wrong",
    "pool": "in the pool but not chosen",
    "none": "no candidate",
    "unreached": "not reached",
}
"""Tag -> what the filter calls the tasks that bear it."""


def _tags(result: _Result, word: str) -> list[str]:
    """The filters that show a task; one that is right in part counts as wrong, as in the strict score."""
    if result.record is None:
        return ["all", "unreached"]
    tags = ["all"]
    if result.truths is not None:
        tags.append("right" if word == "right" else "wrong")
        if word != "right" and _all_pooled(result.record, result.truths):
            tags.append("pool")
    if not all(_pooled(result.record, k) for k in range(len(result.task.tests))):
        tags.append("none")
    return tags


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
    results: Sequence[_Result],
    verdicts: Sequence[str],
    tags: Sequence[Sequence[str]],
) -> str:
    count, _, rest = _headline(summary, verdicts).partition(" ")
    scores = [(word, f"{100 * summary[key]:.1f} %") for key, word in SCORES.items() if summary.get(key) is not None]
    if not scores:
        scores = [("scores", "no solutions given" if solutions is None else "not scored yet")]
    finished = {True: "yes", False: "not yet"}
    facts = [
        ("time", _duration(summary.get("seconds"))),
        ("per task", _duration(summary.get("seconds_per_task"))),
        ("model", str(summary.get("model", "–"))),
        ("seed", str(summary.get("seed", "–"))),
        ("finished", finished.get(summary.get("finished", None), "–")),
    ]
    counts = Counter(verdicts)
    key = [f'<span class="{_class(w)}">{counts[w]} {w}</span>' for w in VERDICTS if counts[w]]
    titles = [f"{escape(each.task.id)}: {word}" for each, word in zip(results, verdicts, strict=True)]
    squares = [
        f'<a class="{_class(word)}" data-is="{" ".join(tag)}" href="#t{n}" title="{title}"></a>'
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


def _class(word: str) -> str:
    return word.replace(" ", "-")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


# One task.


def _section(number: int, result: _Result, word: str, tags: Sequence[str]) -> str:
    task, record = result.task, result.record
    arrow = '<span class="arrow">→</span>'
    pairs = "".join(
        f'<div class="pair">{_figure("", each.input)}{arrow}{_figure("", each.output)}</div>'
        for each in task.demonstrations
    )
    return "\n".join(
        [
            f'<section class="task {_class(word)}" id="t{number}" data-is="{" ".join(tags)}">',
            f'<h2>{escape(task.id)}<span class="verdict">{word}</span></h2>',
            f"<details><summary>{_count(len(task.demonstrations), 'demonstration')}</summary>",
            f'<div class="pairs">{pairs}</div></details>',
            *(_test(result, k) for k in range(len(task.tests))),
            *([_programs(record), _training(record)] if record is not None else []),
            "</section>",
        ]
    )


def _test(result: _Result, number: int) -> str:
    """A test input, the attempts at it and the truth, where they are there; then the candidates, folded."""
    truth = result.truths[number] if result.truths is not None else None
    figures = [_figure("input", result.task.tests[number])]
    pool = ""
    if result.record is not None:
        attempts = _attempts(result.record, number)
        programs = [grid(rows) for rows in _program_answers(result.record, number)]
        for n, attempt in enumerate([*attempts, None, None][:2], 1):
            by = ", by a program" if attempt is not None and _is_in(attempt, programs) else ""
            figures.append(_attempt(f"attempt {n}{by}", attempt, truth))
        pool = _pool(_candidates(result.record, number), attempts, truth, _settled(result.record, number))
    if truth is not None:
        figures.append(_figure("truth", truth))
    title = f"<h3>test {number}</h3>" if len(result.task.tests) > 1 else ""
    return f'<div class="test">{title}<div class="row">{"".join(figures)}</div>{pool}</div>'


def _program_answers(record: Mapping[str, Any], number: int) -> list[Any]:
    answers = [each["answers"][number] for each in record.get("programs", [])]
    return [rows for rows in answers if rows is not None]


def _attempt(title: str, attempt: Grid | None, truth: Grid | None) -> str:
    if attempt is None:
        caption = f"<figcaption>{title} <small>left blank</small></figcaption>"
        return f'<figure><div class="blank"></div>{caption}</figure>'
    if truth is None:
        return _figure(title, attempt)
    if np.array_equal(attempt, truth):
        return _figure(title, attempt, '<span class="yes">✓ right</span>')
    if attempt.shape != truth.shape:
        return _figure(title, attempt, '<span class="no">✗ wrong</span> <small>other size</small>')
    off = _count(int(np.count_nonzero(attempt != truth)), "cell")
    return _figure(title, attempt, f'<span class="no">✗ wrong</span> <small>{off} off</small>')


def _settled(record: Mapping[str, Any], number: int) -> str:
    """After how many views no other could change the attempts; nothing where all were searched, or time ran out."""
    test = record["tests"][number] if number < len(record["tests"]) else {}
    if not test.get("settled"):
        return ""
    searched = sum(view["exhaustive"] is not None for view in test["views"])
    return f"settled after {searched} of {len(test['views'])} views"


def _pool(candidates: Sequence[Candidate], attempts: Sequence[Grid], truth: Grid | None, settled: str) -> str:
    if not candidates:
        return '<p class="none">The network has no candidate.</p>'
    place = next((n for n, each in enumerate(candidates, 1) if truth is not None and _is_in(truth, [each.answer])), 0)
    said = [_count(len(candidates), "candidate")]
    if len(candidates) > CANDIDATES:
        said.append(f"the best {CANDIDATES} are shown")
    if truth is not None:
        said.append(f"the truth is number {place}" if place else "the truth is not among these")
    if settled:
        said.append(settled)
    rows = []
    for n, each in enumerate(candidates[:CANDIDATES], 1):
        is_what = [f"attempt {a}" for a, attempt in enumerate(attempts, 1) if _is_in(attempt, [each.answer])]
        is_what += ['<span class="yes">truth</span>'] if n == place else []
        rows.append(
            f"<tr><td>{n}</td><td>{_canvas(each.answer, small=True)}</td>"
            f"<td>{len(each.found)} of {len(each.scores)}</td><td>{_log_p(each.total())}</td>"
            f"<td>{'<br>'.join(is_what)}</td></tr>"
        )
    head = "<tr><th></th><th>answer</th><th>found in views</th><th>total log p</th><th></th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<details><summary>{', '.join(said)}</summary>{table}</details>"


def _programs(record: Mapping[str, Any]) -> str:
    """The programs that reproduce the demonstrations, folded; nothing where there are none."""
    programs = record.get("programs", [])
    if not programs:
        return ""
    shown = "".join(
        f"<li>stability {each['stability']:.2f}, size {each['size']}, {escape(each['origin'])}"
        f"<pre>{escape(each['source'])}</pre></li>"
        for each in programs
    )
    return f"<details><summary>{_count(len(programs), 'program')}</summary><ol>{shown}</ol></details>"


def _training(record: Mapping[str, Any]) -> str:
    """How the training of the task went, how long it all took, and the notes."""
    fit = record["fit"]
    if fit is None:
        line = "No test-time training."
    else:
        losses = [loss for loss in fit["losses"] if loss is not None and math.isfinite(loss)]
        last = f", last loss {losses[-1]:.4f}" if losses else ""
        line = (
            f"{_curve(losses)}Trained {_count(fit['steps'], 'step')} on {_count(fit['rows'], 'row')} in "
            f"{_duration(fit['seconds'])}{last}; stopped: {escape(str(fit['stopped']))}."
        )
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in record["notes"])
    return f'<p class="fit">{line} The task took {_duration(record["seconds"])}.</p>' + (
        f'<ul class="notes">{notes}</ul>' if notes else ""
    )


def _curve(losses: Sequence[float]) -> str:
    """The losses as a small drawing, from 0 at the bottom to the highest at the top."""
    if len(losses) < 2 or max(losses) <= 0:
        return ""
    shown = [losses[round(k)] for k in np.linspace(0, len(losses) - 1, min(len(losses), 60))]
    points = " ".join(
        f"{96 * k / (len(shown) - 1):.0f},{19 - 18 * loss / max(shown):.0f}" for k, loss in enumerate(shown)
    )
    return f'<svg viewBox="0 0 96 20" role="img" aria-label="losses"><polyline points="{points}"/></svg>'


def _figure(title: str, cells: Grid, mark: str = "") -> str:
    size = f"<small>{cells.shape[0]} × {cells.shape[1]}</small>"
    caption = " ".join(each for each in (title, size) if each) + (f"<p>{mark}</p>" if mark else "")
    return f"<figure>{_canvas(cells)}<figcaption>{caption}</figcaption></figure>"


def _canvas(cells: Grid, small: bool = False) -> str:
    return f'<canvas{" class=small" if small else ""} data-g="{encoded(cells)}"></canvas>'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _log_p(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"
