"""The entry on Kaggle and on a laptop: `python kernel_main.py [OPTIONS]` is `python -m submission run [OPTIONS]`.

The package runs as a child process, so that nothing it does to its memory or its GPU can take this file down.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the package with this command line; returns its exit status."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**offline, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    child = subprocess.Popen([sys.executable, "-m", "submission", "run", *sys.argv[1:]], env=environment)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # The child has been interrupted too; it writes what it has, then ends.


if __name__ == "__main__":
    sys.exit(main())
