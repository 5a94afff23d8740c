"""The layout of a checkpoint: named in its config.json, or found in the ids of its own tokenizer."""

from __future__ import annotations

from pathlib import Path

from submission.arc.layouts import CHAT16, NAMED, Layout, read_layout, require_legible, vocabulary
from submission.arc.tokenizer_layouts import architects, numpy_layout
from submission.checkpoint.bounded_json import read_object
from submission.checkpoint.checkpoint import CHARACTERS
from submission.checkpoint.tokenizer_files import TOKENIZER, has_tokenizer, read_words
from submission.errors import BadInput

CHAT16_WORDS = {**{str(k): token for k, token in enumerate(CHAT16.cells)}, "user": 11, "assistant": 12}
CHAT16_WORDS |= {"<|im_start|>": 14, "<|im_end|>": 15}
"""The words of chat16 with their ids, but for the new line and the padding, which are spelt in several ways."""

GRID_FAMILY = "qwen3_vl_text"
"""The family of `model.grid_lm`, by its model_type."""


def layout_of(path: Path, setting: str = "auto") -> Layout:
    """The layout of a checkpoint, for a value of `model.layout`.

    auto: the `arc_layout` in its config.json; without one by the size of its vocabulary: 16 ids mean chat16, up to 255
    (cut to characters) architects, more numpy. BadInput where the layout does not fit the vocabulary or the tokenizer,
    or where the config names another layout than the setting does.
    """
    config = read_object(path / "config.json")
    size = config.get("vocab_size")
    if type(size) is not int or size < 1:
        raise BadInput(f"{path}: its config.json does not tell vocab_size, the size of its vocabulary")
    named = config.get("arc_layout")
    if named is None and size == 16:
        named = setting if setting in NAMED else CHAT16.name
        if setting == "auto" and (path / TOKENIZER).exists():
            require_chat16_words(path)
    try:
        layout = read_layout(named) if named is not None else tokenizer_layout(path, setting, size)
        require_legible(layout)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{path}: none of the known layouts fits this checkpoint ({error})") from error
    if setting not in ("auto", layout.name):
        raise BadInput(f"model.layout={setting}, but {path} was made for layout {layout.name}")
    require_positions(path, layout)
    if vocabulary(layout)[-1] >= size:
        raise BadInput(
            f"{path}: layout {layout.name} writes id {vocabulary(layout)[-1]}, but there are only {size} ids"
        )
    return layout


def require_chat16_words(path: Path) -> None:
    """BadInput where a tokenizer of 16 words gives them other ids than chat16 has: then the layout is another one.

    NVARC's tokenizers spell the new line as byte-level BPE does. Published ones of the same size have other turns.
    """
    words = read_words(path)
    newline = {"\u010a", "\n"} & words.vocabulary.keys() or {"\n"}
    for word, token in {**CHAT16_WORDS, **dict.fromkeys(newline, CHAT16.row_gap[0])}.items():
        if words.vocabulary.get(word) != token:
            raise BadInput(
                f"{path}: has 16 ids as layout chat16 does, but not its words: {token} is {word!r} there, and "
                f"{words.word(token)!r} in its {TOKENIZER}; it was trained on another layout (if it was not, set "
                "model.layout=chat16)"
            )


def require_positions(path: Path, layout: Layout) -> None:
    """BadInput where a layout gives each token a row and a column, and the model in the folder knows no such positions.

    The positions of every stock family are one running number: such a model would fail in each task.
    """
    family = read_object(path / "config.json").get("model_type")
    if layout.axes > 1 and family != GRID_FAMILY:
        raise BadInput(
            f"{path}: layout {layout.name} is for the embedded model and its like ({GRID_FAMILY}), whose positions are "
            f"rows and columns; a model of family {family} takes {CHAT16.name}"
        )


def tokenizer_layout(path: Path, setting: str, size: int) -> Layout:
    """The layout numpy or architects in the ids of a checkpoint's own tokenizer, of a vocabulary of `size` ids.

    ValueError where there is no tokenizer, or where it does not write each cell as one token.
    """
    if setting in NAMED:
        raise ValueError(f"{setting} has a vocabulary of 16, this one has {size}: shrink it first")
    if not has_tokenizer(path):
        raise ValueError("it has neither a tokenizer nor an arc_layout")
    words = read_words(path)
    if words.eos is None or words.bos is None:
        raise ValueError("its tokenizer has no token for the beginning of a text, or none for the end")
    pad = words.pad if words.pad is not None else words.eos
    if setting == "architects" or (setting == "auto" and size <= CHARACTERS):
        layout = architects(words.encode, words.bos, words.eos, pad)
    else:
        layout = numpy_layout(words.encode, pad)
    words.require_rows(vocabulary(layout), size)
    return layout
