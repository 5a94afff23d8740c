"""A first minute on a GPU: short checks of a model on a card, one after the other, whose report can be sent back.

    python -m submission check --gpu --out report.json

The checks are the functions of `gpu_sections`. They run in a process of their own, which is given one after the other,
killed where one takes too long, and replaced where one has left CUDA unusable: so a failure costs one section, no more.
This side never loads torch.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from submission.config import Settings
from submission.deadline import Deadline, within
from submission.errors import BadInput

logger = logging.getLogger(__name__)

SECTIONS = {
    "load": 240.0, "attention": 60.0, "task": 120.0, "memory": 90.0, "rates": 90.0, "embedded": 90.0, "kernels": 150.0,
}  # fmt: skip
"""Section -> the most seconds that it may take, in the order in which they are run. `load` has the start of Python and
the writing of a model in it."""

WITHOUT_MODEL = ("load", "embedded")
"""Sections that are run whether or not the model can be loaded."""

NO_NEW_SECTION, WHOLE = 480.0, 530.0
"""Seconds after which no section is begun, and after which the last one is ended."""

SOFT = 0.8
"""The share of a section's seconds after which it begins nothing more by itself."""

Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of a section."""

    status: Status
    sentence: str
    """What was found, what failed, or why it was skipped."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What was measured, as JSON writes it; seconds, bytes and tokens."""
    seconds: float = 0.0


def ok(sentence: str, figures: Mapping[str, Any]) -> Outcome:
    """A section in which everything is as it should be."""
    return Outcome("ok", sentence, dict(figures))


def failed(sentence: str, figures: Mapping[str, Any] | None = None) -> Outcome:
    """A section in which something is not."""
    return Outcome("failed", sentence, dict(figures or {}))


def skipped(why: str) -> Outcome:
    """A section that is not for this machine or model, or for which there is no time."""
    return Outcome("skipped", why)


@dataclass(frozen=True)
class Workload:
    """How much is computed; tokens, but for the numbers of rows, views and grid rows."""

    rows: int = 8
    """Training rows of the task."""
    row: int = 1024
    """Tokens of a training row: the median task of ARC-AGI-1 has 1005."""
    lengths: tuple[int, ...] = (1024, 2048, 4096)
    """Training rows whose memory is measured: the longest that fits, for each level of checkpointing."""
    prompt: int = 2000
    views: int = 8
    side: int = 12
    """Grid rows and columns of the answer."""
    doubt_every: int = 40
    """One token of the answer in so many is undecided."""
    passes: int = 20
    """Passes over one token of which the mean is taken."""
    compared: tuple[int, ...] = (1024, 2048)
    """Training rows on which unsloth's kernels are timed."""


@dataclass(frozen=True)
class Order:
    """The model to check, and how."""

    model: Path
    settings: Settings
    synthetic_blocks: int = 0
    """Blocks of a model with random weights that is first written to `model`; 0: the checkpoint is there."""
    card: str | None = None
    """The kind of GPU, "t4" or "l4", whose stated rates are held against the measured ones; None for any other."""
    workload: Workload = field(default_factory=Workload)


@dataclass(frozen=True)
class Reply:
    """What the process answers."""

    outcome: Outcome
    usable: bool = True
    """Whether it can run another section: False after an error of CUDA, all calls of which fail from then on."""


def run(order: Order, tell: Callable[[str, Outcome], object]) -> dict[str, Outcome]:
    """Run all sections in their order; `tell` is called with each as it is done."""
    no_more, end = within(NO_NEW_SECTION), within(WHOLE)
    outcomes: dict[str, Outcome] = {}
    process: Process | None = None
    try:
        for name, limit in SECTIONS.items():
            outcome = unrunnable(name, outcomes, no_more)
            if outcome is None:
                if process is None:
                    process, limit = Process(order), limit + (SECTIONS["load"] if name != "load" else 0.0)
                began = time.monotonic()
                reply = process.ask(name, min(limit, end.left()))
                outcome = replace(reply.outcome, seconds=time.monotonic() - began)
                if not reply.usable:
                    process.end()
                    process = None
            outcomes[name] = outcome
            tell(name, outcome)
    finally:
        if process is not None:
            process.end()
    return outcomes


def unrunnable(name: str, outcomes: Mapping[str, Outcome], no_more: Deadline) -> Outcome | None:
    """Why a section is not begun: the time is over, or there is no model; None where it can be."""
    if no_more.passed():
        return skipped(f"not begun: the {NO_NEW_SECTION / 60:.0f} minutes of the check are over")
    if name not in WITHOUT_MODEL and outcomes["load"].status == "failed":
        return skipped("the model could not be loaded")
    return None


def as_json(outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """The sections as JSON writes them."""
    return [
        {"name": name, **finite(asdict(each)), "seconds": round(each.seconds, 2)} for name, each in outcomes.items()
    ]


def finite(value: Any) -> Any:
    """The same figures for JSON: numbers that are not finite become None."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- the process -------------------------------------------------------------------------------------------------


class Process:
    """The supervisor of a process that runs sections."""

    def __init__(self, order: Order) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, order), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, seconds: float) -> Reply:
        """Have a section run; failed where that takes longer than these seconds, or ends the process."""
        try:
            self._pipe.send((name, seconds))
            if not self._pipe.poll(seconds):
                return Reply(failed(f"took longer than {seconds:.0f} seconds and was ended"), usable=False)
            reply: Reply = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return Reply(failed(f"the process died (exit code {self._process.exitcode})"), usable=False)
        return reply

    def end(self) -> None:
        """Kill it; what it holds of the GPU is free then."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def serve(pipe: Connection, order: Order) -> None:
    """The process: run the sections whose names and seconds come through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A parent that is interrupted kills it.
    # As in the workers of a run (`runner.worker_process`), whose memory this is to be like.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    subject: Any = None
    while True:
        try:
            name, seconds = pipe.recv()
        except (EOFError, ConnectionError):
            return
        try:
            # Here, as a library that cannot be imported is a section that fails.
            from submission.benchmarks import gpu_sections, gpu_subject

            subject = subject or gpu_subject.Subject(order)
        except Exception as error:
            logger.exception("the sections cannot be loaded")
            pipe.send(Reply(failed(first_line(error))))
            continue
        pipe.send(gpu_sections.outcome_of(name, subject, within(SOFT * seconds)))


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of what it says; of bad input the sentence alone."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if isinstance(error, BadInput):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
