"""Files of tasks and solutions with a whole, and another, structure: keys, ids, formats, encodings."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.files import Files, Meaning, base, inside, put, rows

Make = Callable[[np.random.Generator, Path], Files]


def _pair(folder: Path, challenges: Any, solutions: Any, meaning: Meaning | None, may_refuse: bool = False) -> Files:
    return Files(
        put(folder / "challenges.json", challenges), put(folder / "solutions.json", solutions), meaning, may_refuse
    )


# -- ids ------------------------------------------------------------------------------------------

IDS: dict[str, bool] = {
    "": False,
    " ": True,
    "a ": True,
    " a": True,
    "A": True,
    "a.b": True,
    "a/b": True,
    "../x": True,
    "..": True,
    ".": True,
    "/etc/passwd": True,
    "C:\\x": True,
    "CON": True,
    "NUL.json": True,
    ".run": True,
    "programs": True,
    "a\0b": False,
    "a\nb": False,
    "a\tb": False,
    "\u202etxt": False,
    "a\u200bb": False,
    "\ud800": False,
    "\ufeffa": False,
    "e\u0301": True,
    "\u00e9": True,
    "\U0001f600" * 50: True,
    "a" * 200: True,
    "a" * 201: False,
    "\u4e16" * 200: True,
    "__proto__": True,
    "<script>alert(1)</script>": True,
    "a,b": True,
    '"a,b"': True,
    "$(id)": True,
    "-x": True,
    "--resume": True,
    "train": True,
    "test": True,
    "attempt_1": True,
    "null": True,
    "1e5": True,
    "%s%n": True,
    "{0}": True,
    "\x7f": False,
    "\u2028": False,
    "\u00a0": False,
    "a\u0000": False,
    "*": True,
    "submission": True,
    "a.json": True,
    "a.json.gz": True,
    "\\": True,
    "'": True,
    "\u0131": True,
}
"""Id -> whether a task may have it."""


def id_attack(name: str, legal: bool) -> Make:
    """A task of this id among others."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        challenges, solutions = base(rng)
        assert solutions is not None
        old = sorted(challenges)[0]
        for each in (challenges, solutions):
            each[name] = each.pop(old)
        return _pair(folder, challenges, solutions, Meaning(challenges, solutions) if legal else None)

    return make


TWINS = (
    ("abc", "ABC"),
    ("a", "a "),
    ("a", " a"),
    ("\u00e9", "e\u0301"),
    ("a/b", "a\\b"),
    ("a.b", "a_b"),
    ("x", "x.json"),
    ("1", "1.0"),
    ("0007bbb7", "007bbb7"),
    ("\u0430", "a"),
    ("K", "\u212a"),
    ("\u00df", "ss"),
    ("a", "a\u00a0"),
    ("i", "\u0131"),
    ("a.b", "a b"),
    ("..", "."),
    ("../a", "a"),
    ("a" * 199, "a" * 200),
)
"""Ids that somebody may take for one: each is a task of its own."""


