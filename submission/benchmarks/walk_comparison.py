"""Our search against a plain depth-first walk over transformers' `past_key_values`, after test-time training.

    python -m submission bench walk --tasks 2

Each side runs in a process of its own, with the same trained weights, views and threshold, searches every view, and has
to find the same answers with the same probabilities. Nothing is scored here: `bench search` compares that as well.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from submission.arc.tasks import Task, grid_key
from submission.benchmarks import baselines
from submission.benchmarks.alternation import Clock, added_to, apart, forget_peak, in_turn, peak_megabytes, ratio
from submission.benchmarks.baselines import Answers, Work
from submission.benchmarks.search import NEAR
from submission.config import Settings
from submission.deadline import NEVER
from submission.inference.language_model import LanguageModel, give_back_memory
from submission.solver.candidates import guess, pooled
from submission.solver.engine import Question
from submission.solver.solve import ask, learn
from submission.solver.stopping import ATTEMPTS, FIRST_VIEWS


@dataclass(frozen=True)
class SearchJob:
    """What both sides search: the first test input of each task."""

    model: Path
    settings: Settings
    tasks: Mapping[str, Task]
    seed: int
    adapters: Path
    """A folder with the trained weights of each task."""


@dataclass(frozen=True)
class Walked:
    """What one side took and found, over all tasks."""

    seconds: float
    processor_seconds: float
    passes: int
    """Forward passes."""
    tokens: int
    """Answer tokens computed."""
    prompt_tokens: int
    loaded_megabytes: float
    """Memory (10^6 bytes) before the search, with the model."""
    peak_megabytes: float
    """The most memory while it searches."""
    answers: Mapping[str, Sequence[Answers]]
    """Task -> what was found in each view."""


@dataclass(frozen=True)
class Agreement:
    """How far two sides found the same."""

    answers: int
    """Answers that the first found, over all tasks and views."""
    near: int
    """Answers so near the threshold that rounding may decide, which are not counted."""
    differing: int
    """Answers that one side alone found."""
    error: float
    """The largest difference between the probabilities of an answer that both found."""


def compare(
    model: Path, settings: Settings, tasks: Mapping[str, Task], turns: int, seed: int, on_line: Callable[[str], None]
) -> dict[str, list[Walked]]:
    """Train on each task once, then search with each side `turns` times; `on_line` gets each result as text."""
    with tempfile.TemporaryDirectory() as folder:
        job = SearchJob(model, settings, tasks, seed, Path(folder))
        apart(train, job)
        on_line(HEAD)
        return in_turn(SIDES, job, turns, lambda name, made: on_line(line(name, made)))


def train(job: SearchJob) -> None:
    """Train on each task and write the weights to the folder of the job."""
    from safetensors.torch import save_file

    engine = LanguageModel(job.model, job.settings, job.seed)
    for name, task in job.tasks.items():
        engine.forget()
        learn(task, engine, job.settings, NEVER, job.seed)
        save_file(_trained(engine), job.adapters / f"{name}.safetensors")


# -- the sides --------------------------------------------------------------------------------------------------------


def ours(job: SearchJob) -> Walked:
    """The search of a run that never stops early: the first views' best answers are drafts for the others."""
    work, clock, answers = Work(), Clock(), {}
    engine = LanguageModel(job.model, job.settings, job.seed)
    loaded = _loaded(engine)
    for task, questions in _asked(job, engine):
        with added_to(clock), engine.inference(questions) as inference:
            first, rest = range(len(questions))[:FIRST_VIEWS], range(len(questions))[FIRST_VIEWS:]
            found = inference.propose(first, [guess(task, task.tests[0])], NEVER, job.seed, best_paths=False)
            likely = sorted(pooled(questions, found), key=lambda each: -sum(map(math.exp, each[1].values())))
            drafts = [answer for answer, _ in likely[:ATTEMPTS]]
            found += inference.propose(rest, drafts, NEVER, job.seed, best_paths=False)
            work.passes += inference.forest.passes
            work.tokens += inference.forest.nodes + inference.forest.padding
            work.prompt_tokens += inference.forest.prompt_tokens
        answers[task.id] = [{grid_key(p.answer): p.log_probability for p in each.proposals} for each in found]
    return _walked(work, clock, answers, loaded, engine.device)


def walk(job: SearchJob) -> Walked:
    """The plain walk, one view after the other."""
    work, clock, answers = Work(), Clock(), {}
    engine = LanguageModel(job.model, job.settings, job.seed)
    loaded, threshold = _loaded(engine), job.settings.search.threshold
    for task, questions in _asked(job, engine):
        model, layout = engine.inference_model(), engine.layout
        with added_to(clock):
            found = [baselines.plain_walk(model, layout, each.prompt, threshold, work) for each in questions]
        answers[task.id] = found
    return _walked(work, clock, answers, loaded, engine.device)


