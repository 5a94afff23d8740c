"""The one judgement of a model folder: each kind of damage has its sentence, and all commands say the same."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

import build
from submission.checkpoint.checkpoint import layout_name, read_checkpoint
from submission.checkpoint.config_json import COUNTS, FLAGS, NESTED, NUMBERS, validated
from submission.checkpoint.families import FAMILIES
from submission.cli.arguments import parser
from submission.cli.commands import COMMANDS, main
from submission.config import EMBEDDED, Model
from submission.errors import BadInput
from submission.kaggle.packaging.bundle import require_prepared_model
from submission.model.loading import load_base
from submission.training.corpus import Corpus
from submission.training.finetune_base import finetune_base
from submission.training.settings import FineTuning
from tests.support.cases import cases
from tests.support.checkpoints import ACCEPTED, LARGE, SMALL, config_of, hollow, written
from tests.support.refused_checkpoints import REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_cannot_be_used_is_refused_in_one_sentence_within_a_second(name: str, tmp_path: Path) -> None:
    REFUSED[name].make(tmp_path / "model")
    began = time.monotonic()
    with pytest.raises(BadInput, match=REFUSED[name].told) as refused:
        read_checkpoint(tmp_path / "model")
    assert time.monotonic() - began < 1
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "model")), "it names the place"


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_folder_that_can_be_used_is_taken(name: str, tmp_path: Path) -> None:
    ACCEPTED[name](tmp_path / "model")
    checkpoint = read_checkpoint(tmp_path / "model")
    assert checkpoint.vocabulary == SMALL["vocab_size"]
    assert len(checkpoint.four_bit) == (14 if name.startswith("NF4") else 0)
    assert [path.name for path in checkpoint.files if "consolidated" in path.name] == []
    beside = name in ("consolidated beside", "a stale index beside")
    assert len(checkpoint.notes()) == beside


@pytest.mark.parametrize("name", [name for name in ACCEPTED if not name.startswith("NF4")])
def test_the_library_takes_what_was_taken(name: str, tmp_path: Path) -> None:
    ACCEPTED[name](tmp_path / "model")
    model = load_base(tmp_path / "model", Model(device="cpu", four_bit=False), "cpu")
    assert model.config.vocab_size == SMALL["vocab_size"]


@pytest.mark.parametrize("folder", [EMBEDDED, EMBEDDED.with_name("trunk")])
def test_the_models_of_the_repository_pass(folder: Path) -> None:
    assert read_checkpoint(folder).model_type == "qwen3_vl_text"
    assert not read_checkpoint(folder).notes()


def test_a_folder_that_may_not_be_looked_into_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read as a model folder"):
        read_checkpoint(tmp_path / ("x" * 300))


# -- no command accepts a model folder that another one refuses --------------------------------------------------------


MODEL, OUT = Path("the model"), Path("the output")
"""Stand for the two folders in the commands' words."""

RUN, BENCH = ["run", "--model", str(MODEL), "--out", str(OUT)], ["bench", "--model", str(MODEL)]
PRETRAIN, UPLOAD = ["pretrain", "--minutes", "1", "--out", str(OUT)], ["model", str(MODEL), "--out", str(OUT)]

WORDS = {
    "run": RUN, "run, its preset named": [*RUN, "--preset", "laptop"],
    "run, programs alone": [*RUN, "--solvers", "programs"],
    "run, as a writer": ["run", "--set", f"programs.writer={str(MODEL)!r}", "--out", str(OUT)],
    "check": ["check", "--model", str(MODEL)],
    "shrink": ["shrink", "--model", str(MODEL), "--layout", "architects", "--out", str(OUT)],
    "bench plan": [*BENCH, "plan", "--preset", "poe-l4x4"], "bench ttt": [*BENCH, "ttt"],
    "bench search": [*BENCH, "search"], "bench scaling": [*BENCH, "scaling", "--out", str(OUT)],
    "pretrain --base": [*PRETRAIN, "--base", str(MODEL)], "pretrain --select": [*PRETRAIN, "--select", str(MODEL)],
}  # fmt: skip
"""The commands of `python -m submission` that take a model folder."""