def twin_attack(one: str, other: str) -> Make:
    """Two tasks whose ids are alike, with other contents."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        parts = [base(rng) for _ in range(2)]
        whole: list[dict[str, Any]] = [{}, {}]
        for name, part in zip((one, other), parts, strict=True):
            for into, each in zip(whole, part, strict=True):
                assert each is not None
                into[name] = next(iter(each.values()))
        legal = "\u00a0" not in other
        return _pair(folder, *whole, Meaning(*whole) if legal else None)

    return make


# -- changes of the content ------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], dict[str, Any], np.random.Generator], Any]
"""Changes challenges and solutions in place, or returns other challenges."""


def _first(content: dict[str, Any]) -> Any:
    return content[sorted(content)[0]]


def _setting(part: str, value: Any) -> Change:
    return lambda c, s, rng: _first(c).__setitem__(part, value)


def _in_pair(part: str, change: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda c, s, rng: change(_first(c)[part][0])


def _in_solutions(change: Callable[[Any], Any]) -> Change:
    return lambda c, s, rng: s.__setitem__(sorted(s)[0], change(_first(s)))


def _attempts(grids: Any) -> Any:
    return [{"attempt_1": each, "attempt_2": each} for each in grids]


REFUSED: dict[str, Change] = {
    "train null": _setting("train", None),
    "train an object": _setting("train", {"0": {}}),
    "train empty": _setting("train", []),
    "train a text": _setting("train", "[]"),
    "train of null": _setting("train", [None]),
    "train of lists": _setting("train", [[[[1]], [[2]]]]),
    "train nested": lambda c, s, rng: _first(c).update(train=[_first(c)["train"]]),
    "test null": _setting("test", None),
    "test empty": _setting("test", []),
    "test of empty objects": _setting("test", [{}]),
    "test an object": lambda c, s, rng: _first(c).update(test=_first(c)["test"][0]),
    "test of grids": lambda c, s, rng: _first(c).update(test=[each["input"] for each in _first(c)["test"]]),
    "train missing": lambda c, s, rng: _first(c).pop("train"),
    "test missing": lambda c, s, rng: _first(c).pop("test"),
    "Train with a capital": lambda c, s, rng: _first(c).update(Train=_first(c).pop("train")),
    "train and a space": lambda c, s, rng: _first(c).update({"train ": _first(c).pop("train")}),
    "input missing in train": _in_pair("train", lambda pair: pair.pop("input")),
    "output missing in train": _in_pair("train", lambda pair: pair.pop("output")),
    "input missing in test": _in_pair("test", lambda pair: pair.pop("input")),
    "Input with a capital": _in_pair("test", lambda pair: pair.update(Input=pair.pop("input"))),
    "inputs in plural": _in_pair("train", lambda pair: pair.update(inputs=pair.pop("input"))),
    "input a JSON text": _in_pair("test", lambda pair: pair.update(input=json.dumps(pair["input"]))),
    "input in a list": _in_pair("test", lambda pair: pair.update(input=[pair["input"]])),
    "a task null": lambda c, s, rng: c.update({sorted(c)[0]: None}),
    "a task a list": lambda c, s, rng: c.update({sorted(c)[0]: [_first(c)]}),
    "a task a JSON text": lambda c, s, rng: c.update({sorted(c)[0]: json.dumps(_first(c))}),
    "a task in data": lambda c, s, rng: c.update({sorted(c)[0]: {"data": _first(c)}}),
    "a version among the tasks": lambda c, s, rng: c.update(version=2),
    "metadata among the tasks": lambda c, s, rng: c.update(metadata={"license": "Apache-2.0"}),
    "a comment among the tasks": lambda c, s, rng: c.update(_comment="public"),
    "a task inside a task": lambda c, s, rng: _first(c).update(train=[copy.deepcopy(_first(c))]),
    "tasks beside one task": lambda c, s, rng: c.update(copy.deepcopy(_first(c))),
    "tasks beside a test": lambda c, s, rng: c.update(test=copy.deepcopy(_first(c)["test"])),
    "tasks beside a train": lambda c, s, rng: c.update(train=copy.deepcopy(_first(c)["train"])),
    "a solution too many": _in_solutions(lambda grids: [*grids, grids[0]]),
    "a solution too few": _in_solutions(lambda grids: grids[:-1]),
    "solutions without lists": _in_solutions(lambda grids: grids[0]),
    "solutions in lists of lists": _in_solutions(lambda grids: [grids]),
    "solutions as attempts": _in_solutions(_attempts),
    "solutions as outputs": _in_solutions(lambda grids: [{"output": each} for each in grids]),
    "solutions by number": _in_solutions(lambda grids: {str(k): each for k, each in enumerate(grids)}),
    "a solution null": _in_solutions(lambda grids: None),
    "a solution of null": _in_solutions(lambda grids: [None] * len(grids)),
    "solutions as tests": _in_solutions(lambda grids: {"test": [{"output": each} for each in grids]}),
    "a task without solution": lambda c, s, rng: s.pop(sorted(s)[0]),
    "solutions with other case": lambda c, s, rng: s.update({f"{sorted(s)[0]} ": s.pop(sorted(s)[0])}),
    "solutions a list": lambda c, s, rng: (s.clear(), s.update({"solutions": []})),
    "the challenges as solutions": lambda c, s, rng: s.update(copy.deepcopy(c)),
    "solutions inside and others outside": lambda c, s, rng: _first(c)["test"][0].update(output=[[9] * 7]),
    "an output inside that is a text": lambda c, s, rng: _first(c)["test"][0].update(output="?"),
    "an output inside that is false": lambda c, s, rng: _first(c)["test"][0].update(output=False),
}
"""Name -> a change after which the files mean nothing."""

WHOLE: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "all in one key": lambda c, s: {"tasks": c},
    "all in data": lambda c, s: {"data": c, "version": 1},
    "a list of tasks": lambda c, s: list(c.values()),
    "a list of ids and tasks": lambda c, s: list(c.items()),
    "tasks with ids inside": lambda c, s: [{"id": name, **each} for name, each in c.items()],
    "a list of one file": lambda c, s: [c],
    "null": lambda c, s: None,
    "true": lambda c, s: True,
    "zero": lambda c, s: 0,
    "a JSON text": lambda c, s: json.dumps(json.dumps(c)),
    "no task": lambda c, s: {},
    "an empty list": lambda c, s: [],
    "the solutions as challenges": lambda c, s: s,
    "names and texts": lambda c, s: {name: name for name in c},
    "a submission as challenges": lambda c, s: {name: _attempts(grids) for name, grids in s.items()},
    "both files in one": lambda c, s: {"challenges": c, "solutions": s},
    "a task in a list": lambda c, s: {n: [e] for n, e in c.items()},
    "two thousand bad tasks": lambda c, s: {**{str(k): k for k in range(2000)}, **c},
}
"""Name -> another file in the place of the challenges, which means nothing."""

HARMLESS: dict[str, Change] = {
    "nothing changed": lambda c, s, rng: None,
    "a key more in a task": _setting("name", "x"),
    "null beside": _setting("note", None),
    "a key more in a pair": _in_pair("train", lambda pair: pair.update(weight=0.5)),
    "deep lists beside": _setting("history", json.loads("[" * 200 + "]" * 200)),
    "solutions in another order": lambda c, s, rng: s.update({name: s.pop(name) for name in sorted(s, reverse=True)}),
    "solutions of more tasks": lambda c, s, rng: s.update(another=[[[1]]]),
    "bad solutions of other tasks": lambda c, s, rng: s.update(another="?", third=None),
    "an empty output inside": _in_pair("test", lambda pair: pair.update(output=[])),
    "null as an output inside": _in_pair("test", lambda pair: pair.update(output=None)),
    "the same output inside": lambda c, s, rng: _first(c)["test"][0].update(output=_first(s)[0]),
    "a hundred tests": lambda c, s, rng: (
        _first(c).update(test=[{"input": rows(rng)} for _ in range(100)]),
        s.update({sorted(s)[0]: [rows(rng) for _ in range(100)]}),
    ),
    "a thousand demonstrations": _setting(
        "train", [{"input": [[k % 10]], "output": [[k // 10 % 10]]} for k in range(1000)]
    ),
    "tests that are equal": lambda c, s, rng: (
        _first(c).update(test=[{"input": [[1]]}] * 3),
        s.update({sorted(s)[0]: [[[1]], [[2]], [[3]]]}),
    ),
    "two tasks with one content": lambda c, s, rng: (c.update(twin=_first(c)), s.update(twin=_first(s))),
}
"""Name -> a change after which they mean what they hold."""


def change_attack(change: Change, harmless: bool, alone: bool) -> Make:
    """Both files after a change of their content; or, where it changes the challenges, one file with all outputs."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        challenges, solutions = meaning.challenges, meaning.solutions
        assert solutions is not None
        # A task with two tests, so that their number can be wrong.
        _first(challenges)["test"] = [{"input": rows(rng)} for _ in range(2)]
        solutions[sorted(solutions)[0]] = [rows(rng), rows(rng)]
        if not alone:
            change(challenges, solutions, rng)
            return _pair(folder, challenges, solutions, Meaning(challenges, solutions) if harmless else None)
        whole, before = inside(meaning), copy.deepcopy(solutions)
        change(whole, solutions, rng)
        if solutions != before or change is REFUSED["solutions inside and others outside"]:
            return change_attack(change, harmless, False)(rng, folder)
        return Files(put(folder / "tasks.json", whole), None, Meaning(whole, _inside(whole)) if harmless else None)

    return make


