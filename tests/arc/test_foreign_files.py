"""Files in other shapes: the sentence names the shape, and its two lines make a file that is read."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submission.arc.task_files import read_tasks
from submission.errors import BadInput
from tests.support.cases import cases

BODY = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
PAIRS = [{"input": [[1]], "output": [[2]]}, {"input": [[3]], "output": [[4]]}]


def lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def archive(name: str, content: str, mode: str) -> bytes:
    """A zip or tar archive of one file."""
    made = io.BytesIO()
    if mode == "zip":
        with zipfile.ZipFile(made, "w") as zipped:
            zipped.writestr(name, content)
    else:
        with tarfile.open(fileobj=made, mode=mode) as tarred:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tarred.addfile(member, io.BytesIO(content.encode()))
    return made.getvalue()


def arrays() -> bytes:
    made = io.BytesIO()
    np.savez(made, x=np.zeros(3))
    return made.getvalue()


def told(path: Path, content: Any) -> list[str]:
    """The sentence, and the lines after it, with which this content is refused."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BadInput) as caught:
        read_tasks(path)
    sentence, *conversion = str(caught.value).split("\n")
    assert sentence.startswith(f"{path.name}: ")
    assert all(each.isprintable() for each in (sentence, *conversion))
    assert len(conversion) <= 2
    return [sentence, *(each.strip() for each in conversion)]


CONVERTED: dict[str, tuple[str, Any, str, list[str]]] = {
    "JSON lines": ("a.jsonl", lines({"id": "x", **BODY}, {"id": "y", **BODY}), "JSON lines", ["x", "y"]),
    "JSON lines without ids": ("a.jsonl", lines(BODY, BODY), "JSON lines", ["0", "1"]),
    "JSON lines of texts": (
        "a.jsonl",
        lines(*({"name": n, "data": json.dumps(BODY)} for n in "xy")),
        "JSON lines",
        ["x", "y"],
    ),
    "a list of name and data": ("a.json", [{"name": "x", "data": BODY}], "a list of tasks", ["x"]),
    "a list of tasks": ("a.json", [{"task_id": 7, **BODY}, {"task_id": 8, **BODY}], "a list of tasks", ["7", "8"]),
    "gzipped": ("a.json.gz", gzip.compress(json.dumps([{"id": "x", **BODY}]).encode()), "a list of tasks", ["x"]),
    "a quote in the name": ("it's a file.json", [{"id": "x", **BODY}], "a list of tasks", ["x"]),
    "FILE in the name": ("FILE.json", [{"id": "x", **BODY}], "a list of tasks", ["x"]),
    "pairs": ("a.json", PAIRS, "a list of pairs", ["tasks"]),
    "an object of pairs": ("a.json", {"x": PAIRS, "y": PAIRS}, "an object of lists of pairs", ["x", "y"]),
    "one key": ("a.json", {"tasks": {"x": BODY}}, "an object that holds the tasks in one key", ["x"]),
    "CSV": ("a.csv", f'id,task\nx,"{json.dumps(BODY).replace(chr(34), chr(34) * 2)}"\n', "a CSV table", ["x"]),
    "a pickle": ("a.pkl", pickle.dumps({"x": BODY}), "a pickle", ["x"]),
    "a tar archive": ("a.tar", archive("x.json", json.dumps(BODY), "w"), "a tar archive", ["x"]),
    "a tar archive, gzipped": ("a.tgz", archive("x.json", json.dumps(BODY), "w:gz"), "a tar archive", ["x"]),
}


@cases(("name", "content", "shape", "ids"), CONVERTED.values())
def test_the_two_lines_convert_what_the_sentence_names(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: Any, shape: str, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("shape")
    sentence, convert, run = told(folder / name, content)
    assert shape in sentence
    subprocess.run(convert.replace("python -c", f"{sys.executable} -c"), shell=True, check=True, cwd=folder)
    made = folder / run.removeprefix("python -m submission run --challenges ")
    assert list(read_tasks(made).tasks) == ids


@cases(
    ("content", "shape", "line"),
    {
        "a zip archive": (archive("x.json", json.dumps(BODY), "zip"), "a zip archive", "unzip "),
        "numpy arrays": (arrays(), "an archive of numpy arrays", "python -c"),
        "a Parquet table": (b"PAR1\x15\x04\x15", "a Parquet table", "python -c"),
        "xz": (b"\xfd7zXZ\0\0", "a file compressed by xz", "xz -dc"),
        "bzip2": (b"BZh91AY&SY", "a file compressed by bzip2", "bzip2 -dc"),
        "zstd": (b"(\xb5/\xfd\0", "a file compressed by zstd", "zstd -dc"),
        "solutions": ({"x": [[[1]]], "y": [[[2]]]}, "a file of solutions", "--challenges CHALLENGES --solutions "),
        "a submission": ({"x": [{"attempt_1": [[1]], "attempt_2": [[0]]}]}, "a submission", "submission score "),
        "a Git LFS pointer": ("version https://git-lfs.github.com/spec/v1\noid 0\n", "a Git LFS pointer", "git lfs"),
        "a page": ("<!DOCTYPE html>\n<html>", "a page of HTML", ""),
        "an image": (b"\x89PNG\r\n\x1a\n", "an image", ""),
    }.values(),
)  # fmt: skip
def test_other_shapes_are_named(tmp_path: Path, content: Any, shape: str, line: str) -> None:
    sentence, *conversion = told(tmp_path / "tasks.json", content)
    assert shape in sentence
    assert line in " ".join(conversion)
    assert bool(line) == bool(conversion)
