"""A model of an 8B's true shape with random weights in NF4, see `synthetic_checkpoint`, put to work on a CPU.

    python -m tests.support.large_shapes --out DIR --layers 2 --run   # true width, two blocks
    python -m tests.support.large_shapes --out DIR --run              # all 32 blocks: 4 GB on disk, not in pytest

The vocabulary is that of layout architects. `--run` loads it, trains one step, searches a few tokens, and checks that
everything is forgotten bit for bit.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

from submission.arc.prompts import prompt, row
from submission.arc.tasks import Pair, grid
from submission.arc.views import identity
from submission.benchmarks.synthetic_checkpoint import build
from submission.config import Adapt, Model, Search
from submission.deadline import NEVER
from submission.solver.engine import Question
from tests.support.engines import loaded
from tests.support.layouts import ARCHITECTS


def work(folder: Path, dtype: str) -> None:
    """Load, one step, a few tokens of search, forget; prints what each took, and asserts what has to hold."""
    rng = np.random.default_rng(0)
    pairs = [Pair(each, grid(each[::-1])) for each in (grid(rng.integers(0, 10, (5, 5))) for _ in range(3))]

    def tell(name: str, value: float) -> None:
        print(f"{name:14} {value:.4g}", flush=True)

    began = time.perf_counter()
    model = Model(device="cpu", dtype=dtype, context=2048)  # type: ignore[arg-type]
    engine = loaded(folder, model, Adapt(rank=32), Search(megabytes=600))
    tell("load s", time.perf_counter() - began)
    question = Question(identity(3), prompt(engine.layout, pairs[:2], pairs[2].input, 2000))
    lesson = row(engine.layout, pairs, 2000)
    tell("row tokens", len(lesson.ids))
    tell("prompt tokens", len(question.prompt.ids))

    def first_token() -> tuple[list[float], float]:
        began = time.perf_counter()
        forest = engine.forest([question])
        forest.evaluate({0: [()]}, NEVER)
        said = forest.roots[0].log_p
        assert said is not None and np.isfinite(said).all()
        return said.tolist(), time.perf_counter() - began

    before, seconds = first_token()
    tell("prompt s", seconds)
    fit = engine.adapt([lesson], NEVER, 0)
    assert fit.steps == 1 and np.isfinite(fit.losses[0])
    tell("step s", fit.seconds)
    tell("loss", fit.losses[0])
    after, _ = first_token()
    assert after != before, "the step has changed the model"

    answer = tuple(engine.layout.answer(pairs[2].output).tolist())
    forest = engine.forest([question])
    forest.evaluate({0: [()]}, NEVER)
    began = time.perf_counter()
    forest.evaluate({0: [answer[:1]]}, NEVER)
    tell("one token s", time.perf_counter() - began)
    began = time.perf_counter()
    forest.evaluate({0: [answer[:-1]]}, NEVER)
    tell("draft tokens", len(answer) - 2)
    tell("draft s", time.perf_counter() - began)
    engine.forget()
    again, _ = first_token()
    assert again == before, "forgotten bit for bit"
    tell("peak RSS GB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.large_shapes", description="An 8B's shape, on a CPU."
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32", "float16"])
    parser.add_argument("--run", action="store_true", help="load it and work with it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.out.exists():
        began = time.perf_counter()
        build(options.out, options.layers, ARCHITECTS)
        size = sum(path.stat().st_size for path in options.out.iterdir())
        print(f"built {options.layers} blocks, {size / 1e9:.2f} GB, in {time.perf_counter() - began:.0f} s")
    if options.run:
        work(options.out, options.dtype)


if __name__ == "__main__":
    main()
