"""`settings` shows every setting with its value, its range and its meaning, and finds them by name."""

from __future__ import annotations

import argparse

import pytest

from submission import __version__
from submission.cli.arguments import parsed, parser
from submission.cli.commands import main
from submission.cli.settings_table import chosen_rows, setting_rows
from submission.config import Settings, with_changes
from submission.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_each_setting_of_each_preset_has_a_value_that_it_may_have_and_a_meaning(name: str) -> None:
    rows = setting_rows(PRESETS[name])
    assert len(rows) == len({each.name for each in rows}) > 50
    assert all(each.meaning and each.allowed for each in rows)
    changes = [f"{each.name}={each.value}" for each in rows if each.value != ""]
    assert with_changes(Settings(), changes) == PRESETS[name], "what is shown can be set"


def test_a_value_of_the_preset_that_is_not_the_default_has_a_star(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "adapt.rate", "search.views", "--preset", "ttt-l4x4"]) == 0
    told = capsys.readouterr().out
    assert "* search.views = 64   (at least 1 and at most 10000, default 16)" in told
    assert "  adapt.rate = 0.0001   (above 0 and at most 1e+38)" in told
    assert "Peak learning rate of AdamW." in told


def test_a_section_is_shown_whole_and_a_wrong_name_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert {each.name for each in chosen_rows(Settings(), ["vote"])} == {"vote.rule", "vote.programs"}
    assert main(["settings", "adapt.rat"]) == 2
    assert capsys.readouterr().err == "no setting is called 'adapt.rat'; there is adapt.rate\n"
    assert main(["settings", "--preset", "t4"]) == 2


def commands() -> dict[str, argparse.ArgumentParser]:
    [found] = [each for each in parser()._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found.choices)


@pytest.mark.parametrize("name", commands())
def test_every_option_says_what_it_is(name: str) -> None:
    assert [each.dest for each in commands()[name]._actions if not each.help] == []


@pytest.mark.parametrize("name", commands())
def test_a_wrong_option_is_answered_by_the_command_that_was_typed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {"score": ["x"], "report": ["x"], "bench": ["ttt"], "shrink": ["--model", "x", "--out", "y"]}
    given = needed.get(name, ["--out", "y"] if name == "pretrain" else [])
    with pytest.raises(SystemExit) as ended:
        parsed([name, *given, "--bogus"])
    assert ended.value.code == 2
    assert f"python -m submission {name}: error: unrecognized arguments: --bogus" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--version"], ["run", "--preset", "laptop", "--version"]])
def test_the_version_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The second is `kernel_main.py --version`."""
    with pytest.raises(SystemExit) as ended:
        parsed(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"arc-submission {__version__}\n"
