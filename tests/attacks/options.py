"""Values of options and settings as an attacker or an unlucky user writes them.

A value is taken as Python reads the same text, within its range; else it is refused in one sentence.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from submission.config import RANGES, Settings, with_changes
from submission.errors import BadInput
from submission.presets import PRESETS
from tests.attacks.verdicts import Attack, Verdict, command

NUMBERS: dict[str, float | None] = {
    "": None,
    " ": None,
    "0": 0,
    "1": 1,
    "-1": -1,
    "+1": 1,
    "-0": 0,
    "0.0": 0.0,
    "-0.0": 0.0,
    "1.": 1.0,
    ".5": 0.5,
    "00": 0,
    "007": None,
    "1_000": 1000,
    "1__0": None,
    "_1": None,
    "1_": None,
    "0x10": 16,
    "0b11": 3,
    "0o17": 15,
    "1e3": 1e3,
    "1E-3": 1e-3,
    "1e999": math.inf,
    "-1e999": -math.inf,
    "1e-999": 0.0,
    "nan": None,
    "NaN": None,
    "inf": None,
    "Infinity": None,
    "1" * 400: None,
    "9" * 5000: None,
    "\uff11\uff12": None,
    "\u0661": None,
    "\u00b2": None,
    "\u2155": None,
    "\u2212" + "1": None,
    "1,5": None,
    "1;": None,
    "1 2": None,
    "1e": None,
    "e1": None,
    "0x": None,
    "1j": None,
    "1+1": None,
    "2**3": None,
    "10/2": None,
    "True": None,
    "None": None,
    "[1]": None,
    "(1,)": None,
    "{}": None,
    "'1'": None,
    '"1"': None,
    "b'1'": None,
    "...": None,
    "__import__('os')": None,
    "1if 1else 2": None,
    "0in[0]": None,
    "\\d": None,
    "'\\d'": None,
    "(" * 300: None,
    "-" * 5000 + "1": None,
    "[" * 5000 + "]" * 5000: None,
    "lambda: 1": None,
    "1\n": 1,
    "1 # it": 1,
    "\t1": 1,
    "1\r\n2": None,
    "1%": None,
    "1k": None,
    "1e3.5": None,
    "--1": None,
    "1/0": None,
    "$(id)": None,
    "\ud800": None,
    "\U0001d7d9": None,
    "0.1e-45": 1e-46,
    "3.4e38": 3.4e38,
    "2147483648": 2**31,
    "4294967296": 2**32,
    "9223372036854775808": 2**63,
    "1e38": 1e38,
    "1.0": 1.0,
    "2.0": 2.0,
    "0.9999999999999999999": 1.0,
}
"""Text -> the number that it means; None where it means none, or one that is out of every range."""


def settings() -> Iterator[tuple[str, str]]:
    """The names of all settings that are numbers, with texts for each."""
    return itertools.product(RANGES, NUMBERS)


def _kind(name: str) -> Any:
    section, key = name.split(".")
    part = next(each for each in fields(Settings) if each.name == section)
    return get_type_hints(get_type_hints(Settings)[part.name])[key]


def judged(name: str, text: str, folder: Path) -> Verdict:
    """Name the setting to a command that only looks at it, and hold the answer against what the text means."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            with_changes(PRESETS["laptop"], [f"{name}={text}"])
            taken = True
        except BadInput as refusal:
            taken = False
            assert str(refusal).isprintable() and len(str(refusal)) < 300, str(refusal)
    assert not told.getvalue(), told.getvalue()
    value, kind = NUMBERS[text], _kind(name)
    whole = (
        value is not None
        and math.isfinite(value)
        and value == int(value)
        and not any(e in text for e in ".eE")
        or text.startswith("0x")
    )
    fits = value is not None and value in RANGES[name] and (kind is float or whole)
    assert taken == fits, f"{name}={text!r} is {'taken' if taken else 'refused'}"
    return "accepted" if fits else "refused"


ODD = (
    "model",
    "model.",
    ".context",
    "=",
    "model.context",
    "model.context=",
    "model..context=1",
    "Model.context=2048",
    "model.context =2048",
    " model.context=2048",
    "model.context==2048",
    "model.__class__=1",
    "__class__.x=1",
    "model.model.context=1",
    "vote.rule=POE",
    "vote.rule='poe'",
    "vote.rule=",
    "model.four_bit=0",
    "model.four_bit=false",
    "model.four_bit=1",
    "model.four_bit=yes",
    "model.dtype=float8",
    "model.device=cuda:0",
    "model.layout=",
    "programs.writer=[]",
    "programs.writer=5",
    "programs.writer=/no/where",
    "programs.writer='/no'",
    "programs.writer=\ud800",
    "programs.writer=" + "a" * 5000,
    "programs.writer=/dev/zero",
    "programs.writer=/dev/null",
    "programs.writer=..",
    "x" * 10_000,
    "x.y=" + "z" * 10_000,
    "model.context=2048,adapt.rank=8",
    "programs.unconfined=None",
)
"""Changes that are none."""


def odd(text: str, folder: Path) -> Verdict:
    """It is refused before anything is done."""
    out = folder / "out"
    told = command("run", "--data", "arc1-eval", "--tasks", 1, "--out", out, "--set", text).require_clean()
    assert told.status == 2, f"{text[:60]!r}: status {told.status}"
    assert not out.exists()
    return "refused"


def attacks() -> Iterator[Attack]:
    """All texts for all settings, then changes that are none."""
    for name, text in settings():
        yield Attack(f"--set {name}={text[:30]!r}", lambda folder, n=name, t=text: judged(n, t, folder))
    for text in ODD:
        yield Attack(f"--set {text[:60]!r}", lambda folder, t=text: odd(t, folder))
