"""The layout of a checkpoint, from its config.json or its tokenizer; one that does not fit is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from submission.arc.layouts import ADDED, CHAT16, GRID16, described
from submission.checkpoint.layout import layout_of
from submission.errors import BadInput
from submission.model.vocabulary import shrink
from tests.support.cases import cases
from tests.support.families import miniature
from tests.support.layouts import LLAMA3_WORDS, MERGES, NUMPY, llama3_tokenizer, sentencepiece_tokenizer


def test_the_layout_is_told_by_the_checkpoint(tiny_grid_model: Path) -> None:
    assert layout_of(tiny_grid_model) is GRID16


def test_auto_takes_characters_for_architects_and_a_whole_vocabulary_for_numpy(tmp_path: Path) -> None:
    assert layout_of(miniature(tmp_path / "a", "minitron", "architects")).name == "architects"
    assert layout_of(miniature(tmp_path / "n", "llama-3.1", "numpy")).name == "numpy"
    assert layout_of(miniature(tmp_path / "c", "qwen3")) is CHAT16


@pytest.mark.parametrize(
    ("made", "wish", "told"),
    [
        ("numpy", "chat16", "shrink it first"),
        ("chat16", "architects", "made for layout chat16"),
        ("architects", "numpy", "layout numpy is for Llama 3"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_in_a_sentence(made: str, wish: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told):
        layout_of(miniature(tmp_path, "llama-3.1", made), wish)


WORDS = {**{str(k): k for k in range(10)}, "user": 11, "assistant": 12, "<|endoftext|>": 13}
WORDS |= {"<|im_start|>": 14, "<|im_end|>": 15}
ONE_TOKEN_TURNS = {word: token for word, token in WORDS.items() if word not in ("user", "assistant")}
ONE_TOKEN_TURNS |= {"\u010a": 10, "<|im_start|>user": 11, "<|im_start|>assistant": 12}


@cases(
    ("words", "told"),
    [
        (WORDS | {"\u010a": 10}, ""), (WORDS | {"\n": 10}, ""), (WORDS, r"10 is '\\n' there, and None"),
        (ONE_TOKEN_TURNS, r"11 is 'user' there, and '<\|im_start\|>user' in its tokenizer.json"),
        (WORDS | {"\u010a": 10, "0": 1, "1": 0}, "0 is '0' there, and '1'"),
    ],
)  # fmt: skip
def test_sixteen_ids_are_chat16_only_where_the_tokenizer_says_so_too(
    words: dict[str, int], told: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of the published checkpoints with 16 ids one writes a turn as a single token."""
    folder = miniature(tmp_path_factory.mktemp("sixteen"), "qwen3")
    Tokenizer(WordLevel(words, "<|endoftext|>")).save(str(folder / "tokenizer.json"))
    if told:
        with pytest.raises(BadInput, match=told):
            layout_of(folder)
    else:
        assert layout_of(folder) is CHAT16
    assert layout_of(folder, "chat16") is CHAT16, "whoever says so may be right"


def test_rows_and_columns_are_positions_of_the_grid_model_alone(tmp_path: Path) -> None:
    stock = miniature(tmp_path / "stock", "qwen3", "chat16")
    config = json.loads((stock / "config.json").read_text())
    (stock / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "arc_layout"}))
    told = "layout grid16 is for the embedded model .* a model of family qwen3 takes chat16"
    with pytest.raises(BadInput, match=told):
        layout_of(stock, "grid16")
    wordy = miniature(tmp_path / "wordy", "qwen3", "numpy")
    with pytest.raises(BadInput, match=told):
        shrink(wordy, tmp_path / "out", "grid16")
    assert not (tmp_path / "out").exists()


def test_a_layout_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    config = json.loads((folder / "config.json").read_text())
    whole = described(replace(CHAT16, name="other"))
    assert isinstance(whole, dict)
    for wrong, told in (
        ("nothing", "neither one of"), (["chat16"], "neither one of"), ({"name": "x"}, "neither one of"),
        (whole | {"cells": [1, 2]}, "ten different ids"), (whole | {"pad": 16}, "there are only 16"),
    ):  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config | {"arc_layout": wrong}))
        with pytest.raises(BadInput, match=told):
            layout_of(folder)
    (folder / "config.json").write_text(json.dumps(config | {"arc_layout": whole}))
    assert layout_of(folder) == replace(CHAT16, name="other")


