"""One task, from its demonstrations to two attempts for each test input: the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from submission.arc.prompts import prompt
from submission.arc.tasks import Task
from submission.arc.training_rows import training_rows
from submission.arc.views import View, leave_out_views, stream
from submission.config import Settings
from submission.deadline import Deadline
from submission.rng import generator
from submission.solver import voting
from submission.solver.candidates import scored_anew, search_views
from submission.solver.engine import Engine, Fit, Question
from submission.solver.records import FitRecord, TaskRecord
from submission.solver.stopping import ATTEMPTS


def solve(
    task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int, earlier: TaskRecord | None = None,
    on_progress: Callable[[TaskRecord], None] = lambda so_far: None,
) -> TaskRecord:  # fmt: skip
    """Solve a task as well as the time allows.

    `earlier` is the record of another pass over the same task: its candidates are scored anew, and the views of both
    passes vote. `on_progress` gets a partial record after each test input. The engine is reset before and after,
    whatever happens in between. The same seed gives the same record, as long as no deadline cuts in.
    """
    record = earlier or TaskRecord.empty(task)
    began = until.clock() - record.seconds
    engine.forget()
    try:
        # 1. Train the adapter on the demonstrations alone.
        rows, fit = learn(task, engine, settings, until.share(settings.adapt.share), seed)
        record = replace(record, fit=FitRecord.of(rows, fit), notes=(*record.notes, *training_notes(fit)))
        for number, query in enumerate(task.tests):
            # 2. Show the test input in many views.
            deadline = until.share(1 / (len(task.tests) - number))
            questions = ask(task, number, engine, settings, seed)
            others = ask_anew(task, number, engine, settings, seed)
            notes = prompt_notes(number, [*questions, *others], settings)

            # 3. Find every likely answer, view by view, and 4. score each under all views, or under other ones.
            known = [each.answer for each in record.tests[number].best_first()]
            with engine.inference(questions) as inference:
                sought = search_views(inference, task, query, questions, settings, deadline, seed, known)
            if others and sought.candidates:
                with engine.inference(others) as inference:
                    sought = scored_anew(inference, sought, others, settings, deadline, bool(known))
                notes += [] if sought.scoring else [f"test {number}: scored under the searched views, for want of time"]
            test = sought.record(questions)
            if earlier:
                test = record.tests[number].joined_with(test, settings.search.threshold)
            if not test.candidates:
                notes.append(f"test {number}: no answer was found in time")

            # 5. Vote.
            ranking = voting.rank(test.candidates, test.symmetries, settings.vote.rule)
            record = record.with_test(number, ranking[:ATTEMPTS], test)
            record = replace(record, seconds=until.clock() - began, notes=(*record.notes, *notes))
            on_progress(record)
    finally:
        engine.forget()
    return record


def learn(task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int) -> tuple[int, Fit]:
    """Adapt the engine to a task's demonstrations; returns the number of training rows, and what the training did."""
    rng = generator(seed, task.id, "lessons")
    model, wanted = settings.model, settings.adapt.rank > 0
    limit = min(model.context, engine.longest_row)
    rows = training_rows(task, engine.layout, settings.training_rows, limit, rng, model.dropped) if wanted else []
    return len(rows), engine.adapt(rows, until, seed)


def ask(task: Task, number: int, engine: Engine, settings: Settings, seed: int) -> list[Question]:
    """A test input as each view shows it, for proposals.

    Of views that leave demonstrations out, those that do not fit the context are left out too; where none fits, those
    with one demonstration less are asked, and where none of these does either, the first ones are shortened.
    """
    rng, search = generator(seed, task.id, "views", str(number)), settings.search
    known = len(task.demonstrations)
    if search.view_recipe == "symmetries":
        views = stream(known, rng, settings.training_rows.background, search.first_view)
        return questions_of(task, number, engine, settings, islice(views, search.views))
    one, two = (leave_out_views(known, left_out, rng)[: search.views] for left_out in (1, 2))
    whole = questions_of(task, number, engine, settings, one)
    shorter = questions_of(task, number, engine, settings, two)
    fitting = ([each for each in asked if not each.prompt.dropped] for asked in (whole, shorter))
    return next((asked for asked in fitting if asked), whole)


def ask_anew(task: Task, number: int, engine: Engine, settings: Settings, seed: int) -> list[Question]:
    """A test input as each of `scoring_views` other views shows it, for scores; none where the settings want none."""
    rng = generator(seed, task.id, "scoring views", str(number))
    views = stream(len(task.demonstrations), rng, settings.training_rows.background, "random")
    return questions_of(task, number, engine, settings, islice(views, settings.search.scoring_views))


def questions_of(task: Task, number: int, engine: Engine, settings: Settings, views: Iterable[View]) -> list[Question]:
    """A test input as these views show it; the context keeps enough tokens free for the largest answer."""
    longest, query = settings.model.context - engine.layout.longest_answer, task.tests[number]
    return [
        Question(
            view,
            prompt(engine.layout, view.arrange(task.demonstrations), view.see(query), longest, settings.model.dropped),
        )
        for view in views
    ]


def training_notes(fit: Fit) -> list[str]:
    """What the record says of a training that did not come to its end."""
    why = {"deadline": "its share of the task's time was over", "not finite": "not finite"}.get(fit.stopped)
    return [f"training ended after {fit.steps} steps: {why}"] if why else []


def prompt_notes(number: int, questions: list[Question], settings: Settings) -> list[str]:
    """What the record says where demonstrations did not fit into the context."""
    most = max(each.prompt.dropped for each in questions)
    limit = settings.model.context
    return [f"test {number}: up to {most} demonstrations were dropped to fit {limit} tokens"] if most else []
