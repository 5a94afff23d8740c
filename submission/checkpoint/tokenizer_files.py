"""The words and tokens of a model folder, by its tokenizer.json alone.

The file is read by the library `tokenizers`. transformers' AutoTokenizer is not used: it builds the tokenizer of many
families anew from the vocabulary, in a way that differs between its versions, so that one folder had two meanings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer

from submission.checkpoint.bounded_json import read_object, require_file
from submission.errors import BadInput, require

Result = TypeVar("Result")

TOKENIZER = "tokenizer.json"

LARGEST = 200_000_000
"""Bytes of a tokenizer.json that are read at most; that of Gemma 3, with 262,144 words, has 33 million."""

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
"""Where the special tokens are named by their words. The first file that has the key decides, null included: none."""

IDS = ("config.json", "generation_config.json")
"""Where they are named by their ids, for what the files in `SETTINGS` do not name; of several ids the first counts."""

OTHERS = ("tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "merges.txt", "tokenizer_config.json")
"""Files of other tokenizers, or of parts of one."""


@dataclass(frozen=True)
class Words:
    """What a tokenizer.json knows: how a text becomes ids, and back."""

    folder: Path
    vocabulary: Mapping[str, int]
    """Word -> id, added and special tokens included."""
    bos: int | None
    """The token for the beginning of a text; None where the folder names none."""
    eos: int | None
    """The token for the end of a text."""
    pad: int | None
    """The token that fills rows up."""
    tokenizer: Tokenizer = field(repr=False, compare=False)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Special tokens that are written out in it are recognised; none is added."""
        return _guarded(f"{self.folder / TOKENIZER}: cannot write {text[:40]!r}", lambda: self._ids(text, False))

    def encode_whole(self, text: str) -> list[int]:
        """The ids of a text with the special tokens around it that tokenizer.json adds."""
        return _guarded(f"{self.folder / TOKENIZER}: cannot write {text[:40]!r}", lambda: self._ids(text, True))

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        """The text of ids, with or without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=skip_special))

    def word(self, token: int | None) -> str | None:
        """The word of an id; None for None, and for an id without one."""
        # Not by the library's id_to_token, which shows added words as its normalizer would write them.
        return next((word for word, each in self.vocabulary.items() if each == token), None)

    def require_rows(self, ids: Iterable[int], rows: int) -> None:
        """BadInput where one of these ids has no row in embeddings with `rows` rows."""
        above = sorted({each for each in ids if each >= rows})
        if above:
            raise BadInput(
                f"{self.folder / TOKENIZER}: {self.word(above[0])!r} has the id {above[0]}, but vocab_size in "
                f"config.json is {rows}, so that the model has no embedding for it; the tokenizer is of another model, "
                "or words were added to it alone"
            )

    def _ids(self, text: str, special: bool) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=special).ids)


def has_tokenizer(folder: Path) -> bool:
    """Whether there is any file of a tokenizer, readable or not."""
    return any((folder / name).exists() or (folder / name).is_symlink() for name in (TOKENIZER, *OTHERS))


def read_words(folder: Path) -> Words:
    """The words of a model folder; BadInput where it has no tokenizer.json, or one that cannot be used."""
    path = folder / TOKENIZER
    if not path.exists() and not path.is_symlink():
        raise BadInput(f"{folder}: {_without_file(folder)}")
    size = require_file(path)
    require(size <= LARGEST, f"{path}: is larger than {LARGEST // 1_000_000} MB, too large for a tokenizer")
    tokenizer = _guarded(f"{path}: cannot be read as a tokenizer", lambda: Tokenizer.from_file(str(path)))
    # Both are saved with the file, and would cut and fill what is encoded.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    words: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    require(bool(words), f"{path}: has no words")
    told = {name: read_object(folder / name) for name in (*SETTINGS, *IDS) if (folder / name).exists()}
    bos, eos, pad = (_special(folder, told, kind, words) for kind in ("bos", "eos", "pad"))
    return Words(folder, words, bos, eos, pad, tokenizer)


def chat_template(folder: Path) -> str | None:
    """The Jinja template of a chat, from tokenizer_config.json or the file chat_template.jinja; None without one."""
    apart = folder / "chat_template.jinja"
    if apart.exists():
        require(require_file(apart) <= 1_000_000, f"{apart}: is larger than 1 MB, too large for a template")
        return apart.read_text(encoding="utf-8")
    config = folder / SETTINGS[0]
    told = read_object(config).get("chat_template") if config.exists() else None
    if isinstance(told, list):
        # Several by name, as [{"name": ..., "template": ...}].
        told = next(
            (each["template"] for each in told if isinstance(each, dict) and each.get("name") == "default"), None
        )
    require(told is None or isinstance(told, str), f"{config}: chat_template should be a text")
    return told


def _special(folder: Path, told: Mapping[str, Mapping[str, Any]], kind: str, words: Mapping[str, int]) -> int | None:
    """The id of bos, eos or pad; BadInput where a file names it in a form that is not known, or that does not exist."""
    key = f"{kind}_token"
    for name in SETTINGS:
        if name in told and key in told[name]:
            value = told[name][key]
            word = value.get("content") if isinstance(value, dict) else value
            if word is None:
                return None
            require(isinstance(word, str), f"{folder / name}: {key} should be a text or have a content")
            require(word in words, f"{folder / name}: {key} is {word!r}, and {TOKENIZER} has no such word")
            return words[word]
    for name in IDS:
        value = told.get(name, {}).get(f"{key}_id")
        ids = value if isinstance(value, list) else [value]
        if ids and ids[0] is not None:
            require(type(ids[0]) is int, f"{folder / name}: {key}_id should be a token id, and is {ids[0]!r:.40}")
            # Old configs say -1 for none.
            return int(ids[0]) if ids[0] >= 0 else None
    return None


def _without_file(folder: Path) -> str:
    """What to say of a folder without a tokenizer.json."""
    others = [name for name in OTHERS if (folder / name).exists()]
    if not others:
        return f"has no {TOKENIZER}; copy it from where the model comes from"
    return (
        f'has no {TOKENIZER}, only {", ".join(others)}; make one: python -c "from transformers import AutoTokenizer '
        f"as A; A.from_pretrained('{folder}').save_pretrained('{folder}')\""
    )


def _guarded(sentence: str, call: Callable[[], Result]) -> Result:
    """The result of a call of `tokenizers`; BadInput for its errors, which have no class of their own."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:  # A panic of its Rust code derives from BaseException.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadInput(f"{sentence} ({' '.join(str(error).split())[:200]})") from error
