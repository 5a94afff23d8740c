"""Model folders that every command refuses: those of public bug reports, and what else can be wrong with one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from submission.checkpoint.weight_files import read_weights
from tests.support.checkpoints import NF4, Described, config_of, hollow, in_nf4, in_shards, tensors_of, write_weights


class Case(NamedTuple):
    """A model folder that must be refused."""

    make: Callable[[Path], object]
    """Makes the folder at a path that is not there yet."""
    told: str
    """Words of the sentence."""


def _config(told: str, /, **changes: Any) -> Case:
    """A config.json with these changes, over the weights of an unchanged one."""
    return Case(lambda folder: hollow(folder, config_of(**changes), tensors_of(config_of())), told)


def _tensors(told: str, change: Callable[[Described], Described], /, **changes: Any) -> Case:
    """Other tensors than the config asks for."""
    return Case(lambda folder: hollow(folder, config_of(**changes), change(tensors_of(config_of(**changes)))), told)


def _files(told: str, damage: Callable[[Path], object], make: Callable[[Path], Path] = hollow) -> Case:
    """Files of a whole checkpoint damaged."""
    return Case(lambda folder: damage(make(folder)), told)


def _text(told: str, content: str | bytes) -> Case:
    """A config.json with this content."""
    data = content if isinstance(content, bytes) else content.encode()
    return _files(told, lambda folder: (folder / "config.json").write_bytes(data))


def _renamed(prefix: str) -> Callable[[Described], Described]:
    return lambda tensors: {prefix + name: each for name, each in tensors.items()}


def _without(part: str) -> Callable[[Described], Described]:
    return lambda tensors: {name: each for name, each in tensors.items() if part not in name}


def _quantized(*endings: str, dtype: str = "I32") -> Callable[[Described], Described]:
    """The projections replaced by tensors with these endings."""

    def change(tensors: Described) -> Described:
        plain = {name: each for name, each in tensors.items() if "_proj.weight" not in name}
        packed = [name.removesuffix(".weight") for name in tensors if "_proj.weight" in name]
        return plain | {name + ending: (dtype, (8, 8)) for name in packed for ending in endings}

    return change


def _tied_with_head(folder: Path) -> Path:
    """A tied checkpoint whose files hold the head as well."""
    return hollow(folder, config_of(tie_word_embeddings=True), tensors_of(config_of(tie_word_embeddings=False)))


def _other_head(folder: Path) -> None:
    """The last byte of the head changed, which is not zero any more."""
    weights = read_weights(folder)
    head = weights.tensors["lm_head.weight"]
    with (folder / "model.safetensors").open("rb+") as file:
        file.seek(head.begin + head.bytes - 1)
        file.write(b"\x3f")


def _gone(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def _replaced(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _as_link(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/nowhere/blob")


def _as_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def _as_fifo(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def _only(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


def _long_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes((20_000_000).to_bytes(8, "little"))
    os.truncate(path, 30_000_000)


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size - 1)


def _doubled(folder: Path) -> None:
    """The second shard holds a tensor of the first, too."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    tensors = tensors_of(config_of())
    second = [name for name, file in index.items() if file.startswith("model-2")]
    write_weights(folder / "model-2-of-2.safetensors", {n: tensors[n] for n in [*second, "lm_head.weight"]})


def _index(told: str, change: Callable[[dict[str, str]], object]) -> Case:
    """An index whose map of tensors to files is changed."""

    def damage(folder: Path) -> None:
        path = folder / "model.safetensors.index.json"
        content = json.loads(path.read_text())
        change(content["weight_map"])
        path.write_text(json.dumps(content))

    return _files(told, damage, in_shards)


def _below(folder: Path) -> None:
    hollow(folder / "transformers" / "default" / "1")


def _adapter(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "big/base"})
    )
    write_weights(folder / "adapter_model.safetensors", {"base_model.model.x.lora_A.weight": ("F32", (4, 4))})


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 16060522240\n"
DEEP = '{"a":' * 5000 + "1" + "}" * 5000