SIDES = {"ours": ours, "walk": walk}


def _asked(job: SearchJob, engine: LanguageModel) -> Iterator[tuple[Task, list[Question]]]:
    """Each task with the views of its first test input; the engine has that task's weights meanwhile."""
    from safetensors.torch import load_file

    for name, task in job.tasks.items():
        learned = load_file(job.adapters / f"{name}.safetensors")
        for weight_name, weight in _trained(engine).items():
            weight.copy_(learned[weight_name])
        yield task, ask(task, 0, engine, job.settings, job.seed)


def _trained(engine: LanguageModel) -> dict[str, torch.Tensor]:
    """The weights that are trained, by name."""
    return {name: p.detach() for name, p in engine.model.named_parameters() if p.requires_grad}


def _loaded(engine: LanguageModel) -> float:
    """Memory (10^6 bytes) that the loaded model takes; the peak counts from here on."""
    engine.inference_model()
    give_back_memory()
    forget_peak()
    return peak_megabytes(engine.device)


def _walked(work: Work, clock: Clock, answers: Mapping[str, Sequence[Answers]], loaded: float, device: str) -> Walked:
    return Walked(
        clock.seconds, clock.processor_seconds, work.passes, work.tokens, work.prompt_tokens, loaded,
        peak_megabytes(device), answers,
    )  # fmt: skip


# -- how far they agree -----------------------------------------------------------------------------------------------


def agreement(one: Walked, other: Walked, threshold: float) -> Agreement:
    """How far two sides found the same answers with the same probabilities."""
    answers, near, differing, error = 0, 0, 0, 0.0
    for name, views in one.answers.items():
        for mine, theirs in zip(views, other.answers[name], strict=True):
            answers += len(mine)
            for key in mine.keys() | theirs.keys():
                log_p = [each[key] for each in (mine, theirs) if key in each]
                if min(log_p) - math.log(threshold) < NEAR:
                    near += 1
                elif len(log_p) == 1:
                    differing += 1
                else:
                    error = max(error, abs(math.exp(log_p[0]) - math.exp(log_p[1])))
    return Agreement(answers, near, differing, error)


# -- as text and JSON -------------------------------------------------------------------------------------------------

COLUMNS = ("passes", "tokens", "prompt tokens", "seconds", "CPU s", "loaded MB", "peak MB")

HEAD = f"{'':6}" + "".join(f"{name:>{len(name) + 3}}" for name in COLUMNS)
"""The head of the table; CPU s: seconds of the processor, which other processes hardly touch."""


def line(name: str, each: Walked) -> str:
    """One search of all tasks as a line of the table."""
    figures = (
        f"{each.passes}", f"{each.tokens}", f"{each.prompt_tokens}", f"{each.seconds:.1f}",
        f"{each.processor_seconds:.1f}", f"{each.loaded_megabytes:.0f}", f"{each.peak_megabytes:.0f}",
    )  # fmt: skip
    return f"{name:6}" + "".join(f"{text:>{len(of) + 3}}" for of, text in zip(COLUMNS, figures, strict=True))


def summary(made: Mapping[str, Sequence[Walked]], threshold: float) -> list[str]:
    """How many times more the walk took, each figure the median of the turns' own, and whether the answers agree."""
    mine, theirs = made["ours"], made["walk"]
    slower = ratio([each.seconds for each in theirs], [each.seconds for each in mine])
    of_processor = ratio([each.processor_seconds for each in theirs], [each.processor_seconds for each in mine])
    passes = ratio([each.passes for each in theirs], [each.passes for each in mine])
    memory = [median(each.peak_megabytes for each in side) for side in (mine, theirs)]
    same = [agreement(a, b, threshold) for a, b in zip(mine, theirs, strict=True)]
    return [
        f"the walk took {slower:.1f} times the seconds of ours ({of_processor:.1f} by CPU time) and "
        f"{passes:.1f} times its passes; "
        f"{memory[0]:.0f} MB at most for ours, {memory[1]:.0f} MB for the walk (medians of {len(mine)})",
        f"{same[0].answers} answers; {max(each.differing for each in same)} found by one side alone, "
        f"{max(each.near for each in same)} near the threshold; probabilities differ by at most "
        f"{max(each.error for each in same):.1e}",
    ]


def as_json(made: Mapping[str, Sequence[Walked]], threshold: float) -> dict[str, object]:
    """The figures of each turn, and how far the sides agree; the answers themselves are left out."""
    turns = {
        name: [{field: value for field, value in vars(each).items() if field != "answers"} for each in side]
        for name, side in made.items()
    }
    same = [vars(agreement(a, b, threshold)) for a, b in zip(made["ours"], made["walk"], strict=True)]
    return {**turns, "agreement": same}
