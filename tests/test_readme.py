"""The documents: commands parse, paths exist, the README is short, and every result says where it is from."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import build
from submission.cli.arguments import parser
from submission.cli.examples import EXAMPLES
from submission.config import with_changes
from submission.errors import BadInput
from submission.presets import PRESETS
from tests.support.import_law import LAW

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md",
    "RESULTS.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/checkpoints.md",
    "docs/kaggle.md",
    "tests/faults/README.md",
)
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
README = TEXTS["README.md"]

OF_A_RUN = {"submission.json", "report.html", "summary.json", "log.txt", "journal/"}
"""Files that a run writes: they are named, but are not in the repository."""
OF_THE_READER = {"re_arc.zip"}
"""Files that the reader brings."""


def blocks(text: str) -> list[str]:
    """The lines of all shell blocks, without their comments."""
    found = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line.split("  #")[0].strip() for block in found for line in block.splitlines() if line.strip()]


def spans(text: str) -> list[str]:
    """What stands between backticks in a line of prose or over the end of one."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose)]


def commands(text: str) -> list[str]:
    """The calls of python in a document, in shell blocks and in prose."""
    parts = [part.strip() for each in [*blocks(text), *spans(text)] for part in each.split("&&")]
    return [part for part in parts if re.match(r"python (-m (submission|tests)|\w+\.py)\b", part)]


COMMANDS = [each for text in TEXTS.values() for each in commands(text)]
SHOWN = [line.split("  #")[0].strip() for text in EXAMPLES.values() for line in text.splitlines()]


@pytest.mark.parametrize("command", ["pip install -e .", "python kernel_main.py", "pip install -e '.[test]' && pytest"])
def test_the_two_commands_are_there(command: str) -> None:
    assert command in blocks(README)


def parse(command: str) -> None:
    """AssertionError, BadInput or SystemExit where a command is not valid or names a setting that there is not."""
    words = [each for each in shlex.split(command)[1:] if each != "--help"]
    if words[0] == "build.py":
        assert len(words) == 1 or build._parser().parse_args(words[1:])
    elif words[0] == "kernel_main.py" or words[:2] == ["-m", "submission"]:
        arguments = ["run", *words[1:]] if words[0] == "kernel_main.py" else words[2:]
        if "--help" in command:
            assert arguments[0] in EXAMPLES
            return
        options = vars(parser().parse_args(arguments))
        for change in [
            *options.get("set", []),
            *(part for each in options.get("attempt", []) for part in each.split(",")),
        ]:
            with_changes(PRESETS["laptop"], [change])
    else:
        assert words[0] == "-m" and find_spec(words[1]) is not None


def test_every_command_of_the_documents_and_of_help_is_valid() -> None:
    assert len(COMMANDS) > 40 and len(SHOWN) > 20
    wrong = []
    for command in [*COMMANDS, *SHOWN]:
        try:
            parse(command)
        except (AssertionError, BadInput, SystemExit) as error:
            wrong.append(f"{command}: {error!r}")
    assert wrong == []


@pytest.mark.parametrize(
    "command",
    ["python kernel_main.py --taks 3", "python kernel_main.py --set search.whole=True", "python -m tests.big",
     "python -m submission bench ttt --try lessons.copies=12", "python build.py bundle"],
)  # fmt: skip
def test_a_command_that_is_not_valid_is_caught(command: str) -> None:
    with pytest.raises((AssertionError, BadInput, SystemExit)):
        parse(command)


def paths(text: str) -> Iterator[str]:
    """What looks like a path: between backticks, in links, and in pictures."""
    for each in spans(text):
        if re.fullmatch(r"[\w./-]+", each) and re.search(
            r"/|\.(py|md|json|toml|lock|sh|txt|in|css|js|html|zip|png)$", each
        ):
            yield each
    yield from re.findall(r"\]\(([^)#:]+)\)", text)
    yield from re.findall(r'<img src="([^"]+)"', text)


def test_every_path_of_the_documents_exists() -> None:
    missing = [
        f"{name}: {path}"
        for name, text in TEXTS.items()
        for path in paths(text)
        if path not in OF_A_RUN | OF_THE_READER and not any((at / path).exists() for at in (ROOT, (ROOT / name).parent))
    ]
    assert missing == []