def _inside(challenges: dict[str, Any]) -> dict[str, Any] | None:
    """The outputs that stand in tasks; None where one is not there."""
    found = {name: [test.get("output") for test in each["test"]] for name, each in challenges.items()}
    return None if any(not each for grids in found.values() for each in grids) else found


def whole_attack(change: Callable[[dict[str, Any], dict[str, Any]], Any], alone: bool) -> Make:
    """Another file in the place of the challenges."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        assert meaning.solutions is not None
        made = change(inside(meaning) if alone else meaning.challenges, meaning.solutions)
        path = put(folder / "challenges.json", json.dumps(made))
        return Files(path, None if alone else put(folder / "solutions.json", meaning.solutions), None)

    return make


# -- keys that stand twice ------------------------------------------------------------------------------------------


def twice_attack(kind: str) -> Make:
    """A key twice in one object, the second time with another value."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        challenges, solutions = base(rng)
        name = sorted(challenges)[0]
        text, truth = json.dumps(challenges), json.dumps(solutions)
        one = '[{"input": [[1]], "output": [[1]]}]'
        match kind:
            case "task":
                text = f'{{"{name}": {{"train": {one}, "test": [{{"input": [[1]]}}]}}, {text[1:]}'
            case "escaped task":
                text = f'{{"\\u{ord(name[0]):04x}{name[1:]}": {{"train": {one}, "test": {one}}}, {text[1:]}'
            case "train" | "test":
                text = text.replace(f'"{name}": {{', f'"{name}": {{"{kind}": {one}, ', 1)
            case "escaped train":
                text = text.replace(f'"{name}": {{', f'"{name}": {{"\\u0074rain": {one}, ', 1)
            case "input" | "output":
                text = text.replace('{"input":', f'{{"{kind}": [[1]], "input":', 1)
            case "solution":
                truth = f'{{"{name}": [[[1]]], {truth[1:]}'
            case _:
                assert kind == "solution after"
                truth = f'{truth[:-1]}, "{name}": [[[1]]]}}'
        return _pair(folder, text, truth, None)

    return make


