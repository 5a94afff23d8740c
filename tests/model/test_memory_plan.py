"""The memory plan: what autograd really keeps, what files really hold, and when activations are computed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16
from submission.arc.prompts import padded, row
from submission.arc.tasks import Task
from submission.benchmarks.rates import SHAPE_8B, SHAPES
from submission.checkpoint.config_json import validated
from submission.config import Adapt, Model, Search, Settings, with_changes
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan
from submission.model.checkpointing import set_level
from submission.model.loading import compute_dtype, load_base
from submission.model.lora import of_ends
from submission.model.memory_plan import (
    CARDS,
    DEVICE_OF,
    LEVELS,
    NF4,
    Level,
    Shape,
    choose_plan,
    longest_row,
    plan,
    read_shape,
    shape_of,
)
from submission.model.search_memory import TokenBytes
from submission.presets import PRESETS, card_of, preset, recipe_of
from tests.support.checkpoints import config_of
from tests.support.counted import TRUE_SIZES, faked, kept_by_autograd, train
from tests.support.engines import loaded
from tests.support.families import FAMILIES, miniature, packed

GB = 1e9

Ends = Literal["off", "full"]
Targets = Literal["all", "q_v_mlp"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_of_a_config_are_those_of_the_model(family: str, tmp_path: Path) -> None:
    folder = miniature(tmp_path, family)
    model = AutoModelForCausalLM.from_pretrained(folder)
    shape = shape_of(folder)
    blocks = sum(p.numel() for name, p in model.named_parameters() if "proj" in name)
    norms_of_heads = sum(p.numel() for name, p in model.named_parameters() if "q_norm" in name or "k_norm" in name)
    assert shape.block_weights == blocks
    assert shape.block_weights + shape.end_weights + norms_of_heads == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("ends", ["off", "full"])
@pytest.mark.parametrize("targets", ["all", "q_v_mlp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_trained_is_counted(family: str, ends: Ends, targets: Targets, tmp_path: Path) -> None:
    settings = Adapt(rank=4, ends=ends, targets=targets)
    engine = loaded(miniature(tmp_path, family), Model(device="cpu", four_bit=False), settings, Search())
    shape = shape_of(tmp_path)
    trained = [(p.numel(), of_ends(name)) for name, p in engine.model.named_parameters() if p.requires_grad]
    assert sum(count for count, end in trained if not end) == shape.lora_weights(settings)
    assert sum(count for count, end in trained if end) == shape.whole_weights(settings)
    made = plan(shape, engine.settings, 4, 64, "keep")
    assert made.adapter == 4 * sum(count for count, _ in trained)
    frozen = [(name, p.numel()) for name, p in engine.model.named_parameters() if not p.requires_grad]
    assert made.weights == 4 * sum(count for name, count in frozen if "q_norm" not in name and "k_norm" not in name)


def test_an_8b_in_four_bits_is_what_it_was_measured_to_be() -> None:
    """7.340 billion weights in 3.79 GB on disk; LoRA of rank 32 has 94 million; 164 KB of keys a token."""
    assert SHAPE_8B.block_weights == pytest.approx(7.340e9, rel=1e-3)
    assert SHAPE_8B.block_weights * memory_plan.NF4 == pytest.approx(3.79 * GB, rel=1e-2)
    assert SHAPE_8B.lora_weights(Adapt(rank=32)) == pytest.approx(94e6, rel=1e-2)
    assert TokenBytes.of_sizes(SHAPE_8B, 2).kv == 163_840


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_plan_is_what_autograd_keeps_and_a_little_more(
    family: str, dtype: str, level: Level, tmp_path: Path, small_task: Task
) -> None:
    folder = miniature(tmp_path, family)
    settings = with_changes(Settings(model=Model(device="cpu"), adapt=Adapt(rank=8)), [f"model.dtype={dtype}"])
    engine = LanguageModel(folder, settings)
    set_level(engine.base, level)
    engine.model.train()
    arrays = padded(CHAT16, [row(CHAT16, small_task.demonstrations * 4, 4096)])
    kept, tokens = kept_by_autograd(engine.model, *map(torch.from_numpy, arrays)), arrays[0].size
    width = compute_dtype(dtype, "cpu").itemsize
    made = plan(shape_of(folder), settings, width, tokens, level)
    if level != "keep":
        # While one block is gone through again, what it keeps comes on top: the plan has both.
        # An activation in float32 is kept twice by "selective": as the output of a product, and by what follows.
        whole = plan(shape_of(folder), settings, width, tokens, "keep").activations
        assert kept < made.activations < (0.8 if level == "recompute" else 1.5) * whole
    else:
        assert 0.95 * kept < made.activations + made.logits < 1.6 * kept


def test_a_row_that_fits_keeps_its_activations_and_a_longer_one_does_not() -> None:
    settings, room = preset("poe-l4x4"), CARDS["l4"]
    short, long = choose_plan(SHAPE_8B, settings, 2, 512, room), choose_plan(SHAPE_8B, settings, 2, 8192, room)
    assert not short.checkpointing
    assert long.checkpointing
    assert max(short.total, long.total) < room
    for name, wanted in (("on", True), ("off", False)):
        told = with_changes(settings, [f"adapt.checkpointing={name}"])
        assert {choose_plan(SHAPE_8B, told, 2, n, room).checkpointing for n in (512, 8192)} == {wanted}


@pytest.mark.parametrize("name", [name for name in PRESETS if recipe_of(name)])
def test_the_presets_fit_the_models_of_their_recipes_on_their_gpus(name: str) -> None:
    settings, room, shape = preset(name), CARDS[card_of(name) or ""], SHAPES[recipe_of(name)]
    made = choose_plan(shape, settings, 2, settings.model.context, room)
    assert made.total < room, made.sentence()
    assert longest_row(shape, settings, 2, room) == settings.model.context


def test_a_whole_vocabulary_does_not_fit_a_t4_and_the_plan_says_how_far_it_goes() -> None:
    whole = replace(SHAPE_8B, vocabulary=131_072)
    settings, room = with_changes(preset("poe-t4x2"), ["adapt.ends=off", "search.megabytes=4000"]), CARDS["t4"]
    longest = longest_row(whole, settings, 2, room)
    assert 0 < longest < settings.model.context
    assert choose_plan(whole, settings, 2, longest, room).total <= room
    beyond = choose_plan(whole, settings, 2, longest + 64, room)
    assert beyond.training > memory_plan.training_budget(beyond, room)


COUNTED: list[tuple[str, str, int, Level]] = [
    ("Minitron-8B", "l4", 2048, "keep"), ("Minitron-8B", "l4", 4096, "selective"),
    ("Minitron-8B", "l4", 8192, "recompute"), ("Minitron-8B", "t4", 1024, "keep"),
    ("Minitron-8B", "t4", 2048, "selective"), ("Minitron-8B", "t4", 8192, "recompute"),
    ("Llama-3-8B", "l4", 2048, "keep"), ("Llama-3-8B", "t4", 2048, "selective"),
    ("Qwen3-4B", "l4", 4096, "keep"), ("Qwen3-4B", "l4", 8192, "selective"), ("Qwen3-4B", "t4", 8192, "recompute"),
]  # fmt: skip
"""Model, GPU, tokens of a row, level."""

QUICK_COUNTED = COUNTED[1:2]


@pytest.mark.parametrize(
    ("name", "card", "tokens", "level"),
    [pytest.param(*each, marks=[] if each in QUICK_COUNTED else pytest.mark.slow) for each in COUNTED],
)
def test_the_plan_of_a_model_of_true_size_is_what_a_training_step_takes_and_at_most_an_eighth_more(
    name: str, card: str, tokens: int, level: Level
) -> None:
    """Counted without memory, see `tests.support.counted`: weights, adapter, optimizer, activations, logits."""
    adapt, shape = Adapt(rank=32), TRUE_SIZES[name][1]
    blocks = 8 if (name, card, tokens, level) in QUICK_COUNTED else shape.blocks
    with faked(name, blocks, card, adapt) as fake:
        train(fake, tokens, level)
    made = plan(replace(shape, blocks=blocks), Settings(adapt=adapt), 2, tokens, level, DEVICE_OF[card])
    planned = made.weights + made.adapter + made.training
    assert fake.counting.peak < planned < 1.125 * fake.counting.peak, (planned / fake.counting.peak, made.sentence())


def test_larger_batches_go_through_in_parts() -> None:
    settings = with_changes(Settings(), ["adapt.batch=8", "adapt.tokens=4096"])
    assert memory_plan.microbatch_tokens(settings, 1000) == 4 * 1024
    assert memory_plan.microbatch_tokens(settings, 5000) == 5024
    assert memory_plan.microbatch_tokens(settings, 100) == 8 * 128


def test_a_task_recomputes_where_its_rows_need_it(tmp_path: Path, small_task: Task) -> None:
    """The gradient is the same; and what the settings say outright is done."""
    folder = miniature(tmp_path, "qwen3")
    short = [row(CHAT16, small_task.demonstrations, 4096)]
    long = [row(CHAT16, small_task.demonstrations * 20, 4096)]
    chosen, losses = {}, {}
    for told in ("auto", "off", "selective", "on"):
        adapt = with_changes(Settings(adapt=Adapt(rank=4)), [f"adapt.checkpointing={told}"]).adapt
        search = Search(megabytes=1.0)
        model = Model(device="cpu", gigabytes=memory_plan.RESERVE / GB + 0.005, dense_megabytes=0, context=4096)
        engine = loaded(folder, model, adapt, search)
        chosen[told] = [engine.level_for(rows) for rows in (short, long)]
        losses[told] = [engine.adapt(rows, NEVER, 0).losses for rows in (short, long)]
        assert engine.base.model.layers[0].gradient_checkpointing == (told != "off")
    assert chosen.pop("auto") == ["keep", "recompute"]
    assert chosen == {"off": ["keep"] * 2, "selective": ["selective"] * 2, "on": ["recompute"] * 2}
    assert losses["auto"] == losses["off"] == losses["selective"] == losses["on"]


def test_what_is_quantized_already_counts_in_four_bits(tmp_path: Path) -> None:
    load_base(miniature(tmp_path / "whole", "llama-3.1"), Model(device="cpu"), "cpu").save_pretrained(tmp_path / "nf4")
    shape = shape_of(tmp_path / "nf4")
    assert shape.quantized
    asked = with_changes(Settings(), ["model.four_bit=False", "model.dense_megabytes=0"])
    assert (
        plan(shape, asked, 2, 64, "keep").weights < plan(replace(shape, quantized=False), asked, 2, 64, "keep").weights
    )


def test_a_mixed_quantization_counts_what_it_keeps_in_16_bits(tmp_path: Path) -> None:
    source = miniature(tmp_path / "source", "llama-3.1")
    whole = shape_of(packed(source, tmp_path / "whole"))
    mixed = shape_of(packed(source, tmp_path / "mixed", kept=["lm_head", "model.layers.0.mlp"]))
    assert whole.kept == 0 and mixed.kept == 3 * 64 * 128 and shape_of(source).kept == 0
    asked = with_changes(Settings(), ["model.dense_megabytes=0"])
    more = plan(mixed, asked, 2, 64, "keep").weights - plan(whole, asked, 2, 64, "keep").weights
    assert more == pytest.approx(mixed.kept * (2 - NF4))


def test_windows_and_missing_figures(tmp_path: Path) -> None:
    config = config_of("qwen2", num_key_value_heads=4, max_position_embeddings=..., head_dim=...)

    def read(**more: object) -> Shape:
        return read_shape(validated(config | more, Path("config.json")), quantized=False)

    assert read(use_sliding_window=True) == Shape(64, 128, 2, 4, 4, 16, 16, False, False, 1 << 30, 4096)
    assert read().window is None, "a Qwen has full attention unless it says otherwise"
    for family, window in (("mistral", 4096), ("llama", None)):
        made = validated(config_of(family, max_position_embeddings=9), Path("config.json"))
        assert (read_shape(made, quantized=False).window, made.positions) == (window, 9)
    with pytest.raises(BadInput, match=r"no config\.json"):
        shape_of(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    with pytest.raises(BadInput, match="does not tell model_type"):
        shape_of(tmp_path)
