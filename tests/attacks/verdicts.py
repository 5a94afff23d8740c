"""What an attack is, when it is held, and how many were."""

from __future__ import annotations

import contextlib
import io
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from submission.cli.commands import main

Verdict = str
"""How an attack was held: "accepted", "refused" or "endured"."""


class Attack(NamedTuple):
    """One attempt to break something."""

    name: str
    act: Callable[[Path], Verdict]
    """Makes the attack in an empty folder; how it was held. AssertionError, or any other error, where it was not."""


@dataclass
class Tally:
    """What became of attacks of one sort."""

    what: str
    held: dict[Verdict, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Attack -> what went wrong, the last lines."""

    @property
    def tried(self) -> int:
        """How many attacks there were."""
        return sum(self.held.values()) + len(self.failed)

    def line(self) -> str:
        """A row of the table: what, tried, held, failed."""
        how = ", ".join(f"{number} {verdict}" for verdict, number in sorted(self.held.items()))
        return f"| {self.what} | {self.tried} | {sum(self.held.values())} ({how}) | {len(self.failed)} |"

    def __str__(self) -> str:
        return "\n".join([*(f"FAILED {name}: {why}" for name, why in self.failed.items()), self.line()])


class Hung(BaseException):
    """An attack took longer than it may: no OSError, which the command line takes for bad input."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise Hung in the block after so many seconds."""

    def ring(number: int, frame: Any) -> None:
        raise Hung(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tallied(
    what: str, attacks: Iterable[Attack], folder: Path, seconds: float = 20.0, megabytes: float = 1500.0
) -> Tally:
    """Make each attack in a folder of its own, which is then removed; none may take more time or memory than this."""
    tally = Tally(what)
    for number, attack in enumerate(attacks):
        place = folder / f"attack{number}"
        place.mkdir()
        # The most memory that the process has had: it grows by what this attack needs beyond all before it.
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with bounded(seconds):
                verdict = attack.act(place)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
            assert grown < megabytes, f"took {grown:.0f} MB more memory than any before it"
            tally.held[verdict] = tally.held.get(verdict, 0) + 1
        except (Exception, Hung):
            name = attack.name if attack.name not in tally.failed else f"{attack.name} ({number})"
            tally.failed[name] = "\n    ".join(traceback.format_exc().strip().splitlines()[-3:])
        shutil.rmtree(place, ignore_errors=True)
    return tally


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    def require_clean(self) -> Told:
        """AssertionError unless it ended as a command may: in silence, or with one sentence for bad input."""
        assert "Traceback" not in self.out + self.err, self.err[-2000:]
        said = self.err.strip().splitlines()
        if self.status == 0:
            assert not said, f"it succeeded, and complained: {said}"
        else:
            assert self.status in (1, 2), f"status {self.status}"
            assert said, f"status {self.status} without a word"
        if self.status == 2:
            # A file of another shape is told with the two lines that convert it; a wrong option after the usage.
            lines = said[-1:] if said[0].startswith("usage:") else said
            assert len(lines) == 1 or ("to convert it:" in lines[0] and len(lines) <= 3), said
            assert all(len(each) <= 5000 for each in lines), f"a sentence of {max(map(len, lines))} characters"
            assert all(each.isprintable() for each in lines), f"it cannot be printed: {lines!r}"
        return self


def command(*arguments: object) -> Told:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(each) for each in arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    return Told(status, out.getvalue(), err.getvalue())
