"""Arguments: what cannot be is answered with status 2 and the argument's name."""

from __future__ import annotations

import pytest

from submission.cli.commands import main

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
