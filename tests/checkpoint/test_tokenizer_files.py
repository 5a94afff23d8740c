"""Words and tokens by tokenizer.json alone; a tokenizer that cannot be used is refused in a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from submission.checkpoint import tokenizer_files
from submission.checkpoint.tokenizer_files import chat_template, read_words
from submission.errors import BadInput
from tests.support.cases import cases
from tests.support.families import tokenizer_of
from tests.support.layouts import MERGES, character_tokenizer, llama3_tokenizer, sentencepiece_tokenizer

TEXTS = [
    "0", "\n", "12 3", "user", " user", "<|eot_id|>", "a<|begin_of_text|>b", "[[0 1]\n [2 3]] -> [[5]]#\n", "Ünïcode ☃",
    "<bos>I00\n+/-=O11\n<eos>", "",
]  # fmt: skip


def folder_with(path: Path, tokenizer: Tokenizer, **files: dict[str, Any]) -> Path:
    """A folder of this tokenizer and of JSON files by name without ending."""
    path.mkdir(exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


@cases("layout", ["architects", "numpy"])
def test_ids_and_special_tokens_are_those_that_transformers_saved(layout: str, tmp_path: Path) -> None:
    fast: PreTrainedTokenizerFast = tokenizer_of(layout)
    fast.save_pretrained(tmp_path)
    words, theirs = read_words(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        ids = theirs.encode(text, add_special_tokens=False)
        assert words.encode(text) == ids, text
        assert words.encode_whole(text) == theirs.encode(text), text
        for skip in (False, True):
            assert words.decode(ids, skip) == theirs.decode(ids, skip, clean_up_tokenization_spaces=False), text
    assert words.vocabulary == theirs.get_vocab()
    assert (words.bos, words.eos, words.pad) == (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)


@cases("kind", ["prepend", "metaspace", "unigram"])
def test_a_class_that_is_named_beside_it_changes_nothing(kind: str, tmp_path: Path) -> None:
    """AutoTokenizer builds a LlamaTokenizer with a normalizer of its own."""
    made = sentencepiece_tokenizer(kind)
    for name in ("LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "PreTrainedTokenizerFast"):
        told = {"tokenizer_class": name, "legacy": False, "add_prefix_space": False, "bos_token": "<s>"}
        words = read_words(folder_with(tmp_path / name, made, tokenizer_config=told))
        for text in TEXTS:
            assert words.encode(text) == made.encode(text, add_special_tokens=False).ids, (name, text)


def test_the_special_tokens_of_a_whole_text_are_those_of_the_file(tmp_path: Path) -> None:
    made = character_tokenizer()
    made.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    words = read_words(folder_with(tmp_path / "model", made))
    assert words.encode("AB")[0] != 0 and words.encode_whole("AB") == [0, *words.encode("AB")]


def test_what_a_file_says_of_cutting_and_filling_is_not_done(tmp_path: Path) -> None:
    made = character_tokenizer()
    made.enable_truncation(2)
    made.enable_padding(length=9)
    assert len(read_words(folder_with(tmp_path / "model", made)).encode("ABCD")) == 4
    assert len(read_words(tmp_path / "model").encode("A")) == 1


EOS = character_tokenizer().token_to_id("<eos>")

SPECIAL: dict[str, tuple[dict[str, Any], int | None]] = {
    "a word": ({"tokenizer_config": {"eos_token": "<eos>"}}, EOS),
    "an object": ({"tokenizer_config": {"eos_token": {"content": "<eos>", "lstrip": False}}}, EOS),
    "in the map": ({"special_tokens_map": {"eos_token": "<eos>"}}, EOS),
    "an object in the map": ({"special_tokens_map": {"eos_token": {"content": "<eos>"}}}, EOS),
    "config before map": (
        {"tokenizer_config": {"eos_token": "<eos>"}, "special_tokens_map": {"eos_token": "<pad>"}}, EOS,
    ),
    "null means none": ({"tokenizer_config": {"eos_token": None}, "config": {"eos_token_id": 5}}, None),
    "by id": ({"tokenizer_config": {}, "config": {"eos_token_id": 7}}, 7),
    "the first of several ids": ({"config": {"eos_token_id": [7, 9]}}, 7),
    "no ids": ({"config": {"eos_token_id": []}, "generation_config": {"eos_token_id": 8}}, 8),
    "words before ids": ({"special_tokens_map": {"eos_token": "<eos>"}, "config": {"eos_token_id": 7}}, EOS),
    "of the generation": ({"config": {"eos_token_id": None}, "generation_config": {"eos_token_id": [8, 7]}}, 8),
    "config before generation": ({"config": {"eos_token_id": 7}, "generation_config": {"eos_token_id": 8}}, 7),
    "minus one": ({"config": {"eos_token_id": -1}}, None),
    "nowhere": ({}, None),
}  # fmt: skip
"""Name -> what the files say, and the id of the token for the end."""


@cases("name", SPECIAL)
def test_special_tokens_are_found_in_a_fixed_order(name: str, tmp_path: Path) -> None:
    files, expected = SPECIAL[name]
    assert read_words(folder_with(tmp_path / name, character_tokenizer(), **files)).eos == expected


def _text(content: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def _changed(**changes: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({**json.loads(character_tokenizer().to_str()), **changes}))


def _beside(*names: str) -> Callable[[Path], object]:
    return lambda path: [(path.parent / name).write_text("{}") for name in names]


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, r"has no tokenizer\.json; copy it"),
    "sentencepiece alone": (
        _beside("tokenizer.model"), r"only tokenizer\.model; make one: .*from_pretrained\('.*'\)\.save_pretrained\("
    ),
    "words and merges": (_beside("vocab.json", "merges.txt"), r"only vocab\.json, merges\.txt; make one"),
    "an empty object": (_text("{}"), "cannot be read as a tokenizer"),
    "empty": (_text(""), "cannot be read as a tokenizer"),
    "cut short": (_text(character_tokenizer().to_str()[:200]), "cannot be read as a tokenizer"),
    "a list": (_text("[]"), "cannot be read as a tokenizer"),
    "no text": (_text(b"\xff\xfe\x00"), "cannot be read as a tokenizer"),
    "deep": (_text('{"a":' * 100_000 + "1" + "}" * 100_000), "cannot be read as a tokenizer"),
    "a pointer": (_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer"),
    "a dangling link": (lambda path: path.symlink_to("/nowhere/blob"), "link to a file that is not there"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a pipe": (lambda path: os.mkfifo(path), "not a regular file"),
    "huge": (lambda path: (path.touch(), os.truncate(path, 300_000_000)), "larger than 200 MB"),
    "no model": (_changed(model=None), "cannot be read as a tokenizer"),
    "an unknown model": (_changed(model={"type": "Telepathy"}), "cannot be read as a tokenizer"),
    "an unknown step": (_changed(pre_tokenizer={"type": "Telepathy"}), "cannot be read as a tokenizer"),
    "a broken pattern": (
        _changed(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(["}, "behavior": "Isolated", "invert": False}),
        "cannot be read as a tokenizer",
    ),
    "a merge of no words": (
        _changed(model={"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}), "cannot be read as a tokenizer",
    ),
    "no words": (_changed(model={"type": "BPE", "vocab": {}, "merges": []}, added_tokens=[]), "has no words"),
    "a special token that is none": (
        lambda path: (_changed()(path), (path.parent / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')),
        r"tokenizer_config\.json: eos_token is '<end>', and tokenizer\.json has no such word",
    ),
    "a special token of another kind": (
        lambda path: (_changed()(path), (path.parent / "special_tokens_map.json").write_text('{"eos_token": 7}')),
        r"special_tokens_map\.json: eos_token should be a text",
    ),
    "an id that is none": (
        lambda path: (_changed()(path), (path.parent / "config.json").write_text('{"eos_token_id": "7"}')),
        r"config\.json: eos_token_id should be a token id",
    ),
    "settings that are broken": (
        lambda path: (_changed()(path), (path.parent / "tokenizer_config.json").write_text("{")), "is not valid JSON",
    ),
}  # fmt: skip
"""Name -> how a folder is made by its tokenizer.json, and what the sentence says."""


@cases("name", REFUSED)
def test_a_tokenizer_that_cannot_be_used_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    make, told = REFUSED[name]
    folder = tmp_path / name
    folder.mkdir()
    make(folder / "tokenizer.json")
    with pytest.raises(BadInput, match=told) as refused:
        read_words(folder)
    assert str(folder) in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 700


def test_a_text_that_it_cannot_write_is_refused_in_a_sentence(tmp_path: Path) -> None:
    words = read_words(folder_with(tmp_path / "model", Tokenizer(WordLevel({"a": 0}, unk_token="<none>"))))
    with pytest.raises(BadInput, match=r"tokenizer\.json: cannot write 'b' \("):
        words.encode("b")


def test_words_above_the_embeddings_are_refused(tmp_path: Path) -> None:
    made = llama3_tokenizer(MERGES["bytes"])
    made.add_tokens(["<new>"])
    words = read_words(folder_with(tmp_path / "model", made))
    size = made.get_vocab_size() - 1
    words.require_rows(words.encode("a<|eot_id|>"), size)
    with pytest.raises(BadInput, match=f"'<new>' has the id {size}, but vocab_size in config.json is {size}"):
        words.require_rows(words.encode("a<new>"), size)


TEMPLATES: dict[str, tuple[str, str, str | None]] = {
    "a text": ("tokenizer_config.json", json.dumps({"chat_template": "{{ x }}"}), "{{ x }}"),
    "several": (
        "tokenizer_config.json",
        json.dumps({"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}), "d",
    ),
    "a file": ("chat_template.jinja", "{{ y }}", "{{ y }}"),
    "null": ("tokenizer_config.json", '{"chat_template": null}', None),
    "none": ("tokenizer_config.json", "{}", None),
}  # fmt: skip
"""Name -> file, content, the template."""


@cases("name", TEMPLATES)
def test_the_chat_template_is_found(name: str, tmp_path: Path) -> None:
    file, content, expected = TEMPLATES[name]
    folder = tmp_path / name
    folder.mkdir()
    (folder / file).write_text(content)
    assert chat_template(folder) == expected


def test_nothing_builds_a_tokenizer_by_its_class() -> None:
    package = Path(tokenizer_files.__file__).parents[1]
    imports = ("import AutoTokenizer\n", "AutoTokenizer,", "AutoTokenizer.from_pretrained")
    for path in package.rglob("*.py"):
        assert not any(each in path.read_text(encoding="utf-8") for each in imports), path
