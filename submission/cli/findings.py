"""What a check has found, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    level: Level
    subject: str
    sentence: str


def passed(findings: Sequence[Finding]) -> bool:
    """Whether no check failed."""
    return all(each.level != "fail" for each in findings)


def line(finding: Finding) -> str:
    """A finding as one line."""
    return f"{finding.level:4}  {finding.subject:12}  {finding.sentence}"