def test_a_layout_that_an_earlier_version_described_is_read_unless_it_is_numpy(tmp_path: Path) -> None:
    """It lacks the fragments that came later; a numpy layout without them has a wrong token before each answer."""
    folder = miniature(tmp_path, "llama-3.1")
    config = json.loads((folder / "config.json").read_text())
    for name in ("other", "numpy"):
        whole = described(replace(CHAT16, name=name))
        assert isinstance(whole, dict)
        earlier = {key: value for key, value in whole.items() if key not in ADDED}
        (folder / "config.json").write_text(json.dumps(config | {"arc_layout": earlier}))
        if name == "other":
            assert layout_of(folder) == replace(CHAT16, name=name)
        else:
            with pytest.raises(BadInput, match="shrink it again"):
                layout_of(folder)


def saved(folder: Path, tokenizer: object, size: int, **special: str) -> Path:
    """A folder with this tokenizer, and a config of this many ids; no weights."""
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    (folder / "config.json").write_text(json.dumps({"vocab_size": size}))
    return folder


def test_a_layout_with_ids_above_the_embeddings_is_refused(tmp_path: Path) -> None:
    made = llama3_tokenizer(MERGES["pieces"])
    size = made.get_vocab_size()
    names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    assert layout_of(saved(tmp_path / "whole", made, size, **names)) == NUMPY["pieces"]
    with pytest.raises(BadInput, match=r"'<\|eot_id\|>' has the id \d+, but vocab_size in config\.json is"):
        layout_of(saved(tmp_path / "less", made, size - 1, **names))


@cases("word", LLAMA3_WORDS)
def test_numpy_is_refused_without_a_word_between_messages(word: str, tmp_path: Path) -> None:
    others = [each for each in LLAMA3_WORDS if each != word]
    made = llama3_tokenizer(MERGES["pieces"], [*others, "<end>"])
    names = {"bos_token": "<end>", "eos_token": "<end>"}
    folder = saved(tmp_path / "model", made, 1000, **names)
    with pytest.raises(BadInput, match="layout numpy is for Llama 3") as told:
        layout_of(folder)
    assert word in str(told.value) and not any(each in str(told.value) for each in others)


@cases("kind", ["prepend", "metaspace", "unigram"])
def test_architects_finds_the_characters_of_a_sentencepiece_vocabulary(kind: str, tmp_path: Path) -> None:
    made = sentencepiece_tokenizer(kind)
    ids = made.get_vocab()
    folder = saved(tmp_path / "model", made, len(ids), bos_token="<s>", eos_token="</s>")
    layout = layout_of(folder, "architects")
    assert layout.cells == tuple(ids[str(colour)] for colour in range(10)), "not those with a space before them"
    assert layout.row_gap == (ids["<0x0A>"],)
    assert layout.input_open == (ids["I"],)
    assert layout.opening[:3] == (ids["<s>"], ids["A"], ids["B"])
    assert layout.answer_close == (ids["<0x0A>"], ids["</s>"])


def test_what_sentencepiece_vocabularies_lack_is_said(tmp_path: Path) -> None:
    wrong = {
        "no bytes": (sentencepiece_tokenizer("prepend", byte_fallback=False), r"does not know the characters '\\n'"),
        "no digits": (
            sentencepiece_tokenizer("prepend", byte_fallback=False, lacking="0123456789"),
            "characters .*n0123456789'",
        ),
        "cut": (sentencepiece_tokenizer("prepend", merges=()), "puts a space before each text"),
    }
    for name, (made, told) in wrong.items():
        folder = saved(tmp_path / name, made, 1000, bos_token="<s>", eos_token="</s>")
        with pytest.raises(BadInput, match=told):
            layout_of(folder, "architects")


def test_the_layout_is_that_of_the_file_whatever_its_class(tmp_path: Path) -> None:
    """tokenizer_class made AutoTokenizer build another tokenizer from the same vocabulary."""
    made = llama3_tokenizer(MERGES["pieces"])
    for name in ("LlamaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer", "NoSuchTokenizer"):
        names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "tokenizer_class": name}
        assert layout_of(saved(tmp_path / name, made, 1000, **names)) == NUMPY["pieces"]
