"""The part of the report that shows one task: demonstrations, attempts, truth, candidates, programs, training."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from submission.arc.tasks import Grid, Task, grid_key
from submission.results.scores import pooled_answers
from submission.solver.ensemble import answers_of
from submission.solver.records import TaskRecord, TestRecord
from submission.solver.voting import Candidate

CANDIDATES = 8
"""Most candidates that are shown of a test input."""

VERDICTS = ("right", "partly", "in the pool", "wrong", "unknown", "not reached")
"""What `verdict` may say, in the order in which the page counts them."""


@dataclass(frozen=True, eq=False)
class TaskResult:
    """A task, the record of it if there is one, and its true outputs if they are known."""

    task: Task
    record: TaskRecord | None
    truths: Sequence[Grid] | None


def verdict(record: TaskRecord | None, truths: Sequence[Grid] | None) -> str:
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


def _attempts(record: TaskRecord, number: int) -> list[Grid]:
    """The attempts at one test input; none where the record does not go that far."""
    return list(record.attempts[number]) if number < len(record.attempts) else []


def _test_record(record: TaskRecord, number: int) -> TestRecord:
    """What was found for one test input; nothing where the record does not go that far."""
    return record.tests[number] if number < len(record.tests) else TestRecord()


def _candidates(test: TestRecord) -> list[Candidate]:
    """The candidates of one test input, the highest total first."""
    return sorted(test.candidates, key=lambda each: (-each.total(), grid_key(each.answer)))


def _is_in(answer: Grid, grids: Sequence[Grid]) -> bool:
    return any(np.array_equal(answer, each) for each in grids)


def _all_pooled(record: TaskRecord, truths: Sequence[Grid]) -> bool:
    pools = pooled_answers(record)
    return len(pools) >= len(truths) and all(_is_in(t, pool) for t, pool in zip(truths, pools, strict=False))


FILTERS = {
    "all": "all",
    "right": "right",
    "wrong": "wrong",
    "pool": "in the pool but not chosen",
    "none": "no candidate",
    "unreached": "not reached",
}
"""Tag -> what the filter calls the tasks that bear it."""


def tags(result: TaskResult, word: str) -> list[str]:
    """The filters that show a task; one that is right in part counts as wrong, as in the strict score."""
    if result.record is None:
        return ["all", "unreached"]
    found = ["all"]
    if result.truths is not None:
        found.append("right" if word == "right" else "wrong")
        if word != "right" and _all_pooled(result.record, result.truths):
            found.append("pool")
    pools = pooled_answers(result.record)
    if len(pools) < len(result.task.tests) or not all(pools):
        found.append("none")
    return found


def section(number: int, result: TaskResult, word: str, tags: Sequence[str]) -> str:
    """The section of one task; `number` is its place on the page, `word` its verdict."""
    task, record = result.task, result.record
    arrow = '<span class="arrow">→</span>'
    pairs = "".join(
        f'<div class="pair">{_figure("", each.input)}{arrow}{_figure("", each.output)}</div>'
        for each in task.demonstrations
    )
    return "\n".join(
        [
            f'<section class="task {css_class(word)}" id="t{number}" data-is="{" ".join(tags)}">',
            f'<h2>{escape(task.id)}<span class="verdict">{word}</span></h2>',
            f"<details><summary>{_count(len(task.demonstrations), 'demonstration')}</summary>",
            f'<div class="pairs">{pairs}</div></details>',
            *(_test(result, k) for k in range(len(task.tests))),
            *([_programs(record), _training(record)] if record is not None else []),
            "</section>",
        ]
    )


def _test(result: TaskResult, number: int) -> str:
    """A test input, the attempts at it and the truth, where they are there; then the candidates, folded."""
    truth = result.truths[number] if result.truths is not None else None
    figures = [_figure("input", result.task.tests[number])]
    pool = ""
    if result.record is not None:
        attempts = _attempts(result.record, number)
        programs = answers_of(result.record.programs or (), number)
        for n, attempt in enumerate([*attempts, None, None][:2], 1):
            by = ", by a program" if attempt is not None and _is_in(attempt, programs) else ""
            figures.append(_attempt(f"attempt {n}{by}", attempt, truth))
        test = _test_record(result.record, number)
        pool = _pool(_candidates(test), attempts, truth, _searched(test), len(test.views))
    if truth is not None:
        figures.append(_figure("truth", truth))
    title = f"<h3>test {number}</h3>" if len(result.task.tests) > 1 else ""
    return f'<div class="test">{title}<div class="row">{"".join(figures)}</div>{pool}</div>'


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


def _searched(test: TestRecord) -> str:
    """How many views were searched, if the search stopped early, or gave scores, if other ones; nothing otherwise."""
    if test.scoring:
        return f"scored under {_count(len(test.scoring), 'other view')}"
    return f"settled after {test.searched} of {len(test.views)} views" if test.settled else ""


def _pool(
    candidates: Sequence[Candidate], attempts: Sequence[Grid], truth: Grid | None, searched: str, views: int
) -> str:
    """The candidates as a table, folded; `searched` says what is special about their search over so many `views`."""
    if not candidates:
        why = "The network has no candidate." if views else "The network did not search this test input."
        return f'<p class="none">{why}</p>'
    place = next((n for n, each in enumerate(candidates, 1) if truth is not None and _is_in(truth, [each.answer])), 0)
    said = [_count(len(candidates), "candidate")]
    if len(candidates) > CANDIDATES:
        said.append(f"the best {CANDIDATES} are shown")
    if truth is not None:
        said.append(f"the truth is number {place}" if place else "the truth is not among these")
    if searched:
        said.append(searched)
    rows = []
    for n, each in enumerate(candidates[:CANDIDATES], 1):
        is_what = [f"attempt {a}" for a, attempt in enumerate(attempts, 1) if _is_in(attempt, [each.answer])]
        is_what += ['<span class="yes">truth</span>'] if n == place else []
        rows.append(
            f"<tr><td>{n}</td><td>{_canvas(each.answer, small=True)}</td>"
            f"<td>{len(each.found)} of {views}</td><td>{_log_p(each.total())}</td>"
            f"<td>{'<br>'.join(is_what)}</td></tr>"
        )
    head = "<tr><th></th><th>answer</th><th>found in views</th><th>total log p</th><th></th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<details><summary>{', '.join(said)}</summary>{table}</details>"


def _programs(record: TaskRecord) -> str:
    """The programs that reproduce the demonstrations, folded; nothing where there are none."""
    programs = record.programs or ()
    if not programs:
        return ""
    shown = "".join(
        f"<li>stability {each.stability:.2f}, size {each.size}, {escape(each.origin)}"
        f"<pre>{escape(each.source)}</pre></li>"
        for each in programs
    )
    return f"<details><summary>{_count(len(programs), 'program')}</summary><ol>{shown}</ol></details>"


def _training(record: TaskRecord) -> str:
    """How the training of the task went, how long it all took, and the notes."""
    fit = record.fit
    if fit is None:
        line = "No test-time training."
    else:
        losses = [loss for loss in fit.losses if math.isfinite(loss)]
        last = f", last loss {losses[-1]:.4f}" if losses else ""
        line = (
            f"{_curve(losses)}Trained {_count(fit.steps, 'step')} on {_count(fit.rows, 'row')} in "
            f"{duration(fit.seconds)}{last}; stopped: {escape(fit.stopped)}."
        )
    notes = "".join(f"<li>{escape(note)}</li>" for note in record.notes)
    return f'<p class="fit">{line} The task took {duration(record.seconds)}.</p>' + (
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


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, as a person writes them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def css_class(word: str) -> str:
    """The class of the style sheet for a verdict."""
    return word.replace(" ", "-")