def test_paths_are_found_in_every_form() -> None:
    text = '`a/b.py` ``` `c.py` ``` [d](e/f.md) `--set g=1` [h](https://i.org) `LAW` <img src="j.png"> `k.lock`'
    assert set(paths(text)) >= {"a/b.py", "e/f.md", "j.png", "k.lock"}
    assert not {"--set", "LAW", "https://i.org"} & set(paths(text))


def test_the_readme_has_at_most_200_lines() -> None:
    assert len(README.splitlines()) <= 200


def test_the_picture_is_small() -> None:
    content = (ROOT / "docs" / "report.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < 120_000


def test_each_row_of_to_change_x_names_a_file_and_a_test() -> None:
    table = README.partition("## To change X")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for what, where, test in rows:
        assert re.search(r"`(submission/[\w/]+|\w+)\.py`", where), what
        assert re.match(r"`tests/[\w/]+\.py`", test), what


def tree() -> list[str]:
    """The lines below `submission/` in the README."""
    found = re.search(r"```\nsubmission/\n(.*?)```", README, re.S)
    assert found
    return found[1].splitlines()


def test_the_tree_names_every_package_and_module_of_the_first_level() -> None:
    named = {name.rstrip("/") for line in tree() for name in line.split("  ")[0].split()}
    package = ROOT / "submission"
    real = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == real | {path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_the_tree_is_the_import_law() -> None:
    def rule(line: str) -> tuple[str, str]:
        names, _, allowed = line.partition("->")
        return names.split("  ")[0].strip(), allowed.strip()

    shown = [rule(line) for line in tree() if "->" in line]
    assert shown == [rule(line) for line in LAW.strip().splitlines()]


LABELS = ("- Command", "- Date: 2", "- Machine: ", "- Tasks: ")


def tables_without_a_source(text: str) -> list[str]:
    """The first lines of the tables before which, back to the table before, one of the labels is missing."""
    missing, seen = [], ""
    for block in text.split("\n\n"):
        if block.startswith("|"):
            if not all(f"\n{label}" in seen for label in LABELS):
                missing.append(block.splitlines()[0])
            seen = ""
        else:
            seen += f"\n{block}"
    return missing


@pytest.mark.parametrize("name", ["RESULTS.md", "tests/faults/README.md"])
def test_every_table_of_results_has_its_command_date_machine_and_tasks(name: str) -> None:
    assert tables_without_a_source(TEXTS[name]) == []
    for line in TEXTS[name].splitlines():
        if line.startswith("- Date"):
            assert re.match(r"- Date: 20\d\d-\d\d-\d\d", line)
        if line.startswith("- Machine"):
            assert re.match(r"- Machine: (Intel|AMD|as in the table|none)", line)
        if line.startswith("- Tasks"):
            assert re.match(r"- Tasks: \d+", line)


def test_a_table_without_its_date_is_caught() -> None:
    source = "- Command: `x`\n- Date: 2026-11-21\n- Machine: AMD\n- Tasks: 3"
    table = "| a |\n|---|\n| 1 |"
    assert tables_without_a_source(f"{source}\n\n{table}") == []
    assert tables_without_a_source(f"{source.replace('- Date', '- On')}\n\n{table}") == ["| a |"]
    assert tables_without_a_source(f"{source}\n\n{table}\n\nMore:\n\n{table}") == ["| a |"]


def test_the_changelog_names_settings_that_exist_for_settings_that_do_not() -> None:
    rows = re.findall(r"\| `(\w+)\.(\w+)` \| `(\w+)\.(\w+)` \|", TEXTS["CHANGELOG.md"])
    assert len(rows) == 10
    for before, old, section, new in rows:
        assert new in vars(vars(PRESETS["laptop"])[section])
        with pytest.raises(BadInput):
            with_changes(PRESETS["laptop"], [f"{before}.{old}=1"])


def test_the_entry_file_is_short_and_runs_a_task(tiny_grid_model: Path, tmp_path: Path) -> None:
    entry = ROOT / "kernel_main.py"
    assert len(entry.read_text().splitlines()) <= 80
    sets = [
        part for change in ("training_rows.copies=1", "search.views=1", "adapt.rank=2") for part in ("--set", change)
    ]
    sets += ["--workers", "1", "--solvers", "programs"]  # No worker has to load torch.
    done = subprocess.run(
        [sys.executable, str(entry), "--only", "66e6c45b", "--model", str(tiny_grid_model), "--out", "here", *sets],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "here" / "submission.json").read_text())) == {"66e6c45b"}
    assert "solved" in done.stdout
    refused = subprocess.run(
        [sys.executable, str(entry), "--only", "none"], cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
