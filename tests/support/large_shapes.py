"""A model of an 8B's true shape with random weights in NF4, built block by block in little memory, and put to work.

    python -m tests.support.large_shapes --out DIR --layers 2 --run   # true width, two blocks
    python -m tests.support.large_shapes --out DIR --run              # all 32 blocks: 4 GB on disk, not in pytest

The folder is what bitsandbytes and transformers write themselves for Llama 3.1 8B, its vocabulary cut to layout
architects: uint8 weights with their nested scales, one file a block. `--run` loads it, trains one step, searches a few
tokens, and checks that everything is forgotten bit for bit.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import bitsandbytes
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from submission.arc.layouts import Layout, described, vocabulary
from submission.arc.prompts import prompt, row
from submission.arc.tasks import Pair, grid
from submission.arc.views import identity
from submission.checkpoint.config_json import validated
from submission.config import Adapt, Model, Search
from submission.deadline import NEVER
from submission.model.memory_plan import Shape, read_shape
from submission.solver.engine import Question
from tests.support.engines import loaded
from tests.support.families import LLAMA3_ROPE
from tests.support.layouts import ARCHITECTS

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_parameters": LLAMA3_ROPE,
    "tie_word_embeddings": False, "dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": ["lm_head"],
    },
}  # fmt: skip


def build(out: Path, layers: int, layout: Layout = ARCHITECTS) -> None:
    """Write the checkpoint, one block in memory at a time, with the vocabulary of this layout."""
    config = CONFIG | {
        "num_hidden_layers": layers, "vocab_size": vocabulary(layout)[-1] + 1, "pad_token_id": layout.pad,
        "bos_token_id": (layout.opening or layout.input_open)[0], "eos_token_id": layout.answer_close[-1],
        "arc_layout": described(layout),
    }  # fmt: skip
    shape = read_shape(validated(config, out / "config.json"), quantized=True)
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config, indent=2))
    places: dict[str, str] = {}
    torch.manual_seed(0)
    first = dict(block(shape))
    for k in range(layers):
        tensors = {f"model.layers.{k}.{name}": turned(tensor, k) for name, tensor in first.items()}
        name = f"model-{k + 1:05}-of-{layers + 1:05}.safetensors"
        save_file(tensors, out / name, {"format": "pt"})
        places |= dict.fromkeys(tensors, name)
    ends = {
        name: torch.randn(shape.vocabulary, shape.hidden, dtype=torch.bfloat16) * 0.02
        for name in ("model.embed_tokens.weight", "lm_head.weight")
    } | {"model.norm.weight": torch.ones(shape.hidden, dtype=torch.bfloat16)}
    name = f"model-{layers + 1:05}-of-{layers + 1:05}.safetensors"
    save_file(ends, out / name, {"format": "pt"})
    places |= dict.fromkeys(ends, name)
    size = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))


def turned(tensor: Tensor, k: int) -> Tensor:
    """Other random weights of the same kind, without quantizing anew: the 4-bit codes shifted by a prime a block."""
    return tensor.roll(4099 * k, 0) if tensor.dtype == torch.uint8 and tensor.ndim == 2 else tensor.clone()


def block(shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a block, as a 4-bit checkpoint names them within it."""
    hidden, inner, queries, keys = shape.hidden, shape.intermediate, shape.queries, shape.keys
    sizes = {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }  # fmt: skip
    for name, size in sizes.items():
        weight = torch.randn(size, dtype=torch.float32).mul_(0.02).to(torch.bfloat16)
        packed, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        yield f"{name}.weight", packed
        for key, value in state.as_dict(packed=True).items():
            yield f"{name}.weight.{key}", value.contiguous()
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"{name}.weight", torch.ones(hidden, dtype=torch.bfloat16)


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
        build(options.out, options.layers)
        size = sum(path.stat().st_size for path in options.out.iterdir())
        print(f"built {options.layers} blocks, {size / 1e9:.2f} GB, in {time.perf_counter() - began:.0f} s")
    if options.run:
        work(options.out, options.dtype)


if __name__ == "__main__":
    main()