UPLOADS = {
    "build.py model": UPLOAD, "build.py model --shrink": [*UPLOAD, "--shrink", "architects"],
    "build.py model --quantize": [*UPLOAD, "--quantize"],
    "build.py bundle": ["bundle", "--owner", "a", "--license", "MIT", "--model", str(MODEL), "--out", str(OUT)],
}  # fmt: skip
"""The commands of build.py that do."""

PARSED = {name: parser().parse_args(words) for name, words in WORDS.items()} | {
    name: build._parser().parse_args(words) for name, words in UPLOADS.items()
}


def refusal(command: str, model: Path, out: Path) -> str:
    """The sentence with which a command refuses a model folder; "" where it does not."""
    options = argparse.Namespace(**vars(PARSED[command]))
    for name, value in vars(options).items():
        if str(value) in (str(MODEL), str(OUT)):
            setattr(options, name, type(value)(model if str(value) == str(MODEL) else out))
    if getattr(options, "set", None):
        options.set = [f"programs.writer={str(model)!r}"]
    try:
        (COMMANDS[options.command] if command in WORDS else options.command)(options)
    except BadInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", REFUSED)
def test_what_one_command_refuses_all_refuse_with_the_same_sentence(name: str, tmp_path: Path) -> None:
    REFUSED[name].make(tmp_path / "model")
    with pytest.raises(BadInput) as refused:
        read_checkpoint(tmp_path / "model")
    for command in PARSED:
        assert (command, refusal(command, tmp_path / "model", tmp_path / "out")) == (command, str(refused.value))
        assert not (tmp_path / "out").exists(), f"{command}: nothing is written"