# -- encodings ------------------------------------------------------------------------------------------

GOOD_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "a byte order mark": lambda t: b"\xef\xbb\xbf" + t,
    "UTF-16": lambda t: t.decode().encode("utf-16"),
    "UTF-16 little": lambda t: t.decode().encode("utf-16-le"),
    "UTF-16 big": lambda t: t.decode().encode("utf-16-be"),
    "UTF-32": lambda t: t.decode().encode("utf-32"),
    "lines of Windows": lambda t: b"\r\n" + t.replace(b", ", b",\r\n") + b"\r\n",
    "spaces around": lambda t: b" \t\n" + t + b" \n\t",
    "indented": lambda t: json.dumps(json.loads(t), indent=8).encode(),
    "without spaces": lambda t: json.dumps(json.loads(t), separators=(",", ":")).encode(),
    "escaped keys": lambda t: t.replace(b'"train"', b'"tr\\u0061in"').replace(b'"input"', b'"\\u0069nput"'),
    "a megabyte of spaces": lambda t: t + b" " * (1 << 20),
    "gzip": gzip.compress,
    "gzip of a byte order mark": lambda t: gzip.compress(b"\xef\xbb\xbf" + t),
    "gzip in two members": lambda t: gzip.compress(t[:50]) + gzip.compress(t[50:]),
    "gzip in single bytes": lambda t: b"".join(gzip.compress(t[k : k + 1]) for k in range(len(t))),
    "gzip filled with zeros": lambda t: gzip.compress(t) + b"\0" * 512,
    "a hundred thousand empty members": lambda t: gzip.compress(b"") * 100_000 + gzip.compress(t),
}
"""Name -> bytes that mean the same text; a reader may refuse them, but not read anything else."""

