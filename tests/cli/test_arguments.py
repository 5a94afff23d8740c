"""Arguments: what cannot be is answered with status 2 and the argument's name."""

from __future__ import annotations

import pytest

from submission.cli.arguments import parser, require_own_options
from submission.cli.commands import main
from submission.errors import BadInput

RUN = ["run", "--set", "search.views=1"]


@pytest.mark.parametrize(
    "wrong", [["--minutes", "0"], ["--minutes", "x"], ["--minutes", "nan"], ["--tasks", "-1"], ["--data", "x"], ["--x"]]
)
def test_bad_arguments_exit_with_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*RUN, *wrong])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert wrong[-1] in told
    assert "_positive" not in told and "_count" not in told


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
    with pytest.raises(BadInput, match="--try is not for bench plan, but for ttt"):
        require_own_options(parser().parse_args(["bench", "plan", "--try", "adapt.rank=8"]))


def test_solvers_are_named_in_any_order_and_come_in_one() -> None:
    for text in ("programs,network", "network,programs"):
        assert parser().parse_args(["run", "--solvers", text]).solvers == ("network", "programs")
    assert parser().parse_args(["run", "--solvers", "programs"]).solvers == ("programs",)