def test_the_command_line_prints_that_sentence_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    REFUSED["peft's names"].make(tmp_path / "model")
    for command in (
        lambda: main(["check", "--model", str(tmp_path / "model")]),
        lambda: build.main(["model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]),
    ):
        assert command() == 2
        told = capsys.readouterr().err
        assert "bear other names" in told and len(told.splitlines()) == 1


PURPOSE = {
    "pretrain --base": "quantized already",
    "pretrain --select": "and this is none",
    "build.py model --quantize": "quantized already",
    "build.py bundle": r"run `python build\.py model",
    "shrink": "made for layout chat16",
}
"""Why a command may refuse a folder that is right: it is for another purpose. All else is taken."""


def test_a_refusal_by_purpose_is_no_other_judgement(tmp_path: Path) -> None:
    ACCEPTED["NF4"](tmp_path / "model")
    for command, told in PURPOSE.items():
        assert re.search(told, refusal(command, tmp_path / "model", tmp_path / "out")), command
    assert not (tmp_path / "out").exists()


def test_a_large_model_is_judged_before_its_preset_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hollow(tmp_path / "large", config_of(sizes=LARGE))
    assert main(["run", "--model", str(tmp_path / "large"), "--out", str(tmp_path / "out")]) == 2
    assert "is a large model; name the settings for it by --preset" in capsys.readouterr().err
    (tmp_path / "large" / "model.safetensors").unlink()
    assert main(["run", "--model", str(tmp_path / "large"), "--out", str(tmp_path / "out")]) == 2
    assert "the weights are missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("make", ["whole", "in shards, a tied head", "NF4"])
def test_what_one_command_takes_all_take(make: str, tmp_path: Path, copying: Corpus) -> None:
    """A real checkpoint through every command; what each writes is a checkpoint again."""
    model, preset = written(tmp_path / "plain", "llama", tie_word_embeddings="tied" in make), ["--preset", "laptop"]
    if "shards" in make:
        AutoModelForCausalLM.from_pretrained(model).save_pretrained(tmp_path / "model", max_shard_size="60KB")
        model = tmp_path / "model"
    elif make == "NF4":
        load_base(model, Model(device="cpu", dtype="bfloat16"), "cpu").save_pretrained(tmp_path / "model")
        model = tmp_path / "model"
    sets = ["--set", "training_rows.copies=1", "--set", "search.views=1", "--set", "adapt.rank=2", "--workers", "1"]
    run = ["run", "--only", "66e6c45b", "--model", str(model), "--out", str(tmp_path / "run"), *preset]
    assert main(["check", "--model", str(model), *preset]) == 0
    assert main([*run, *sets]) == 0
    assert build.main(["model", str(model), "--out", str(tmp_path / "ready")]) == 0
    require_prepared_model(tmp_path / "ready")
    results = [tmp_path / "ready"]
    if make != "NF4":
        shrunk = ["shrink", "--model", str(model), "--layout", "chat16", "--nf4", "--out", str(tmp_path / "small")]
        assert main(shrunk) == 0
        tuning = FineTuning(steps=2, rank=2, tokens=256, limit=100, warmup=1, device="cpu", checkpointing="off")
        finetune_base(tuning, lambda: copying, model, tmp_path / "tuned")
        results += [tmp_path / "small", tmp_path / "tuned" / "merged", tmp_path / "tuned" / "nf4"]
    assert [read_checkpoint(each).model_type for each in results] == ["llama"] * len(results)


# -- attacks ----------------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None, 0, 1, -1, 10**9, 1e30, 1.5, "x", "", True, False, [], [1], {}, {"a": 1}, [None], float("nan"), "silu",
]  # fmt: skip
"""Values in the place of any other."""


@pytest.mark.parametrize("family", FAMILIES)
def test_no_value_of_a_config_ends_in_anything_but_a_sentence(family: str) -> None:
    whole = config_of(family)
    more = (*COUNTS, *NUMBERS, *FLAGS, *NESTED, "rope_scaling", "rope_parameters", "layer_types", "quantization_config")
    for key in {*whole, *more}:
        for value in ODD:
            try:
                validated({**whole, key: value}, Path("config.json"))
            except BadInput as error:
                assert str(error).startswith("config.json: "), (key, value)


def test_no_damage_of_a_header_or_an_index_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    ACCEPTED["in shards"](tmp_path / "m")
    rng, refused = np.random.default_rng(0), 0
    for path in sorted((tmp_path / "m").iterdir()):
        with path.open("rb") as file:
            head = file.read(2000)
        for _ in range(60):
            spoiled = bytearray(head)
            for at in rng.integers(0, len(head), int(rng.integers(1, 4))):
                spoiled[at] = int(rng.integers(256))
            with path.open("r+b") as file:
                file.write(spoiled)
            try:
                read_checkpoint(tmp_path / "m")
            except BadInput:
                refused += 1
        with path.open("r+b") as file:
            file.write(head)
    read_checkpoint(tmp_path / "m")
    assert refused > 100


def test_a_refused_folder_costs_no_import_of_torch(tmp_path: Path) -> None:
    REFUSED["one missing"].make(tmp_path / "model")
    program = (
        "import sys, build; from submission.cli.commands import main; model, out = sys.argv[1:]; "
        "words = [['run', '--model', model], ['check', '--model', model], ['shrink', '--model', model, '--out', out], "
        "['bench', 'ttt', '--model', model], ['pretrain', '--minutes', '1', '--out', out, '--base', model]]; "
        "assert [main(each) for each in words] == [2] * 5; assert build.main(['model', model, '--out', out]) == 2; "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    root = Path(build.__file__).parent
    words = [sys.executable, "-c", program, str(tmp_path / "model"), str(tmp_path / "out")]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(set(done.stderr.splitlines())) == 1, "the same sentence each time"


@cases(
    ("name", "told"),
    [
        ("HuggingFaceTB/SmolLM2-135M", "python build.py model hf:HuggingFaceTB/SmolLM2-135M --out SmolLM2-135M"),
        ("hf:a/b", "python build.py model hf:a/b --out b"),
        ("a/b_1/Transformers/c/3", "kaggle models variations versions download a/b_1/Transformers/c/3 --untar -p b_1"),
        ("tests/none", ""), ("/a/b", ""), ("a", ""), ("a/b/c", ""), ("./../a/b", ""), ("a/b c", ""), ("a/b\n", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_published_model_gets_the_command_that_fetches_it(name: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_checkpoint(Path(name))
    assert str(refused.value).endswith(told)
    assert ("python build" in str(refused.value) or "kaggle models" in str(refused.value)) == bool(told)
    with pytest.raises(BadInput) as again:
        layout_name(Path(name))
    assert str(again.value) == str(refused.value), "with and without a preset"
