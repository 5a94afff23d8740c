"""Arguments: what cannot be is answered with status 2 and the argument's name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from submission.cli.arguments import parser, require_own_options
from submission.cli.bench import bench
from submission.cli.commands import main
from submission.errors import BadInput
from tests.support.cases import cases


@cases(
    ("command", "wrong"),
    [
        (["run"], wrong)
        for wrong in (
            ["--minutes", "0"], ["--minutes", "x"], ["--minutes", "nan"], ["--minutes", "1e999"], ["--minutes", "1e9"],
            ["--hours", "3000000"], ["--hours", "inf"], ["--hours", "-1"], ["--tasks", "-1"], ["--tasks", "0"],
            ["--tasks", "1" * 5000], ["--workers", "-1"], ["--workers", "100000"], ["--seed", "-1"],
            ["--seed", str(2**32)], ["--seed", "1" * 5000], ["--seed", "1.5"], ["--data", "x"], ["--x"],
        )
    ]
    + [
        (["bench", "ttt"], wrong)
        for wrong in (
            ["--tasks", "0"], ["--seed", "-1"], ["--minutes", "x"], ["--minutes", ""], ["--hours", "1e9"],
            ["--seconds", "1e999"], ["--workers", "-1"], ["--json", "/no/such/folder/figures.json"], ["--json", "/"],
        )
    ]
    + [
        (["pretrain", "--out", "x"], wrong)
        for wrong in (
            ["--generated", "-1"], ["--generated", "1000000"], ["--threads", "-1"], ["--threads", "1e3"],
            ["--minutes", "1e999"], ["--minutes", "-1"], ["--rate", "nan"], ["--rate", "1e999"], ["--rate", "0"],
            ["--other-rate", "inf"], ["--steps", "-1"], ["--steps", "9" * 30], ["--tokens", "0"], ["--limit", "0"],
            ["--limit", "1" * 5000], ["--seed", "-1"], ["--seed", str(2**64)], ["--layers", "0"],
            ["--layers", "99999999"], ["--hidden", "0"], ["--hidden", str(64 * 10**9)], ["--decay", "-1"],
            ["--decay", "inf"], ["--rank", "0"], ["--alpha", "inf"], ["--new-rules", "1.1"], ["--anneal", "0"],
            ["--warmup", "0"], ["--workers", "-1"], ["--first-learned", "2"],
        )
    ],
)  # fmt: skip
def test_bad_arguments_exit_with_status_2(
    command: list[str], wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, *wrong])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert wrong[0] in told and wrong[-1][:40] in told
    assert "invalid" not in told or "choice" in told, "the sentence is ours"
    assert len(told) < 200


@pytest.mark.parametrize("command", [["run"], ["shrink", "--model", "x"], ["bench", "scaling"], ["pretrain"]])
def test_results_are_not_asked_into_a_file_or_below_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for out, named in ((file, file), (file / "deep" / "er", file), (tmp_path / "nowhere", tmp_path / "nowhere")):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--out", str(out)])
        assert ended.value.code == 2
        assert f"argument --out: {named} is a file; name a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--out", "x" * 300])
    assert "cannot be looked at (File name too long)" in capsys.readouterr().err
    assert file.read_text() == "mine"
    for out in (tmp_path, tmp_path / "new" / "er"):
        assert parser().parse_args([*command, "--out", str(out)]).out == out


def test_every_command_says_its_name_and_no_other_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    least = {
        "run": [], "score": ["x"], "report": ["x"], "check": [], "shrink": ["--model", "x", "--out", "y"],
        "bench": ["ttt"], "pretrain": ["--out", "x"],
    }  # fmt: skip
    assert {name: parser().parse_args([name, *words]).command for name, words in least.items()} == {
        name: name for name in least
    }
    with pytest.raises(SystemExit):
        parser().parse_args(["solve"])
    told = capsys.readouterr().err
    assert "solve" in told and all(name in told for name in least)


def test_an_option_of_one_bench_is_refused_for_the_others() -> None:
    require_own_options(parser().parse_args(["bench", "ttt", "--try", "adapt.rank=8"]))
    with pytest.raises(BadInput, match="--try is not for bench plan, but for network, ttt"):
        require_own_options(parser().parse_args(["bench", "plan", "--try", "adapt.rank=8"]))


def test_solvers_are_named_in_any_order_and_come_in_one() -> None:
    for text in ("programs,network", "network,programs"):
        assert parser().parse_args(["run", "--solvers", text]).solvers == ("network", "programs")
    assert parser().parse_args(["run", "--solvers", "programs"]).solvers == ("programs",)


@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        (["x"], "--try x: expected section.field=value"),
        (["adapt.rank=8", "adapt.nothing=1"], "--try adapt.nothing=1: adapt has no field"),
        (["adapt.rank=8,adapt.rank=-1"], "--try adapt.rank=8,adapt.rank=-1: adapt.rank must be at least 0"),
    ],
)
def test_changes_that_cannot_be_made_are_refused_before_the_first_is_measured(attempts: list[str], told: str) -> None:
    options = parser().parse_args(["bench", "ttt", *(word for each in attempts for word in ("--try", each))])
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        bench(options)
    assert str(caught.value).startswith(told)
    assert time.monotonic() - began < 2
