"""Tokenizers of the model families, without their weights, the layouts made from them, and grids to write in them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.normalizers import Prepend, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, Split
from tokenizers.pre_tokenizers import Sequence as InTurn

from submission.arc.layouts import CHAT16, GRID16
from submission.arc.tasks import Grid, Pair, grid
from submission.arc.tokenizer_layouts import architects, numpy_layout

UNLIMITED = 1 << 30


def character_tokenizer() -> Tokenizer:
    """One id a character: what is left of the Architects' tokenizers after their vocabulary was cut."""
    special = ["<bos>", "<eos>", "<pad>"]
    letters = [*special, *string.ascii_letters, *string.digits, *"!?.:,;*+/-=", "\n"]
    made = Tokenizer(BPE(vocab={letter: k for k, letter in enumerate(letters)}, merges=[]))
    made.add_special_tokens([AddedToken(each, special=True) for each in special])
    return made


LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama-3 cuts a text into pieces before it merges bytes (published with its tokenizer)."""


MERGES = {
    "bytes": [],
    "pieces": [("[", "["), ("]", "]"), ("]]", "#"), ("]]#", "Ċ"), ("]", "Ċ"), ("Ġ", "["), ("Ġ", "[["), ("Ġ", "-"),
               ("Ġ-", ">"), ("1", "2"), ("12", "3"), ("0", "0")],
    "parts": [("]", "]"), ("#", "Ċ"), ("]", "Ċ"), ("Ġ", "["), ("Ġ[", "["), ("-", ">"), ("Ġ", "->"), ("Ċ", "Ċ")],
}  # fmt: skip
"""bytes: nothing is merged. pieces: "]]#\\n" is one token. parts: it is "]]" and "#\\n"."""


LLAMA3_WORDS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def llama3_tokenizer(merges: Sequence[tuple[str, str]], special: Sequence[str] = LLAMA3_WORDS) -> Tokenizer:
    """Llama-3's pre-tokenizer and special tokens over a byte-level vocabulary with only these merges."""
    pieces = [*sorted(ByteLevel.alphabet()), *(left + right for left, right in merges)]
    made = Tokenizer(BPE(vocab={piece: k for k, piece in enumerate(pieces)}, merges=list(merges)))
    made.pre_tokenizer = InTurn(
        [
            Split(Regex(LLAMA3_PATTERN), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.add_special_tokens([AddedToken(each, special=True) for each in special])
    return made


LLAMA3_IDS = {"<|begin_of_text|>": 128000, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007,
              "<|eot_id|>": 128009}  # fmt: skip
"""The ids of these words in Llama-3's own vocabulary."""

LLAMA3_PIECES = {
    "system": 9125, "user": 882, "assistant": 78191, "\n\n": 271, "Figure": 22804, " out": 704, " the": 279,
    " underlying": 16940, " transformation": 18475, " in": 304, " following": 2768, " examples": 10507, " and": 323,
    " apply": 3881, " it": 433, " to": 311, " test": 1296, " case": 1162, ".": 13, " Here": 5810, " are": 527,
    " some": 1063, " from": 505, " this": 420, ",": 11, " your": 701, " answer": 4320, " must": 2011, " follow": 1833,
    " format": 3645, ".\n": 627, "The": 791, " input": 1988, "-output": 60624, " grids": 57449, " provided": 3984,
    " as": 439, " python": 10344, " arrays": 18893, ":\n": 512, ":": 25, "[[": 15873, " [[": 4416, "]]": 5163,
    "]\n": 933, " [": 510, " ": 220, " ->": 1492, "#": 2, "#\n": 5062,
    **{str(digit): 15 + digit for digit in range(10)},
}  # fmt: skip
"""The pieces of a numpy prompt and their ids in Llama-3's own vocabulary; the marked tests compare with the whole."""

JOINED = {"]]#": ("]]", "#"), "]]#\n": ("]]", "#\n")}
"""What the vocabulary's merges make of the two longer pieces."""


def llama3_ids(text: str) -> list[int]:
    """The ids of a numpy prompt in Llama-3's own vocabulary, by the table above: KeyError for any other text."""
    ids = []
    for part in re.split("(" + "|".join(map(re.escape, LLAMA3_IDS)) + ")", text):
        if part in LLAMA3_IDS:
            ids.append(LLAMA3_IDS[part])
            continue
        for piece, _ in Split(Regex(LLAMA3_PATTERN), behavior="isolated").pre_tokenize_str(part):
            ids += [LLAMA3_PIECES[each] for each in JOINED.get(piece, (piece,))]
    return ids


SPACED = [("▁", "A"), ("▁", "I"), ("A", "B"), ("u", "s"), ("us", "e"), ("use", "r"), ("▁", "user")]
"""Merges of a sentencepiece vocabulary: letters and a word with the space before them, letters that join."""


def sentencepiece_tokenizer(
    kind: str, byte_fallback: bool = True, lacking: str = "", merges: Sequence[tuple[str, str]] = SPACED
) -> Tokenizer:
    """A vocabulary as Llama 2's and Mistral 7B's: bytes as pieces, spaces as "▁", one put before each text.

    kind: "prepend" by Llama 2's normalizer, "metaspace" by a pre-tokenizer, "unigram" as the latter with word scores.
    """
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256) if byte_fallback)]
    pieces += [each for each in ["▁", *string.ascii_letters, *string.digits, *"+/-=.,"] if each not in lacking]
    if kind == "unigram":
        scored = [(piece, -10.0 - len(piece)) for piece in [*pieces, *(a + b for a, b in merges)]]
        made = Tokenizer(Unigram(scored, unk_id=0, byte_fallback=byte_fallback))
    else:
        words = {piece: k for k, piece in enumerate(dict.fromkeys([*pieces, *(a + b for a, b in merges)]))}
        made = Tokenizer(BPE(words, list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=byte_fallback))
    if kind == "prepend":
        made.normalizer = Normalizers([Prepend("▁"), Replace(" ", "▁")])
    else:
        made.pre_tokenizer = Metaspace(prepend_scheme="first", split=False)
    made.add_special_tokens([AddedToken(each, special=True) for each in ("<unk>", "<s>", "</s>")])
    return made


def encoder(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


CHARACTERS = encoder(character_tokenizer())


LLAMA3 = {name: encoder(llama3_tokenizer(merges)) for name, merges in MERGES.items()}


ARCHITECTS = architects(CHARACTERS, *(CHARACTERS(special)[0] for special in ("<bos>", "<eos>", "<pad>")))


NUMPY = {name: numpy_layout(encode, pad=encode("<|eot_id|>")[0]) for name, encode in LLAMA3.items()}


LAYOUTS = {
    "chat16": CHAT16,
    "grid16": GRID16,
    "architects": ARCHITECTS,
    **{f"numpy-{name}": layout for name, layout in NUMPY.items()},
}


def random_grid(rng: np.random.Generator, largest: int = 6) -> Grid:
    return grid(rng.integers(10, size=rng.integers(1, largest + 1, size=2)))


def random_pairs(rng: np.random.Generator, n: int, largest: int = 6) -> list[Pair]:
    return [Pair(random_grid(rng, largest), random_grid(rng, largest)) for _ in range(n)]
