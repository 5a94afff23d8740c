"""Which files of a model folder are its weights, and what their safetensors headers say; no tensor is read.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from submission.checkpoint.bounded_json import read_object, require_file
from submission.errors import BadInput, require

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The weights in one file; what names the files where they are in several."""

MAX_HEADER = 16_000_000
"""Bytes of a safetensors header that are read at most; an 8B in NF4 has some 200,000."""

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits of a number of each type that safetensors knows."""

Piece: TypeAlias = bytes
"""A part of a file."""

PIECE = 1 << 20
"""Bytes of a file that are read at a time."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""Suffixes of weights in formats that may run code, or that nothing here reads."""

GGUF = ".gguf"
"""Suffix of the format of llama.cpp."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as a safetensors header describes it."""

    dtype: str
    """As safetensors names it: F32, BF16, U8."""
    shape: tuple[int, ...]
    begin: int = field(default=0, compare=False)
    """Where its content begins in its file, in bytes."""

    @property
    def bytes(self) -> int:
        """Bytes of its content."""
        return (math.prod(self.shape) * DTYPE_BITS[self.dtype] + 7) // 8


@dataclass(frozen=True)
class WeightFiles:
    """The weights of a model folder."""

    files: tuple[Path, ...]
    """The safetensors files that hold them, in order of name."""
    tensors: Mapping[str, Tensor]
    """All tensors of these files."""
    places: Mapping[str, str]
    """Tensor -> the name of its file."""
    index: Path | None
    """The index that names them, where there are several."""
    ignored: tuple[str, ...]
    """Names of other files that look like weights, and are none."""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files)

    def same(self, one: str, other: str) -> bool:
        """Whether two tensors are of one type and shape, with the same content."""
        if self.tensors[one] != self.tensors[other]:
            return False
        return all(a == b for a, b in zip(self._pieces(one), self._pieces(other), strict=True))

    def _pieces(self, name: str) -> Iterator[Piece]:
        return pieces(self.files[0].parent / self.places[name], self.tensors[name])


def pieces(path: Path, tensor: Tensor) -> Iterator[Piece]:
    """The content of a tensor of a file, piece by piece; BadInput where it cannot be read."""
    left = tensor.bytes
    try:
        with path.open("rb") as file:
            file.seek(tensor.begin)
            while piece := file.read(min(left, PIECE)):
                left -= len(piece)
                yield piece
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def has_safetensors(folder: Path) -> bool:
    """Whether a folder holds any safetensors file: a model, whole or not."""
    return any(folder.glob("*.safetensors"))


def read_weights(folder: Path) -> WeightFiles:
    """The weight files of a model folder; BadInput where one is missing, cut short, a stand-in, or not to be read.

    They are chosen as transformers does: model.safetensors where it is there, else the files that the index names.
    """
    names = sorted(os.listdir(folder))
    index = folder / INDEX if WHOLE not in names and INDEX in names else None
    if index is None and WHOLE not in names:
        raise BadInput(f"{folder}: {_no_weights(folder, names)}")
    named = None if index is None else read_index(index)
    files = tuple(folder / name for name in ([WHOLE] if named is None else sorted(set(named.values()))))
    tensors: dict[str, Tensor] = {}
    places: dict[str, str] = {}
    for path in files:
        if index is not None and not os.path.lexists(path):
            raise BadInput(f"{path}: is missing, but {INDEX} names it; copy or download the model again")
        for name, tensor in read_header(path).items():
            require(
                name not in places,
                f"{path}: holds {name}, which {places.get(name)} holds as well; convert the model again",
            )
            tensors[name], places[name] = tensor, path.name
    if named is not None:
        wrong = sorted(name for name, file in named.items() if places.get(name) != file)
        require(
            not wrong,
            f"{folder / INDEX}: says that {_first(wrong)} is in {named[wrong[0]] if wrong else ''}, which is not so "
            f"({len(wrong)} such entries): the index does not belong to these files",
        )
    kept = {path.name for path in files} | ({INDEX} if index is not None else set())
    ignored = [
        name for name in names if name not in kept and name.endswith((".safetensors", ".safetensors.index.json"))
    ]
    return WeightFiles(files, tensors, places, index, tuple(ignored))


