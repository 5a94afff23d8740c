"""The versions of the libraries that a run needs: those installed, and what is to be said of them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from submission.cli.findings import Finding
from submission.versions import KAGGLE_IMAGE, SUPPORTED, is_old_torchao, numbers


def installed_versions() -> dict[str, str | None]:
    """Package -> its installed version; None where it is not installed."""
    libraries = [name for name in SUPPORTED if name != "python"]
    return {"python": platform.python_version()} | {name: installed(name) for name in [*libraries, "torchao"]}


def installed(name: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def judged_versions(found: Mapping[str, str | None]) -> list[Finding]:
    """A finding for each package that a run needs, by its installed version."""
    findings = []
    for name, (oldest, untried) in SUPPORTED.items():
        here = found.get(name)
        image = f"; Kaggle's image has {KAGGLE_IMAGE.get(name, 'none')}"
        if here is None:
            findings.append(Finding("fail", name, f"is not installed; {oldest} or newer is needed{image}"))
        elif numbers(here) < numbers(oldest):
            findings.append(Finding("fail", name, f"{here} is too old; {oldest} or newer is needed{image}"))
        elif untried is not None and numbers(here) >= numbers(untried):
            findings.append(Finding("warn", name, f"{here} is untested; versions below {untried} are tested{image}"))
        else:
            findings.append(Finding("pass", name, f"{here}{image}"))
    return [*findings, *judged_torchao(found.get("peft"), found.get("torchao"))]


def judged_torchao(peft: str | None, torchao: str | None) -> list[Finding]:
    """A warning for an old torchao beside a new peft, which refuses it; `model.lora` hides it from peft."""
    if torchao is None or peft is None or not is_old_torchao(torchao) or numbers(peft) < (0, 19):
        return []
    sentence = (
        f"peft {peft} refuses to work beside torchao {torchao}, which is hidden from it: pip uninstall -y torchao"
    )
    return [Finding("warn", "torchao", sentence)]
