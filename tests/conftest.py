"""Small things that many tests share: tiny models with random weights, saved as real checkpoints, and tiny tasks."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # Tiny models run fastest on one thread: of processes of the tests too.

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from submission.arc.tasks import Pair, Task, grid  # noqa: E402
from submission.training.corpus import Corpus, Family  # noqa: E402


def pytest_collection_finish() -> None:
    """Keep the collector from what was imported, which lives as long as the tests: it took 0.3 s at each collection."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what is captured of names that are not UTF-8: a report is sent from one process to another."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models run fastest on one thread."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def reduced_sums() -> Generator[None]:
    """torch's own setting for the sums of float16 products on GPUs; afterwards it is as it was."""
    import torch

    matmul = torch.backends.cuda.matmul
    before = matmul.allow_fp16_reduced_precision_reduction
    matmul.allow_fp16_reduced_precision_reduction = True
    yield
    matmul.allow_fp16_reduced_precision_reduction = before


@pytest.fixture(scope="session", autouse=True)
def float32_on_the_cpu() -> Generator[None]:
    """In this process "auto", of a run and of a training, is float32, whatever is faster here: tests compare digits."""
    from submission.model import loading
    from submission.training import precision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "cpu_speedup", lambda: 1.0)
        patch.setattr(precision, "speedup", lambda work: 1.0)
        yield


@pytest.fixture(scope="session")
def tiny_grid_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GridLM of 2 blocks with random weights, as a checkpoint folder."""
    from submission.model.grid_lm import fresh

    folder = tmp_path_factory.mktemp("gridlm")
    fresh(hidden=64, layers=2, seed=1).save_pretrained(folder)
    return folder


@pytest.fixture
def grid_model(tiny_grid_model: Path) -> Any:
    """The same in memory, with answers that are neither sure nor without end: see `exact_search.decided`."""
    from submission.model.grid_lm import GridLM
    from tests.support.exact_search import decided

    return decided(GridLM.from_pretrained(tiny_grid_model))


@pytest.fixture(
    scope="session", params=["llama", *(pytest.param(each, marks=pytest.mark.slow) for each in ("mistral", "qwen3"))]
)
def tiny_line_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock causal language model of 2 blocks over the 16 ids of chat16, with random weights; by default a Llama."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        request.param, vocab_size=16, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=4096, pad_token_id=13, bos_token_id=14,
        eos_token_id=15, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = AutoModelForCausalLM.from_config(config)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def copying() -> Corpus:
    """Four families and a held-out one whose outputs are their inputs: the easiest rule there is."""

    def family(name: str, seed: int) -> Family:
        rng = np.random.default_rng(seed)
        inputs = [grid(rng.integers(0, 3, (2, 2))) for _ in range(8)]
        return Family(name, tuple(Pair(each, each) for each in inputs), 1.0)

    return Corpus(tuple(family(f"train{k}", k) for k in range(4)), (family("held out", 9),), {}, 5)


@pytest.fixture
def small_task() -> Task:
    """Turn each grid upside down; three demonstrations of 2x3 cells, two test inputs."""
    rng = np.random.default_rng(5)
    inputs = [grid(rng.integers(0, 10, (2, 3))) for _ in range(5)]
    pairs = tuple(Pair(each, grid(each[::-1])) for each in inputs[:3])
    return Task("small", pairs, tuple(inputs[3:]))


@pytest.fixture(scope="session")
def copying_model(tmp_path_factory: pytest.TempPathFactory, copying: Corpus) -> Path:
    """A GridLM of one block that has learned, more or less, to copy small grids: its answers end."""
    from submission.training.pretrain import pretrain
    from submission.training.settings import Pretraining

    folder = tmp_path_factory.mktemp("copying")
    settings = Pretraining(
        steps=150, hidden=64, layers=1, tokens=512, limit=100, warmup=5, new_rules=0.0, dtype="float32"
    )
    pretrain(settings, lambda: copying, folder)
    return folder / "model"