def _no_weights(folder: Path, names: list[str]) -> str:
    """Why a folder with these files has no weights, and what to do."""
    shards = [name for name in names if name.endswith(".safetensors")]
    if shards:
        others = f"{len(shards)} safetensors files ({', '.join(shards[:3])})"
        return (
            f"holds {others}, but neither {WHOLE} nor {INDEX}, which says what is in which file; download the model in "
            "transformers' format again, index included"
        )
    if pickled := [name for name in names if name.endswith(PICKLED)]:
        return (
            f"has no *.safetensors; pickled weights ({pickled[0]}) are not taken: convert them by "
            "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OUT)"
        )
    if gguf := [name for name in names if name.endswith(GGUF)]:
        return f"has no *.safetensors; {gguf_sentence(folder, gguf[0])}"
    return f"has no *.safetensors: the weights are missing; {WHOLE} or the files of {INDEX} belong here"


def gguf_sentence(folder: Path, name: str) -> str:
    """What to do with the GGUF of this name in a folder."""
    return (
        f"GGUF ({name}) is not taken: download the model in transformers' format, or, where there is nothing but GGUF, "
        f'convert it: pip install gguf && python -c "{gguf_conversion(folder, name, Path("CONVERTED"))}"'
    )


def gguf_conversion(folder: Path, name: str, out: Path) -> str:
    """A line of Python, for transformers 5.23, that writes `out` in 16 bits: the model and its tokenizer.

    Its weights stay as coarse as GGUF has them. Without `dequantize` transformers keeps them packed, and cannot save.
    """
    return (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T, GgufConfig as G; "
        f"of = dict(pretrained_model_name_or_path={str(folder)!r}, gguf_file={name!r}); "
        "model = M.from_pretrained(quantization_config=G(dequantize=True), dtype='bfloat16', **of); "
        f"[each.save_pretrained({str(out)!r}) for each in (model, T.from_pretrained(**of))]"
    )


def read_index(path: Path) -> dict[str, str]:
    """Tensor -> file name, from an index; BadInput where it is broken, or names a file outside of its folder."""
    content = read_object(path)
    # transformers writes into it before it looks at the rest.
    require(isinstance(content.get("metadata"), dict), f'{path}: has no metadata; add "metadata": {{}}')
    places = content.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(each, str) for each in places.values()):
        raise BadInput(f"{path}: has no weight_map from tensors to files; copy or download it again")
    for name in sorted(set(places.values())):
        plain = Path(name).name == name and name.endswith(".safetensors") and "\0" not in name
        require(plain, f"{path}: names {name[:80]!r}, which is no *.safetensors file of this folder")
    return places


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by its header; BadInput where the file is cut short or damaged.

    The format: 8 bytes with the header's length, the header in JSON with the byte range of each tensor, the tensors
    without gaps.
    """
    size = require_file(path)
    again = "copy, download or upload the model again"
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            require(size >= 8 and length <= size - 8, f"{path}: is cut short within its header; {again}")
            require(length <= MAX_HEADER, f"{path}: has a header of {length} bytes, more than {MAX_HEADER}; {again}")
            header: dict[str, Any] = json.loads(file.read(length).decode(), object_pairs_hook=_without_doubles)
            tensors, end = _described(header, 8 + length)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except BadInput:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{path}: has a header that cannot be read ({' '.join(str(error).split())[:200]}); {again}"
        ) from None
    missing = 8 + length + end - size
    require(missing <= 0, f"{path}: is cut short: {missing} bytes are missing; {again}")
    require(missing == 0, f"{path}: has {-missing} bytes more than its header describes; {again}")
    return tensors


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _described(header: Mapping[str, Any], start: int) -> tuple[dict[str, Tensor], int]:
    """The tensors of a header, and the bytes that they take together; ValueError and others where it is wrong.

    `start` is where the first one begins in the file.
    """
    tensors: dict[str, Tensor] = {}
    ranges: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            told = {} if entry is None else entry
            if not isinstance(told, dict) or not all(isinstance(each, str) for each in told.values()):
                raise ValueError("its __metadata__ is not made of texts")
            continue
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(type(each) is int and each >= 0 for each in (*shape, begin, end)):
            raise ValueError(f"{name} has a size that is no number")
        tensors[name] = Tensor(entry["dtype"], shape, start + begin)
        if end - begin != tensors[name].bytes:
            raise ValueError(f"the bytes of {name} do not fit its shape")
        ranges.append((begin, end))
    at = 0
    for begin, end in sorted(ranges):
        if begin != at:
            raise ValueError("its tensors overlap, or leave gaps")
        at = end
    return tensors, at


def _first(names: list[str]) -> str:
    return names[0] if names else ""