BAD_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda t: b"",
    "spaces alone": lambda t: b" \n" * 100,
    "a byte order mark alone": lambda t: b"\xef\xbb\xbf",
    "two byte order marks": lambda t: b"\xef\xbb\xbf" * 2 + t,
    "cut": lambda t: t[:-1],
    "cut in half": lambda t: t[: len(t) // 2],
    "a brace too many": lambda t: t + b"}",
    "two objects": lambda t: t + t,
    "an object on the next line": lambda t: t + b"\n" + t,
    "a comma at the end": lambda t: t[:-1] + b",}",
    "a comma in a row": lambda t: t.replace(b"]", b",]", 1),
    "a comment": lambda t: b"// tasks\n" + t,
    "a comment of C": lambda t: t.replace(b"[", b"/**/[", 1),
    "single quotes": lambda t: t.replace(b'"', b"'"),
    "a key without quotes": lambda t: b"{a: 1, " + t[1:],
    "zeros at the end": lambda t: t + b"\0",
    "Ctrl-Z at the end": lambda t: t + b"\x1a",
    "a zero inside": lambda t: t.replace(b"[", b"\0[", 1),
    "half UTF-16": lambda t: t.decode().encode("utf-16")[:-1],
    "UTF-16 in UTF-8's place": lambda t: b"\xff\xfe" + t,
    "Latin-1": lambda t: b'{"\xe4": 1, ' + t[1:],
    "overlong": lambda t: b'{"\xc1\xa1": 1, ' + t[1:],
    "a space of another kind": lambda t: t.replace(b" ", b"\xc2\xa0", 1),
    "a form feed": lambda t: b"\x0c" + t,
    "a vertical tab": lambda t: b"\x0b" + t,
    "gzip cut": lambda t: gzip.compress(t)[:-3],
    "gzip with another sum": lambda t: gzip.compress(t)[:-8] + b"\1\2\3\4" + gzip.compress(t)[-4:],
    "gzip and rubbish": lambda t: gzip.compress(t) + b"rubbish",
    "gzip of gzip": lambda t: gzip.compress(gzip.compress(t)),
    "gzip's head": lambda t: b"\x1f\x8b",
    "gzip of nothing": lambda t: gzip.compress(b""),
    "base64": lambda t: b"eyJhIjogMX0=",
    "a page": lambda t: b"<!doctype html><html>404</html>",
    "a diff": lambda t: b"<<<<<<< HEAD\n" + t + b"\n=======\n" + t + b"\n>>>>>>> x\n",
    "JavaScript": lambda t: b"const tasks = " + t + b";",
    "a guard against scripts": lambda t: b")]}',\n" + t,
    "YAML": lambda t: b"a:\n  train:\n  - input: [[1]]\n",
    "deep lists": lambda t: b"[" * 500_000,
    "deep objects": lambda t: b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "zeros": lambda t: b"\0" * 10_000,
    "RAR": lambda t: b"Rar!\x1a\x07\x01\x00" + t,
    "an ELF": lambda t: b"\x7fELF" + t,
    "PDF": lambda t: b"%PDF-1.7\n" + t,
    "zlib": lambda t: b"x\x9c" + t,
    "SQLite": lambda t: b"SQLite format 3\0" + t,
    "a key file": lambda t: b"-----BEGIN PRIVATE KEY-----\n" + t,
    "one quote": lambda t: b'"',
    "a quote that never ends": lambda t: b'"' + t,
}
"""Name -> bytes that mean nothing."""


def bytes_attack(change: Callable[[bytes], bytes], good: bool, which: str) -> Make:
    """One of the files in other bytes."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        parts = {"challenges": meaning.challenges, "solutions": meaning.solutions, "inside": inside(meaning)}
        made = {name: json.dumps(each).encode() for name, each in parts.items()}
        made[which] = change(made[which])
        if which == "inside":
            return Files(put(folder / "tasks.json", made["inside"]), None, meaning if good else None, good)
        return _pair(folder, made["challenges"], made["solutions"], meaning if good else None, good)

    return make


def structures() -> Iterator[tuple[str, Make]]:
    """All of them, by name."""
    yield from ((f"id {name[:20]!r}", id_attack(name, legal)) for name, legal in IDS.items())
    yield from ((f"ids {one[:9]!r} and {other[:9]!r}", twin_attack(one, other)) for one, other in TWINS)
    for harmless, changes in ((False, REFUSED), (True, HARMLESS)):
        for alone in (False, True):
            yield from (
                (f"{name}{', one file' * alone}", change_attack(change, harmless, alone))
                for name, change in changes.items()
            )
    for alone in (False, True):
        yield from ((f"{name}{', one file' * alone}", whole_attack(change, alone)) for name, change in WHOLE.items())
    kinds = ("task", "escaped task", "train", "test", "escaped train", "input", "output", "solution", "solution after")
    yield from ((f"{kind} twice", twice_attack(kind)) for kind in kinds)
    for which in ("challenges", "solutions", "inside"):
        for good, all_bytes in ((True, GOOD_BYTES), (False, BAD_BYTES)):
            yield from ((f"{name}: {which}", bytes_attack(change, good, which)) for name, change in all_bytes.items())
