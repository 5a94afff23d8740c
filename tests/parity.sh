#!/bin/sh
# The model's tests with the library versions of Kaggle's image (v170), torchao 0.10 included.
#
#     sh tests/parity.sh FOLDER [PYTEST ARGUMENTS]
#
# Makes a virtual environment in FOLDER, once, whose packages stand before those of the python that runs this: torch and
# bitsandbytes, whose CUDA builds are too large to fetch for a test on a CPU, are taken from there.
set -eu
venv=$1
shift
cd "$(dirname "$0")/.."
if [ ! -x "$venv/bin/python" ]; then
    python -m venv "$venv"
    "$venv/bin/pip" install --quiet transformers==5.0.0 numpy==2.0.2 tokenizers==0.22.2 safetensors==0.7.0 \
        huggingface_hub==1.11.0
    "$venv/bin/pip" install --quiet --no-deps peft==0.19.1 accelerate==1.13.0 torchao==0.10.0
    python -c "import site; print(site.getsitepackages()[0])" > "$("$venv/bin/python" -c \
        "import site; print(site.getsitepackages()[0])")/zz-the-rest.pth"
fi
"$venv/bin/python" -c "
from importlib.metadata import version
for name in 'torch transformers peft accelerate numpy tokenizers safetensors torchao bitsandbytes'.split():
    print(name, version(name))"
[ $# -gt 0 ] || set -- tests/model tests/inference tests/cli/test_preflight.py tests/benchmarks/test_forecast.py
PYTHONPATH=$PWD exec "$venv/bin/python" -m pytest "$@"
