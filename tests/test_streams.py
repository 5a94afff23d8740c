"""A run's result does not depend on who listens to its standard streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from submission import streams

RUN = [sys.executable, "-m", "submission", "run", "--solvers", "programs", "--only", "66e6c45b", "--workers", "1"]


def test_a_stream_whose_reader_has_gone_drops_its_text_and_says_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = streams._lasting(writer, None)
    for _ in range(3):
        stream.write("x" * 100_000)
        stream.flush()
    assert streams.failure(stream) is None
    os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_stream_on_a_full_disk_keeps_the_reason() -> None:
    number = os.open("/dev/full", os.O_WRONLY)
    stream = streams._lasting(number, None)
    stream.write("lost\n")
    stream.flush()
    failure = streams.failure(stream)
    assert failure is not None and failure.strerror == "No space left on device"
    os.close(number)


def test_all_text_arrives_where_somebody_reads_even_what_no_encoding_writes() -> None:
    reader, writer = os.pipe()
    stream = streams._lasting(writer, None)
    stream.write("a path: \udcff\n")
    stream.flush()
    assert os.read(reader, 100) == b"a path: \\udcff\n"
    os.close(reader)
    os.close(writer)


REDIRECTIONS = ["<&- >&- 2>&-"]
MORE_REDIRECTIONS = [
    "2>&-", ">&-", "| head -0", "2>&1 | head -1", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full",
]  # fmt: skip


@pytest.mark.parametrize(
    "redirection", [*REDIRECTIONS, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE_REDIRECTIONS)]
)
def test_a_run_is_the_same_whoever_listens(redirection: str, tmp_path: Path) -> None:
    command = " ".join([*RUN, "--out", str(tmp_path / "run"), redirection])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["solved_tasks"] == 1


def test_what_was_to_be_printed_and_was_lost_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({"66e6c45b": [{"attempt_1": [[0]], "attempt_2": [[0]]}]}))
    command = f"{sys.executable} -m submission score {path} --data arc1-eval --only 66e6c45b >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "standard output could not be written to (No space left on device)" in done.stderr.splitlines()[-1]
