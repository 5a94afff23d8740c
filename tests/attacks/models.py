"""Model folders as an attacker or an unlucky user makes them, each from a sound one.

What is taken must be loaded, and compute what plain transformers computes from the same files; a folder that cannot be
loaded is refused by its files, before anything has begun. Harmless changes must not change what the model computes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from submission.arc.prompts import prompt
from submission.arc.tasks import Pair, grid
from submission.checkpoint.checkpoint import read_checkpoint
from submission.checkpoint.layout import layout_of
from submission.config import Model
from submission.errors import BadInput
from submission.model.grid_lm import GridLM
from submission.model.loading import load_base
from tests.attacks.verdicts import Attack, Verdict, command
from tests.support import families
from tests.support.checkpoints import SMALL, written

Expected = Literal["refused", "same", "kept", "either", "at loading"]
"""refused: by its files. same: taken, and it computes what the sound one does. kept: refused, or the same. either:
refused, or what transformers computes. at loading: its numbers are wrong, which only reading them can show."""


class Case(NamedTuple):
    """A change of a model folder."""

    base: str
    """Which sound folder it begins with, see `sound`."""
    change: Callable[[Path], object]
    expected: Expected


IDS = torch.tensor([[14, 11, 10, 1, 2, 3, 10, 15, 14, 12, 10, 4, 5]])
"""A prompt that every model knows the ids of."""


@cache
def sound(kind: str, folder: Path) -> Path:
    """A sound folder of this kind, made once: a tiny model with random weights."""
    made = folder / f"sound-{kind}"
    if kind == "nf4":
        return families.packed(sound("llama", folder), made)
    if kind in ("architects", "numpy"):
        return families.miniature(made, "llama-3.1", kind, torch.float32)
    written(made, kind)
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps(config | {"arc_layout": "chat16"}))
    return made


def judged(case: Case, folder: Path, sounds: Path) -> Verdict:
    """Make the folder, and hold what the package makes of it against what is expected."""
    model = folder / "model"
    shutil.copytree(sound(case.base, sounds), model, symlinks=True)
    case.change(model)
    try:
        checkpoint = read_checkpoint(model)
        layout = layout_of(model)
    except BadInput as refusal:
        assert case.expected in ("refused", "kept", "either"), f"refused: {refusal}"
        _require_sentence(model, str(refusal))
        return "refused"
    assert case.expected != "refused", "taken"
    settings = Model(device="cpu", dtype="float32", four_bit=False)
    try:
        loaded = load_base(model, settings, "cpu")
    except BadInput as refusal:
        assert case.expected == "at loading", f"taken by its files, and not loaded: {refusal}"
        return "refused"
    assert case.expected != "at loading", "numbers that are none were loaded"
    found = _logits(loaded)
    _require_layout(layout, checkpoint.vocabulary)
    if case.expected in ("same", "kept"):
        assert layout == layout_of(sound(case.base, sounds))
        wanted = _logits(load_base(sound(case.base, sounds), settings, "cpu"))
    else:
        wanted = _logits(_plain(model))
    assert torch.allclose(found, wanted, atol=1e-4, equal_nan=True), (
        f"computes something else, by {(found - wanted).abs().max():.3g}"
    )
    return "accepted"


def _require_sentence(model: Path, refusal: str) -> None:
    tasks = model.with_name("task.json")
    tasks.write_text('{"train": [{"input": [[1]], "output": [[1]]}], "test": [{"input": [[1]]}]}')
    told = command("bench", "plan", "--model", model, "--preset", "laptop", "--challenges", tasks).require_clean()
    assert told.status in (0, 2)
    assert told.status == 0 or str(model) in told.err, told.err
    assert "\n" not in refusal and len(refusal) < 1500, refusal


def _plain(model: Path) -> Any:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        kind = GridLM if '"qwen3_vl_text"' in (model / "config.json").read_text() else AutoModelForCausalLM
        return kind.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    made: torch.Tensor = model(input_ids=IDS).logits.float()
    return made


def _require_layout(layout: Any, vocabulary: int) -> None:
    """Every grid comes back from its tokens, and a prompt is of ids that the model has."""
    rng = np.random.default_rng(0)
    grids = [grid(rng.integers(0, 10, shape)) for shape in ((1, 1), (2, 3), (3, 2), (30, 30))]
    for each in grids:
        back = layout.parse(layout.answer(each).tolist())
        assert back is not None and np.array_equal(back, each), "a grid does not survive"
    ids = prompt(layout, [Pair(grids[0], grids[1])], grids[2], 10_000).ids
    assert min(ids) >= 0 and max(ids) < vocabulary


# -- config.json ------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    0.5,
    1e999,
    float("nan"),
    10**30,
    -(10**30),
    "",
    "x",
    "1",
    [],
    [1],
    {},
    {"a": 1},
    [[[]]],
    "../../etc/passwd",
)


def config(**changes: Any) -> Callable[[Path], object]:
    """Keys of config.json set; ... removes one."""

    def change(model: Path) -> None:
        content = json.loads((model / "config.json").read_text()) | changes
        kept = {key: value for key, value in content.items() if value is not ...}
        (model / "config.json").write_text(json.dumps(kept))

    return change


STRANGE: dict[str, Any] = {
    "transformers_weights": "other.safetensors",
    "decoder": {"hidden_size": 8},
    "generator": {"a": 1},
    "text_encoder": {"a": 1},
    "audio_encoder": {"a": 1},
    "distributed_config": {"tp_plan": "auto"},
    "fusion_config": {"a": True},
    "attention_chunk_size": 2,
    "gradient_checkpointing": True,
    "attn_implementation": "nonsense",
    "_attn_implementation": "kernels-community/x",
    "_attn_implementation_internal": "flash_attention_2",
    "experts_implementation": "x",
    "use_cache": False,
    "pruned_heads": {"0": [0]},
    "chunk_size_feed_forward": 3,
    "torchscript": True,
    "output_hidden_states": True,
    "num_labels": 10**9,
    "problem_type": "x",
    "max_length": "x",
    "temperature": -1,
    "do_sample": True,
    "forced_eos_token_id": 3,
    "tie_encoder_decoder": True,
    "is_decoder": False,
    "transformers_version": 5,
    "_name_or_path": "../../x",
    "_commit_hash": "x" * 10_000,
    "architectures": None,
    "unsloth_version": "1",
    "base_model_tp_plan": {"layers.*": "x"},
    "base_model_pp_plan": "x",
    "num_nextn_predict_layers": 3,
    "mtp_layer_types": ["x"],
    "model_type ": "x",
    "hidden_sizes": [1],
    "hidden_dim": 8,
    "n_embd": 8,
    "num_layers": 1,
    "max_seq_len": -1,
    "bos_token": "<s>",
    "trust_remote_code": True,
    "custom_pipelines": {"x": {"impl": "x.py"}},
    "task_specific_params": [],
    "finetuning_task": 1,
    "to_dict": 1,
    "__class__": "x",
    "from_pretrained": "x",
    "get_text_config": "x",
    "save_pretrained": 1,
    "attribute_map": {"hidden_size": "x"},
    "validate": 1,
    "sub_configs": {"text_config": 1},
    "keys_to_ignore_at_inference": 3,
    "loss_type": "x",
    "dtype_policy": "x",
    "base_config_key": "x",
    "has_no_defaults_at_init": True,
    "standardize_rope_params": 1,
    "convert_rope_params_to_dict": 1,
    "_auto_class": "x",
    "name_or_path": 7,
    "rope_theta_": 3,
    "ignore_keys_at_rope_validation": ["x"],
    "per_layer_config": {},
}
"""Keys that no config of a family has: whatever a library would do with them, the model is the same or refused."""


def _configs() -> Iterator[tuple[str, Case]]:
    for key, value in STRANGE.items():
        yield f"config {key}={value!r}"[:60], Case("llama", config(**{key: value}), "kept")
    keys = (
        *SMALL,
        "rms_norm_eps",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
        "tie_word_embeddings",
        "dtype",
        "initializer_range",
        "attention_dropout",
        "pretraining_tp",
        "use_cache",
        "model_type",
        "architectures",
        "quantization_config",
        "layer_types",
        "sliding_window",
        "id2label",
        "arc_layout",
        "auto_map",
    )
    for key in dict.fromkeys(keys):
        for value in ODD:
            yield (
                f"config {key}={value!r}"[:60],
                Case("llama", config(**{key: value}), "kept" if key == "quantization_config" else "either"),
            )
    for base in ("qwen3", "gemma3_text", "olmo2", "cohere2", "qwen3_vl_text"):
        for key in (
            "head_dim",
            "sliding_window",
            "use_sliding_window",
            "layer_types",
            "rope_parameters",
            "query_pre_attn_scalar",
            "final_logit_softcapping",
            "logit_scale",
            "max_window_layers",
            "_sliding_window_pattern",
            "clip_qkv",
        ):
            for value in (None, 0, 1, 3, 0.5, -1, True, "x", [], {}):
                yield f"{base} {key}={value!r}", Case(base, config(**{key: value}), "either")


TEXTS: dict[str, tuple[Callable[[str], str | bytes], Expected]] = {
    "a byte order mark": (lambda t: "\ufeff" + t, "refused"),
    "UTF-16": (lambda t: t.encode("utf-16"), "refused"),
    "a comment": (lambda t: "// x\n" + t, "refused"),
    "two objects": (lambda t: t + t, "refused"),
    "in a list": (lambda t: f"[{t}]", "refused"),
    "hidden_size twice": (lambda t: t[:-1] + ', "hidden_size": 32}', "refused"),
    "vocab_size twice": (lambda t: '{"vocab_size": 99, ' + t[1:], "either"),
    "a key in capitals": (lambda t: t.replace('"hidden_size"', '"Hidden_Size"'), "refused"),
    "a zero inside": (lambda t: t + "\0", "refused"),
    "a megabyte of spaces": (lambda t: t + " " * (1 << 20), "same"),
    "a lone surrogate": (lambda t: '{"x": "\\ud800", ' + t[1:], "either"),
    "an endless number": (lambda t: '{"x": ' + "9" * 4000 + ", " + t[1:], "either"),
    "a million keys": (lambda t: "{" + "".join(f'"k{k}": 1, ' for k in range(300_000)) + t[1:], "kept"),
    "escaped keys": (lambda t: t.replace('"hidden_size"', '"\\u0068idden_size"'), "same"),
    "an auto_map by escapes": (lambda t: '{"auto_m\\u0061p": {}, ' + t[1:], "refused"),
    "Infinity": (lambda t: '{"x": Infinity, ' + t[1:], "either"),
    "a tab": (lambda t: t.replace(", ", ",\t"), "same"),
}


def _text(change: Callable[[str], str | bytes]) -> Callable[[Path], object]:
    def made(model: Path) -> None:
        found = change((model / "config.json").read_text())
        (model / "config.json").write_bytes(found if isinstance(found, bytes) else found.encode())

    return made


# -- what stands beside the weights -----------------------------------------------------------------------------------


def _beside(name: str, content: bytes | str) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        path = model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


EVIL = b"cos\nsystem\n(S'touch /tmp/attacked'\ntR."
"""A pickle that runs a command."""

NAMES = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "chat_template.jinja",
    "added_tokens.json",
    "preprocessor_config.json",
    "manifest.json",
    "model.safetensors.index.json",
)

PYTHON = "import os; os.system('touch /tmp/attacked')\n"

BESIDE: dict[str, bytes | str] = {
    "pytorch_model.bin": EVIL,
    "training_args.bin": EVIL,
    "optimizer.pt": EVIL,
    "pytorch_model.bin.index.json": '{"weight_map": {"a": "b.bin"}}',
    "modeling_llama.py": PYTHON,
    "configuration_llama.py": PYTHON,
    "custom_generate/generate.py": PYTHON,
    "__init__.py": PYTHON,
    "config.py": PYTHON,
    "torch.py": PYTHON,
    "numpy.py": PYTHON,
    "sitecustomize.py": PYTHON,
    "tf_model.h5": b"\x89HDF",
    "flax_model.msgpack": b"\x80",
    "model.gguf": b"GGUF",
    "model-00001-of-00002.safetensors": b"\xff" * 20,
    "consolidated.safetensors": b"",
    "model.fp16.safetensors": b"x",
    ".git/config": "x",
    "transformers_weights": "x",
    "adapter_model.safetensors": b"x",
    "quantize_config.json": "{}",
    "hf_quant_config.json": '{"quantization": {}}',
    "params.json": "{}",
    "config.json.bak": "{",
    "CONFIG.JSON": "{",
    "model.safetensors.lock": "",
    "a" * 200: "",
    "\n.json": "{",
}


def _kinds_of_damage(name: str) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """A side file in every state that a file can be in."""
    for label, content in {
        "empty": "",
        "no JSON": "{",
        "null": "null",
        "a list": "[]",
        "an object": "{}",
        "not UTF-8": b"\xff\xfe",
        "deep": '{"a":' * 3000 + "1" + "}" * 3000,
        "zeros": b"\0" * 100_000,
        "of texts": '{"eos_token": 5, "bos_token": [], "eos_token_id": "x", "pad_token_id": {}, "temperature": "x"}',
        "a huge number": '{"max_length": 1e999, "eos_token_id": 99999999999999999999, "bos_token_id": -5}',
    }.items():
        yield f"{name} {label}", _beside(name, content)
    yield f"{name} a folder", lambda model: (_gone(model / name), (model / name).mkdir())
    yield f"{name} a pipe", lambda model: (_gone(model / name), os.mkfifo(model / name))
    yield f"{name} a loop", lambda model: (_gone(model / name), (model / name).symlink_to(model / name))
    yield f"{name} a device", lambda model: (_gone(model / name), (model / name).symlink_to("/dev/zero"))
    yield f"{name} a dead link", lambda model: (_gone(model / name), (model / name).symlink_to("/no/where"))


def _gone(path: Path) -> None:
    path.unlink(missing_ok=True)


def models() -> Iterator[tuple[str, Case]]:
    """All changes that are not of the weights or the tokenizer, by name."""
    yield from _configs()
    yield from ((f"config.json: {name}", Case("llama", _text(change), wish)) for name, (change, wish) in TEXTS.items())
    yield from (
        (f"{name[:40]} beside", Case("llama", _beside(name, content), "either")) for name, content in BESIDE.items()
    )
    for name in NAMES:
        yield from ((label, Case("llama", change, "either")) for label, change in _kinds_of_damage(name))


def attack_of(name: str, case: Case, sounds: Path) -> Attack:
    """The attack that makes this folder and judges it."""

    def act(folder: Path) -> Verdict:
        verdict = judged(case, folder, sounds)
        assert not Path("/tmp/attacked").exists(), "its code was run"
        return verdict

    return Attack(name, act)
