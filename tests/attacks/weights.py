"""Model folders whose weights, index or tokenizer somebody has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.attacks.models import Case, Expected, config

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

Header = dict[str, Any]


def _header(change: Callable[[Header], Any]) -> Callable[[Path], object]:
    """The header of the weights changed, in place, or to the text that is returned."""

    def made(model: Path) -> None:
        raw = (model / WHOLE).read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        found = change(header)
        text = found if isinstance(found, bytes) else json.dumps(header).encode()
        (model / WHOLE).write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])

    return made


def _entry(key: str, value: Any) -> Callable[[Path], object]:
    return _header(lambda h: h["model.norm.weight"].__setitem__(key, value))


def _text(header: Header) -> bytes:
    return json.dumps(header).encode()


def _shifted(header: Header) -> None:
    for name, each in header.items():
        if name != "__metadata__":
            each["data_offsets"] = [at + 8 for at in each["data_offsets"]]


def _swapped(header: Header) -> None:
    """Two tensors of one shape exchange their places: no header can tell."""
    one, other = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight"
    header[one], header[other] = header[other], header[one]


HEADERS: dict[str, tuple[Callable[[Path], object], Expected]] = {
    "written anew": (_header(lambda h: None), "same"),
    "spaces after it": (_header(lambda h: _text(h) + b"   "), "same"),
    "spaces before it": (_header(lambda h: b"  " + _text(h)), "either"),
    "a byte order mark": (_header(lambda h: b"\xef\xbb\xbf" + _text(h)), "refused"),
    "a newline before it": (_header(lambda h: b"\n" + _text(h)), "either"),
    "zeros after it": (_header(lambda h: _text(h) + b"\0"), "refused"),
    "UTF-16": (_header(lambda h: json.dumps(h).encode("utf-16")), "refused"),
    "a list": (_header(lambda h: json.dumps([h]).encode()), "refused"),
    "twice": (_header(lambda h: _text(h) * 2), "refused"),
    "without tensors": (_header(lambda h: b'{"__metadata__": {"format": "pt"}}'), "refused"),
    "without metadata": (_header(lambda h: h.pop("__metadata__")), "either"),
    "metadata null": (_header(lambda h: h.update(__metadata__=None)), "either"),
    "metadata a list": (_header(lambda h: h.update(__metadata__=[])), "kept"),
    "metadata of numbers": (_header(lambda h: h.update(__metadata__={"a": 1})), "kept"),
    "metadata nested": (_header(lambda h: h.update(__metadata__={"a": {"b": "c"}})), "kept"),
    "metadata of tf": (_header(lambda h: h.update(__metadata__={"format": "tf"})), "kept"),
    "metadata of flax": (_header(lambda h: h.update(__metadata__={"format": "flax"})), "kept"),
    "metadata of mlx": (_header(lambda h: h.update(__metadata__={"format": "mlx"})), "either"),
    "metadata of another": (_header(lambda h: h.update(__metadata__={"format": "x"})), "kept"),
    "metadata without a format": (_header(lambda h: h.update(__metadata__={"a": "b"})), "either"),
    "metadata twice": (_header(lambda h: b'{"__metadata__": {"format": "pt"}, ' + _text(h)[1:]), "refused"),
    "metadata a tensor": (
        _header(lambda h: h.update(__metadata__={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})),
        "kept",
    ),
    "a key more": (_entry("note", "x"), "either"),
    "dtype in small letters": (_entry("dtype", "f32"), "refused"),
    "dtype a number": (_entry("dtype", 32), "refused"),
    "dtype null": (_entry("dtype", None), "refused"),
    "dtype a list": (_entry("dtype", ["F32"]), "refused"),
    "dtype of integers": (_entry("dtype", "I32"), "refused"),
    "shape of decimals": (_entry("shape", [64.0]), "refused"),
    "shape negative": (_entry("shape", [-64]), "refused"),
    "shape of truths": (_entry("shape", [True] * 6), "refused"),
    "shape a number": (_entry("shape", 64), "refused"),
    "shape a text": (_entry("shape", "64"), "refused"),
    "shape empty": (_entry("shape", []), "refused"),
    "shape with a one": (_entry("shape", [64, 1]), "refused"),
    "shape with a zero": (_entry("shape", [64, 0]), "refused"),
    "shape of 1000 ones": (_entry("shape", [1] * 1000 + [64]), "refused"),
    "shape beyond 64 bits": (_entry("shape", [2**33, 2**33]), "refused"),
    "shape that wraps around": (_entry("shape", [2**60 + 4, 16]), "refused"),
    "offsets negative": (_entry("data_offsets", [-256, 0]), "refused"),
    "offsets backwards": (_header(lambda h: h["model.norm.weight"]["data_offsets"].reverse()), "refused"),
    "offsets of decimals": (_entry("data_offsets", [0.0, 256.0]), "refused"),
    "offsets of three": (_entry("data_offsets", [0, 256, 512]), "refused"),
    "offsets the same": (
        _header(lambda h: h.update({"model.norm.weight": h["model.layers.0.input_layernorm.weight"]})),
        "refused",
    ),
    "offsets beyond the end": (_entry("data_offsets", [2**40, 2**40 + 256]), "refused"),
    "offsets huge": (_entry("data_offsets", [2**64, 2**64 + 256]), "refused"),
    "all shifted": (_header(_shifted), "refused"),
    "two tensors exchanged": (_header(_swapped), "either"),
    "a tensor of nothing": (
        _header(lambda h: h.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})),
        "refused",
    ),
    "a tensor null": (_header(lambda h: h.update(x=None)), "refused"),
    "a tensor's name empty": (_header(lambda h: h.update({"": h.pop("model.norm.weight")})), "refused"),
    "a name of other case": (_header(lambda h: h.update({"Model.norm.weight": h.pop("model.norm.weight")})), "refused"),
    "a name of control codes": (
        _header(lambda h: h.update({"\x1b[2J\n\u202e": h.pop("model.norm.weight")})),
        "refused",
    ),
    "a name of 100,000 letters": (_header(lambda h: h.update({"x" * 100_000: h.pop("model.norm.weight")})), "refused"),
    "a name of no text": (_header(lambda h: h.update({"\ud800": h.pop("model.norm.weight")})), "refused"),
    "deep": (_header(lambda h: _text(h)[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"), "refused"),
    "twenty thousand tensors": (
        _header(
            lambda h: h.update({f"t{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(20_000)})
        ),
        "refused",
    ),
}
"""Name -> a change of the header of the safetensors file."""


def _tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def made(model: Path) -> None:
        tensors = load_file(model / WHOLE)
        change(tensors)
        save_file({name: each.contiguous() for name, each in tensors.items()}, model / WHOLE, {"format": "pt"})

    return made


def _filled(name: str, value: float) -> Callable[[Path], object]:
    return _tensors(lambda t: t[name].view(-1)[-1:].fill_(value))


CONTENTS: dict[str, tuple[Callable[[Path], object], Expected]] = {
    "one NaN": (_filled("model.layers.1.mlp.down_proj.weight", float("nan")), "at loading"),
    "NaN in the head": (_filled("lm_head.weight", float("nan")), "at loading"),
    "one infinity": (_filled("model.layers.0.self_attn.q_proj.weight", float("inf")), "at loading"),
    "an infinite embedding": (_filled("model.embed_tokens.weight", float("-inf")), "at loading"),
    "NaN in a norm": (_filled("model.norm.weight", float("nan")), "at loading"),
    "all zero": (_tensors(lambda t: [each.zero_() for each in t.values()]), "either"),
    "one in half precision": (
        _tensors(lambda t: t.update({"model.norm.weight": t["model.norm.weight"].half()})),
        "either",
    ),
    "all in doubles": (_tensors(lambda t: t.update({n: e.double() for n, e in t.items()})), "same"),
    "all in bfloat16": (_tensors(lambda t: t.update({n: e.bfloat16() for n, e in t.items()})), "either"),
    "one in 8 bits": (
        _tensors(lambda t: t.update({"model.norm.weight": t["model.norm.weight"].to(torch.float8_e4m3fn)})),
        "refused",
    ),
    "a complex one": (
        _tensors(lambda t: t.update({"model.norm.weight": t["model.norm.weight"].to(torch.complex64)})),
        "refused",
    ),
    "a bool one": (_tensors(lambda t: t.update({"model.norm.weight": t["model.norm.weight"] > 0})), "refused"),
    "a position more": (_tensors(lambda t: t.update({"model.position_ids": torch.arange(9)})), "refused"),
    "frequencies that are wrong": (_tensors(lambda t: t.update({"model.rotary_emb.inv_freq": torch.zeros(8)})), "same"),
    "frequencies of NaN": (
        _tensors(lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.full((8,), float("nan"))})),
        "same",
    ),
    "a block in the place of another": (
        _tensors(lambda t: t.update({n.replace(".1.", ".2."): t.pop(n) for n in [*t] if ".1." in n})),
        "refused",
    ),
    "transposed": (
        _tensors(lambda t: t.update({"model.layers.0.mlp.up_proj.weight": t["model.layers.0.mlp.up_proj.weight"].T})),
        "refused",
    ),
    "a huge norm": (_filled("model.norm.weight", 3e38), "either"),
}
"""Name -> a change of the numbers themselves."""


def _sharded(change: Callable[[dict[str, Any], Path], object]) -> Callable[[Path], object]:
    """The weights in two files, with an index that is changed."""

    def made(model: Path) -> None:
        tensors = load_file(model / WHOLE)
        (model / WHOLE).unlink()
        names = sorted(tensors)
        parts = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
        for file, part in parts.items():
            save_file({name: tensors[name] for name in part}, model / file, {"format": "pt"})
        index = {"metadata": {"total_size": 1}, "weight_map": {n: f for f, part in parts.items() for n in part}}
        change(index, model)
        (model / INDEX).write_text(json.dumps(index))

    return made


def _map(value: str) -> Callable[[Path], object]:
    return _sharded(lambda index, model: index["weight_map"].__setitem__("model.norm.weight", value))


def _outside(index: dict[str, Any], model: Path) -> None:
    os.rename(model / "two.safetensors", model.parent / "two.safetensors")
    (model / "two.safetensors").symlink_to("../two.safetensors")


def _device(index: dict[str, Any], model: Path) -> None:
    (model / "two.safetensors").unlink()
    (model / "two.safetensors").symlink_to("/dev/zero")


SHARDS: dict[str, tuple[Callable[[Path], object], Expected]] = {
    "as they should be": (_sharded(lambda i, m: None), "same"),
    "a wrong total": (_sharded(lambda i, m: i["metadata"].update(total_size=-5)), "same"),
    "no metadata": (_sharded(lambda i, m: i.pop("metadata")), "either"),
    "metadata a list": (_sharded(lambda i, m: i.update(metadata=[])), "either"),
    "metadata null": (_sharded(lambda i, m: i.update(metadata=None)), "either"),
    "metadata a text": (_sharded(lambda i, m: i.update(metadata="x")), "either"),
    "a key more": (_sharded(lambda i, m: i.update(x=[])), "same"),
    "a link out": (_sharded(_outside), "same"),
    "a device": (_sharded(_device), "refused"),
    "a file up": (_map("../one.safetensors"), "refused"),
    "a file below": (_map("x/one.safetensors"), "refused"),
    "an absolute file": (_map("/etc/one.safetensors"), "refused"),
    "this folder's": (_map("./one.safetensors"), "refused"),
    "no name": (_map(""), "refused"),
    "an ending alone": (_map(".safetensors"), "refused"),
    "a folder": (_map("."), "refused"),
    "a zero in the name": (_map("a\0.safetensors"), "refused"),
    "an address": (_map("https://x/y.safetensors"), "refused"),
    "a pickle": (_map("pytorch_model.bin"), "refused"),
    "backslashes": (_map("..\\one.safetensors"), "refused"),
    "a device of Windows": (_map("NUL.safetensors"), "refused"),
    "other case": (_map("ONE.safetensors"), "refused"),
    "a list": (_sharded(lambda i, m: i["weight_map"].update({"model.norm.weight": ["one.safetensors"]})), "refused"),
    "nested": (_sharded(lambda i, m: i.update(weight_map={"x": i["weight_map"]})), "refused"),
    "a tensor left out": (_sharded(lambda i, m: i["weight_map"].pop("model.norm.weight")), "either"),
    "a tensor at another file": (_map("one.safetensors"), "either"),
    "a file more": (_sharded(lambda i, m: (m / "three.safetensors").write_bytes(b"x")), "same"),
    "a whole file beside": (
        _sharded(lambda i, m: save_file({"x": torch.zeros(1)}, m / WHOLE, {"format": "pt"})),
        "refused",
    ),
}
"""Name -> a change of sharded weights."""

NF4: dict[str, Any] = {
    "quant_method": ("gptq", "bitsandbytes ", "BITSANDBYTES", None, 4, "bitsandbytes_4bit", ["bitsandbytes"]),
    "load_in_4bit": (False, None, "true", 1, "no"),
    "bnb_4bit_quant_type": ("fp4", "NF4", None, 4),
    "bnb_4bit_use_double_quant": (False, None, "x", 3),
    "bnb_4bit_compute_dtype": ("float64", "nonsense", None, 3, []),
    "bnb_4bit_quant_storage": ("bfloat16", "nonsense", None, 7),
    "llm_int8_skip_modules": (["model"], None, "lm_head", 3, ["q_proj"]),
    "load_in_8bit": (True, None),
    "llm_int8_threshold": ("x", -1, None),
    "modules_to_not_convert": (["q_proj"],),
    "_load_in_4bit": (False, None),
    "x": ({"a": []},),
    "bits": (3,),
}
"""Key of the section quantization_config -> values that it should not have."""


def _section(key: str, value: Any) -> Callable[[Path], object]:
    def made(model: Path) -> None:
        content = json.loads((model / "config.json").read_text())
        content["quantization_config"][key] = value
        (model / "config.json").write_text(json.dumps(content))

    return made


# -- the layout and the tokenizer -------------------------------------------------------------------------------------

LAYOUT: dict[str, Any] = {
    "name": "architects",
    "cells": list(range(10)),
    "cell_gap": [],
    "row_gap": [10],
    "opening": [],
    "input_open": [14, 11, 10],
    "input_to_output": [15, 14, 12, 10],
    "output_close": [15],
    "context_close": [15],
    "query_open": [14, 11, 10],
    "query_to_answer": [15, 14, 12, 10],
    "answer_close": [15],
    "pad": 13,
    "positions": "line",
}
"""A layout that is described by its fragments, as `shrink` writes it."""

FRAGMENTS: dict[str, tuple[Any, ...]] = {
    "cells": (
        [0] * 10,
        list(range(11)),
        [float(k) for k in range(10)],
        "0123456789",
        [[k] for k in range(10)],
        list(range(-1, 9)),
        list(range(7, 17)),
        None,
        [True, *range(1, 10)],
        [10**30, *range(1, 10)],
    ),
    "cell_gap": (None, [1], ["x"], 3, [[]], [99]),
    "row_gap": ([], [1], [15], [15, 15], None, [1.5], "x", [10**9], [-1]),
    "opening": (None, ["a"], 5, [16], [-1]),
    "answer_close": ([], [1], [10], [10, 15], None, [[15]], ["15"], [True]),
    "pad": (None, 16, -1, "13", 13.0, [13], True, 1, 10**30),
    "positions": ("spiral", None, 3, "grid", []),
    "name": (None, 5, "", "chat16", "x" * 10_000, []),
    "input_to_output": ([], None, [1], [99]),
    "query_to_answer": ([], None, [[1]], [3]),
    "extra": (1,),
}
"""Part of a layout -> what it should not be."""


def _tokenizer(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def made(model: Path) -> None:
        content = json.loads((model / "tokenizer.json").read_text())
        change(content)
        (model / "tokenizer.json").write_text(json.dumps(content))

    return made


def _vocabulary(change: Callable[[dict[str, int]], object]) -> Callable[[Path], object]:
    return _tokenizer(lambda t: change(t["model"]["vocab"]))


REPLACE = {"type": "Replace", "pattern": {"String": "1"}, "content": "2"}
TOKENIZERS: dict[str, tuple[Callable[[Path], object], Expected]] = {
    "nothing": (_tokenizer(lambda t: None), "same"),
    "1 is read as 2": (_tokenizer(lambda t: t.update(normalizer=REPLACE)), "refused"),
    "small letters": (_tokenizer(lambda t: t.update(normalizer={"type": "Lowercase"})), "refused"),
    "stripped": (
        _tokenizer(lambda t: t.update(normalizer={"type": "Strip", "strip_left": True, "strip_right": True})),
        "either",
    ),
    "a normalizer that is none": (_tokenizer(lambda t: t.update(normalizer={"type": "X"})), "refused"),
    "a word before": (_tokenizer(lambda t: t.update(normalizer={"type": "Prepend", "prepend": "1"})), "refused"),
    "without a model": (_tokenizer(lambda t: t.pop("model")), "refused"),
    "a model null": (_tokenizer(lambda t: t.update(model=None)), "refused"),
    "random merges": (_tokenizer(lambda t: t["model"].update(dropout=0.5)), "either"),
    "merges left out at random": (_tokenizer(lambda t: t["model"].update(dropout=0.999)), "either"),
    "a dropout of 7": (_tokenizer(lambda t: t["model"].update(dropout=7)), "refused"),
    "one truncation": (
        _tokenizer(
            lambda t: t.update(
                truncation={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
            )
        ),
        "same",
    ),
    "merges of nothing": (_tokenizer(lambda t: t["model"].update(merges=[["x", "y"]])), "refused"),
    "the digit 7 missing": (_vocabulary(lambda v: v.pop("7")), "refused"),
    "two digits with one id": (_vocabulary(lambda v: v.update({"7": v["8"]})), "refused"),
    "an id below 0": (_vocabulary(lambda v: v.update({"7": -1})), "refused"),
    "an id above all": (_vocabulary(lambda v: v.update({"7": 500})), "refused"),
    "an id of 64 bits": (_vocabulary(lambda v: v.update({"7": 2**40})), "refused"),
    "an id of a decimal": (_vocabulary(lambda v: v.update({"7": 7.5})), "refused"),
    "an id a text": (_vocabulary(lambda v: v.update({"7": "7"})), "refused"),
    "a vocabulary of nothing": (_tokenizer(lambda t: t["model"].update(vocab={})), "refused"),
    "a vocabulary a list": (_tokenizer(lambda t: t["model"].update(vocab=[])), "refused"),
    "added words null": (_tokenizer(lambda t: t.update(added_tokens=None)), "refused"),
    "an added word of digits": (
        _tokenizer(lambda t: t["added_tokens"].append({**t["added_tokens"][0], "content": "12", "id": 70})),
        "either",
    ),
    "an added word that is a digit": (
        _tokenizer(lambda t: t["added_tokens"].append({**t["added_tokens"][0], "content": "1", "id": 0})),
        "either",
    ),
    "an empty added word": (
        _tokenizer(lambda t: t["added_tokens"].append({**t["added_tokens"][0], "content": "", "id": 71})),
        "either",
    ),
    "added words twice": (_tokenizer(lambda t: t["added_tokens"].extend(t["added_tokens"])), "either"),
    "a prefix": (
        _tokenizer(
            lambda t: t.update(
                post_processor={
                    "type": "TemplateProcessing",
                    "single": [
                        {"SpecialToken": {"id": "<bos>", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                    ],
                    "pair": [],
                    "special_tokens": {"<bos>": {"id": "<bos>", "ids": [0], "tokens": ["<bos>"]}},
                }
            )
        ),
        "either",
    ),
    "empty": (lambda m: (m / "tokenizer.json").write_text(""), "refused"),
    "of zeros": (lambda m: (m / "tokenizer.json").write_bytes(b"\0" * 9), "refused"),
    "gone": (lambda m: (m / "tokenizer.json").unlink(), "refused"),
    "deep": (lambda m: (m / "tokenizer.json").write_text("[" * 100_000), "refused"),
    "the bos word missing": (
        lambda m: (m / "tokenizer_config.json").write_text('{"bos_token": "<none>", "eos_token": "<eos>"}'),
        "refused",
    ),
    "bos a number": (lambda m: (m / "tokenizer_config.json").write_text('{"bos_token": 0}'), "refused"),
    "bos and eos the same": (
        lambda m: (m / "tokenizer_config.json").write_text('{"bos_token": "<eos>", "eos_token": "<eos>"}'),
        "either",
    ),
    "bos a digit": (
        lambda m: (m / "tokenizer_config.json").write_text('{"bos_token": "1", "eos_token": "2"}'),
        "refused",
    ),
    "eos a digit": (
        lambda m: (m / "tokenizer_config.json").write_text('{"bos_token": "<bos>", "eos_token": "3"}'),
        "refused",
    ),
    "pad a digit": (
        lambda m: (m / "tokenizer_config.json").write_text(
            '{"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "3"}'
        ),
        "either",
    ),
}
"""Name -> a change of the tokenizer of a model in the layout of the Architects."""


def weights() -> Iterator[tuple[str, Case]]:
    """All of them, by name."""
    for sort, changes in (("header", HEADERS), ("numbers", CONTENTS), ("shards", SHARDS)):
        yield from ((f"{sort}: {name}", Case("llama", change, wish)) for name, (change, wish) in changes.items())
    yield from ((f"tokenizer: {name}", Case("architects", change, wish)) for name, (change, wish) in TOKENIZERS.items())
    for key, values in NF4.items():
        yield from ((f"NF4 {key}={value!r}", Case("nf4", _section(key, value), "kept")) for value in values)
    for key, values in FRAGMENTS.items():
        for value in values:
            changed = {**LAYOUT, key: value}
            yield f"layout {key}={value!r}"[:60], Case("llama", config(arc_layout=changed), "either")
    for key in LAYOUT:
        kept = {name: each for name, each in LAYOUT.items() if name != key}
        yield f"layout without {key}", Case("llama", config(arc_layout=kept), "either")
    for name in ("CHAT16", "chat16 ", "grid16", "numpy", "", "auto", "../x", "architects", {}, [], 1):
        yield f"layout {name!r}", Case("llama", config(arc_layout=name), "either")
