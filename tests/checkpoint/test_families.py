"""The families that are verified: their tensors are those that transformers saves, their answers are transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.arc.tasks import Task, grid
from submission.checkpoint.checkpoint import is_harmless, read_checkpoint
from submission.checkpoint.config_json import validated
from submission.checkpoint.families import FAMILIES, PROJECTIONS, tensor_shapes
from submission.config import Model, Search
from submission.deadline import NEVER
from submission.model.loading import load_base
from tests.support.checkpoints import config_of, written
from tests.support.engines import ADAPT, loaded, questions, scored

STOCK = [name for name in FAMILIES if name != "qwen3_vl_text"]


def variants(name: str) -> list[dict[str, Any]]:
    """Options of a family under which it has other tensors."""
    flags = [key for key in FAMILIES[name].biases if key != "always"] + ["use_qk_norm"] * (name == "cohere")
    return [{}, {"tie_word_embeddings": True}, *({key: True} for key in flags)]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_asks_for_the_tensors_that_transformers_saves(name: str, tmp_path: Path) -> None:
    for number, options in enumerate(variants(name) if name in STOCK else [{}]):
        checkpoint = read_checkpoint(written(tmp_path / str(number), name, **options))
        config, saved = checkpoint.config, checkpoint.weights.tensors
        expected = dict(tensor_shapes(config.family, config.sizes, config.flags, config.tied))
        needed = {key: each.shape for key, each in saved.items() if not is_harmless(key, config)}
        assert needed == {key: shape for key, shape in expected.items() if not is_harmless(key, config)}, options
        assert config.raw["architectures"] == [config.family.architecture]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_takes(name: str) -> None:
    wide = {"hidden_size": 5120, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 320}
    told = config_of(name, wide | {"vocab_size": 16})
    theirs = AutoConfig.for_model(name, **{key: told[key] for key in [*wide, "vocab_size"]})
    family = FAMILIES[name]
    for key in ("num_key_value_heads", "head_dim", "tie_word_embeddings", *family.biases):
        ours = family.defaults.get(key, {"num_key_value_heads": 320, "head_dim": None}.get(key, False))
        if key != "always" and hasattr(theirs, key):
            found = getattr(theirs, key)
            assert found == ours or (key == "head_dim" and ours is None and found in (None, 5120 // 320)), key
    if family.windowed:
        read = validated(told | {"head_dim": 16}, Path("config.json"))
        assert read.window == theirs.sliding_window


@pytest.mark.parametrize("name", STOCK)
def test_a_family_s_log_probabilities_are_those_of_transformers(name: str, tmp_path: Path, small_task: Task) -> None:
    folder = written(tmp_path, name)
    asked, answers = questions(small_task, CHAT16)[:1], [grid([[1, 2], [3, 4]]), grid([[5]])]
    engine = loaded(folder, Model(device="cpu", four_bit=False, dtype="float32"), ADAPT, Search())
    adapted = {key for key, _ in engine.model.named_parameters() if ".lora_A." in key}
    assert len(adapted) == 2 * len(PROJECTIONS), "all seven projections of both blocks"
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    expected = []
    for answer in answers:
        start, whole = len(asked[0].prompt.ids), np.concatenate([asked[0].prompt.ids, CHAT16.answer(answer)])
        with torch.no_grad():
            log_p = plain(torch.from_numpy(whole)[None]).logits[0].log_softmax(-1)
        expected.append(sum(float(log_p[at - 1, whole[at]]) for at in range(start, len(whole))))
    np.testing.assert_allclose(scored(engine, asked, answers, 2, NEVER).reshape(-1), expected, atol=2e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_quantized_is_read_back_as_nf4(name: str, tmp_path: Path) -> None:
    load_base(written(tmp_path / "whole", name), Model(device="cpu"), "cpu").save_pretrained(tmp_path / "nf4")
    checkpoint = read_checkpoint(tmp_path / "nf4")
    assert len(checkpoint.four_bit) == 2 * len(PROJECTIONS)
