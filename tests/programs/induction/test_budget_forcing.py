"""Budget forcing, on a tokenizer of single characters and a scripted model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from submission.programs.induction.budget_forcing import WAIT, Codec, Completion, TokenBudget
from submission.programs.induction.dialogue import OPENING

STOP = 0x110000
THINK = "</think>"


def decode(ids: Sequence[int]) -> str:
    return "".join("<stop>" if each == STOP else chr(each) for each in ids)


CHARACTERS = Codec(lambda text: [ord(each) for each in text], decode, frozenset({STOP}))


def ids(text: str) -> list[int]:
    """Characters, with | for the stop token."""
    return [STOP if each == "|" else ord(each) for each in text]


def written(said: str, effort: TokenBudget) -> str:
    """What comes of a model that says this, and then dots for ever; what is replaced by forced tokens is lost."""
    draft = Completion(effort, CHARACTERS)
    proposals = iter(ids(said))
    while not draft.done:
        proposed = next(proposals, ord("."))
        draft.take(proposed)
        while draft.forcing:
            draft.take(proposed)
    return decode(draft.ids)


def test_a_thought_and_a_program_come_out_as_they_were_said() -> None:
    assert written("Upside down.|code\n```", TokenBudget()) == f"Upside down.\n{OPENING}code\n```"


def test_reasoning_that_reaches_its_limit_is_closed_and_the_program_opened() -> None:
    text = written("a" * 100, TokenBudget(reasoning=10, program=5))
    assert text == "a" * 10 + "\n" + OPENING + "aaaaa"


def test_the_opening_begins_a_line_and_only_one() -> None:
    assert written("I see.\n|code```", TokenBudget()) == f"I see.\n{OPENING}code```"
    assert written("I see.|code```", TokenBudget()) == f"I see.\n{OPENING}code```"


def test_no_reasoning_asks_for_the_program_at_once() -> None:
    assert written("_code```", TokenBudget(reasoning=0)) == OPENING + "code```"


@pytest.mark.parametrize("end", ["```", "|"])
def test_the_end_of_reasoning_opens_the_program(end: str) -> None:
    text = written(f"I see.{end}code```", TokenBudget())
    assert text.startswith("I see.") and f"\n{OPENING}code```" in text
    assert "<stop>" not in text, "it is suppressed"


def test_the_end_of_reasoning_is_suppressed_so_many_times() -> None:
    text = written("one|two|three|code```", TokenBudget(waits=2))
    assert text == f"one{WAIT}two{WAIT}three\n{OPENING}code```"


def test_waiting_does_not_go_beyond_the_most_reasoning() -> None:
    text = written("|" * 50, TokenBudget(reasoning=20, waits=1000, program=3))
    reasoning, program = text.split("\n" + OPENING)
    assert reasoning == WAIT * 5, "twenty characters"
    assert program == "<stop>"


def released(thoughts: Sequence[str], limit: int) -> str:
    """What s1's released code makes of thoughts that each end by themselves: joined by "Wait", cut at the limit."""
    return "Wait".join(thoughts)[:limit]


@pytest.mark.parametrize("thoughts", [["abc", "de"], ["abc", "", "de"], ["a" * 9, "b" * 9, "c" * 9, "d"], ["", ""]])
@pytest.mark.parametrize("limit", [*range(1, 50), 512])
def test_reasoning_with_waits_is_that_of_the_released_code_at_every_limit(thoughts: list[str], limit: int) -> None:
    text = written("|".join(thoughts) + "|", TokenBudget(reasoning=limit, waits=len(thoughts) - 1, program=1))
    reasoning = text[: text.index(OPENING)].removesuffix("\n")
    assert reasoning == released(thoughts, limit)
    assert len(reasoning) <= limit


def test_wait_follows_the_thought_without_a_line_of_its_own() -> None:
    assert written("abc|de|", TokenBudget(waits=1, program=1)).startswith("abcWaitde\n" + OPENING)


def test_a_delimiter_of_the_models_own_ends_its_reasoning() -> None:
    effort = TokenBudget(delimiter=THINK, waits=1)
    text = written(f"a```b```{THINK}c{THINK}code```", effort)
    assert text.startswith("a```b```</think") and WAIT in text, "of a delimiter in parts, all but the last are there"
    assert text.endswith(f"{THINK}\n{OPENING}code```")


@pytest.mark.parametrize("end", ["```", "|"])
def test_a_program_ends_with_its_fence_or_with_the_text(end: str) -> None:
    text = written(f"|code{end}more", TokenBudget())
    assert text.endswith("code```" if end == "```" else "code<stop>")


def test_a_program_ends_at_its_limit() -> None:
    assert written("|" + "x" * 100, TokenBudget(program=7)).endswith(OPENING + "x" * 7)


def test_want_of_time_opens_the_program_and_changes_none_that_is_open() -> None:
    draft = Completion(TokenBudget(), CHARACTERS)
    for each in ids("thin"):
        draft.take(each)
    draft.start_program()
    said = [draft.take(ord("x")) for _ in range(len(OPENING) + 1 + 2)]
    draft.start_program()
    said.append(draft.take(ord("y")))
    assert decode(said) == "\n" + OPENING + "xxy"