REFUSED: dict[str, Case] = {
    # The folder.
    "nowhere": Case(lambda folder: None, "no such folder"),
    "empty": Case(lambda folder: folder.mkdir(), r"no config\.json"),
    "a file": Case(lambda folder: folder.write_text(""), "is a file; name the folder"),
    "the parent of a version": Case(_below, "transformers/default/1: name that folder"),
    "only GGUF": Case(
        lambda f: (f.mkdir(), (f / "a.gguf").write_text("")), r"GGUF \(a\.gguf\).*pip install gguf && python"
    ),
    "only an adapter": Case(_adapter, r"is an adapter \(a LoRA of big/base\).*merge_and_unload"),
    "an adapter beside": _files(r"adapter_config\.json\) beside the weights", _adapter),
    # The text of config.json.
    "no JSON": _text("is not valid JSON", "{"),
    "empty config": _text("is not valid JSON", ""),
    "a byte order mark": _text("is not valid JSON", "\ufeff" + json.dumps(config_of())),
    "not UTF-8": _text("is not valid JSON", b"\xff\xfe\x00"),
    "a list": _text("should hold a JSON object, and holds a list", "[]"),
    "deep": _text("JSON|nested", DEEP),
    "nested 40 deep": _text("nested more than 32", '{"a":' * 40 + "1" + "}" * 40),
    "huge": _text("larger than 16 MB", b" " * 16_000_001),
    "long number": _text("is not valid JSON", '{"hidden_size": ' + "9" * 5000 + "}"),
    "a pipe": _files("not a regular file", _as_fifo),
    "config pointer": _files("Git LFS pointer", _replaced("config.json", LFS)),
    # Its family.
    "no model_type": _text("does not tell model_type", "{}"),
    "unknown family": _files("none of the supported families", _replaced("config.json", b'{"model_type": "nonsense"}')),
    "phi3": _files(
        "'phi3' is none of the supported families: llama", _replaced("config.json", b'{"model_type": "phi3"}')
    ),
    "mixtral": _files("'mixtral' is none of", _replaced("config.json", b'{"model_type": "mixtral"}')),
    "qwen3_moe": _files("'qwen3_moe' is none of", _replaced("config.json", b'{"model_type": "qwen3_moe"}')),
    "gpt_neox": _files("'gpt_neox' is none of", _replaced("config.json", b'{"model_type": "gpt_neox"}')),
    "model_type a list": _files("none of the supported", _replaced("config.json", b'{"model_type": ["llama"]}')),
    "several parts": _files(
        "several parts", _replaced("config.json", b'{"model_type": "gemma3", "text_config": {"hidden_size": 64}}')
    ),
    "another class": _config("one is wrong", architectures=["Qwen3ForCausalLM"]),
    "foreign code": _config("program code of its own", auto_map={"AutoConfig": "configuration_own.Config"}),
    # Its sizes.
    "hidden 0": _config("hidden_size should be a whole number", hidden_size=0),
    "hidden -1": _config("hidden_size should be a whole number", hidden_size=-1),
    "hidden a million": _config("hidden_size should be a whole number", hidden_size=10**6),
    "hidden a text": _config("hidden_size should be a whole number", hidden_size="64"),
    "hidden true": _config("hidden_size should be a whole number", hidden_size=True),
    "hidden 64.0": _config("hidden_size should be a whole number", hidden_size=64.0),
    "hidden missing": _config("does not tell hidden_size", hidden_size=...),
    "hidden null": _config("does not tell hidden_size", hidden_size=None),
    "layers without end": _config("num_hidden_layers should be", num_hidden_layers=10**9),
    "vocabulary missing": _config("does not tell vocab_size", vocab_size=...),
    "heads that do not divide": _config("not a multiple of num_key_value_heads", num_key_value_heads=3),
    "odd heads": _config("must be even", head_dim=15),
    "width no multiple, heads told": _config("not a multiple of num_attention_heads", num_attention_heads=3),
    "width no multiple": _config("not a multiple of num_attention_heads", hidden_size=66, head_dim=...),
    "infinite eps": _config("rms_norm_eps should be a number", rms_norm_eps=math.inf),
    "eps a whole number": _config("with a decimal point", rms_norm_eps=1),
    "a window without a size": Case(
        lambda f: hollow(f, config_of("cohere2", sliding_window=None), tensors_of(config_of("cohere2"))),
        "sliding_window does not tell its size",
    ),
    "eps a text": _config("rms_norm_eps should be a number", rms_norm_eps="1e-5"),
    "unknown activation": _config("hidden_act should be one of", hidden_act="nonsense"),
    "unknown dtype": _config("dtype should be one of", torch_dtype="int3"),
    "padding out of range": _config("pad_token_id 16 is none of the 16", pad_token_id=16),
    "eos a text": _config("eos_token_id should be a token id", eos_token_id="</s>"),
    "biases a number": _config("attention_bias should be true or false", attention_bias=3),
    "biases null": _config("attention_bias should be true or false, and is None", attention_bias=None),
    "labels by name": _config("id2label should be", id2label={"a": "b"}),
    "foreign code null": _config("program code of its own", auto_map=None),
    "encoder": _config("is_encoder_decoder should be false", is_encoder_decoder=True),
    "layer types short": _config("list of 2 entries", layer_types=["full_attention"]),
    "linear attention": _config("layer_types should be", layer_types=["full_attention", "linear_attention"]),
    "quantization a text": _config("quantization_config should be an object", quantization_config="nf4"),
    # Rotary positions.
    "dynamic": _config("depend on the length", rope_scaling={"type": "dynamic", "factor": 2.0}),
    "longrope": _config("depend on the length", rope_parameters={"rope_type": "longrope", "short_factor": [1]}),
    "su": _config("depend on the length", rope_scaling={"type": "su"}),
    "dynamic in one kind of layer": _config(
        "depend on the length", rope_parameters={"full_attention": {"rope_type": "dynamic", "factor": 2.0}}
    ),
    "two bases of rope": _config(
        "says rope_theta 500000.0 and rope_parameters: rope_theta 10000.0",
        rope_theta=500000.0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
    "unknown rope": _config("unknown type 'spiral'", rope_scaling={"type": "spiral"}),
    "rope a number": _config("should be an object or null, and is a number", rope_scaling=2),
    "llama3 without factor": _config("lacks factor", rope_scaling={"rope_type": "llama3"}),
    "factor a text": _config("factor should be a number above 0", rope_scaling={"type": "linear", "factor": "2"}),
    # Weights that do not fit it.
    "one missing": _tensors(
        r"1 tensor \(model\.layers\.1\.self_attn\.q_proj\.weight\) is not", _without("1.self_attn.q")
    ),
    "another head although tied": _files("lm_head.weight is another tensor", _other_head, _tied_with_head),
    "no head": _tensors(r"1 tensor \(lm_head\.weight\) is not in its files", _without("lm_head")),
    "peft's names": _tensors(r"21 tensors \(.*\) are not .* bear other names", _renamed("base_model.model.")),
    "a part's names": _tensors(
        "bear other names", lambda t: {n.replace("model.", "model.language_model."): e for n, e in t.items()}
    ),
    "no prefix": _tensors("bear other names", lambda t: {n.removeprefix("model."): e for n, e in t.items()}),
    "biases that the config lost": Case(
        lambda f: hollow(f, config_of(), tensors_of(config_of(attention_bias=True))),
        r"8 tensors \(model\.layers\.0\.self_attn\.k_proj\.bias, .*, .*\.\.\.\) have no place in a llama",
    ),
    "a block less in the config": _config("9 tensors .* have no place", num_hidden_layers=1),
    "a block more in the config": _config("9 tensors .* are not in its files", num_hidden_layers=3),
    "qwen3 called llama": Case(
        lambda f: hollow(f, config_of(), tensors_of(config_of("qwen3"))),
        "4 tensors .*k_norm.* have no place in a llama",
    ),
    "qwen2 called llama": Case(
        lambda f: hollow(f, config_of(), tensors_of(config_of("qwen2"))), "6 tensors .*bias.* have no place in a llama"
    ),
    "adapters in the weights": _tensors(
        "merge_and_unload", lambda t: t | {"model.layers.0.self_attn.q_proj.lora_A.weight": ("F32", (4, 64))}
    ),
    "integers": _tensors("stored as I8", lambda t: {n: ("I8", shape) for n, (_, shape) in t.items()}),
    "another vocabulary": _config(r"lm_head.weight has the shape \[16, 64\]", vocab_size=17),
    "another width": _config(r"has the shape \[128, 64\].* asks for \[96, 64\]|has the shape", intermediate_size=96),
    # Quantization.
    "16 bits with a section": _config("the weights are not quantized; delete", quantization_config=NF4),
    "NF4 without a section": _tensors("has no quantization_config; put in", in_nf4),
    "NF4 called INT8": _tensors("of another kind", in_nf4, quantization_config={"load_in_8bit": True}),
    "NF4 without absmax": _tensors(
        "tensors of its weights in NF4 are missing",
        lambda t: _without("q_proj.weight.absmax")(in_nf4(t)),
        quantization_config=NF4,
    ),
    "NF4 of another size": Case(
        lambda f: hollow(f, config_of(quantization_config=NF4, intermediate_size=192), in_nf4(tensors_of(config_of()))),
        "in 4 bits",
    ),
    "FP4": _tensors("bitsandbytes' FP4", _quantized(".weight", ".weight.quant_state.bitsandbytes__fp4", dtype="U8")),
    "INT8": _tensors("bitsandbytes' INT8", _quantized(".weight", ".SCB", dtype="I8")),
    "GPTQ": _tensors("GPTQ or AWQ", _quantized(".qweight", ".qzeros", ".scales", ".g_idx")),
    "GPTQ with a section": _tensors(
        "GPTQ or AWQ",
        _quantized(".qweight", ".qzeros", ".scales", ".g_idx"),
        quantization_config={"quant_method": "gptq", "bits": 4},
    ),
    "AWQ": _tensors("GPTQ or AWQ", _quantized(".qweight", ".qzeros", ".scales")),
    "FP8 with scales": _tensors("FP8", _quantized(".weight", ".weight_scale_inv", dtype="F32")),
    "FP8 by type": _tensors("FP8", lambda t: {n: ("F8_E4M3" if "proj" in n else d, s) for n, (d, s) in t.items()}),
    "compressed-tensors": _tensors(
        "compressed-tensors", _quantized(".weight_packed", ".weight_shape", ".weight_scale")
    ),
    # Files.
    "no weights": _files("the weights are missing", _gone("model.safetensors")),
    "pickled": _files(r"pickled weights \(pytorch_model\.bin\)", _only("pytorch_model.bin")),
    "GGUF beside a config": _files(r"GGUF \(model\.gguf\).*dequantize=True", _only("model.gguf")),
    "consolidated alone": _files(r"holds 1 safetensors files \(consolidated", _only("consolidated.safetensors")),
    "shards without an index": _files("holds 2 safetensors files", _gone("model.safetensors.index.json"), in_shards),
    "a shard missing": _files(
        "is missing, but model.safetensors.index.json names it", _gone("model-2-of-2.safetensors"), in_shards
    ),
    "a broken index": _files("is not valid JSON", _replaced("model.safetensors.index.json", b"{"), in_shards),
    "an index without a map": _files(
        "has no weight_map", _replaced("model.safetensors.index.json", b'{"metadata": {}}'), in_shards
    ),
    "an index of other tensors": _index(
        "does not belong to these files", lambda m: m.update(more="model-1-of-2.safetensors")
    ),
    "an index that leads out": _index(
        "no \\*.safetensors file of this folder", lambda m: m.update(more="../x.safetensors")
    ),
    "a tensor twice": _files(
        r"holds lm_head\.weight, which model-1-of-2\.safetensors holds as well", _doubled, in_shards
    ),
    "a pointer": _files("Git LFS pointer", _replaced("model.safetensors", LFS)),
    "a pointer in the place of the index": _files("Git LFS", _replaced("model.safetensors.index.json", LFS), in_shards),
    "a dangling link": _files("link to a file that is not there", _as_link),
    "a folder for a file": _files("is a folder", _as_folder),
    "cut short": _files("1 bytes are missing; .*upload the model again", _cut),
    "longer than its header says": _files(
        "more than its header", lambda f: os.truncate(f / "model.safetensors", 10**6)
    ),
    "no content": _files("cut short within its header", _replaced("model.safetensors", b"")),
    "an absurd header": _files("cut short within its header", _replaced("model.safetensors", b"\xff" * 100)),
    "a header of 20 MB": _files("more than 16000000", _long_header),
    "a header that is no JSON": _files(
        "header that cannot be read", _replaced("model.safetensors", (2).to_bytes(8, "little") + b"{]")
    ),
    "a header that is deep": _files(
        "header that cannot be read", _replaced("model.safetensors", len(DEEP).to_bytes(8, "little") + DEEP.encode())
    ),
}
"""Name -> a folder that every command refuses, with the same sentence."""
