"""The calls of Kaggle's command line that bring a bundle there. They are printed: nothing here goes on the network."""

from __future__ import annotations

import shlex
from pathlib import Path

from submission.kaggle.packaging.image import ACCELERATORS
from submission.kaggle.packaging.metadata import Names


def commands(folder: Path, names: Names) -> str:
    """The calls, in order, with what Kaggle does not say when it refuses."""
    at = {part: shlex.quote(str(folder / part)) for part in ("code", "wheels", "model", "notebook")}
    weights = shlex.quote(str(folder / "model" / "weights"))
    shape = ACCELERATORS[names.accelerator]
    model = f"""
# The model. Later versions: kaggle models variations versions create {names.model} -p {weights} -n WHAT_IS_NEW
# and then `python build.py bundle ... --model-version N`: the notebook names the version that it runs with.
kaggle models create -p {at["model"]}
kaggle models variations create -p {weights} -r zip
"""
    return f"""\
# Once: pip install 'kaggle>=2', kaggle auth login, and join the competition on its page: its machines and its
# tasks are for participants.

# The data sets. `-r zip` is not the default, and without it folders are left out in silence.
# Later versions: kaggle datasets version -p FOLDER -r zip -m WHAT_IS_NEW
kaggle datasets create -p {at["code"]} -r zip
kaggle datasets create -p {at["wheels"]} -r zip
{model if names.model_version is not None else ""}
# Both must be ready before the notebook is pushed.
kaggle datasets status {names.code}
kaggle datasets status {names.wheels}

# The notebook: this runs it, on {ACCELERATORS[names.accelerator]}, for ten minutes at most once it has started.
# The exit status is 0 even where Kaggle refuses (a source it does not know, a quota): read for
# "Kernel version N successfully pushed". No -t: a time limit set here would hold for the scored run as well.
kaggle kernels push -p {at["notebook"]} --accelerator {shape}

# Read back what was granted: a machine_shape that you may not use silently becomes a P100, which is of no use here.
# "machine_shape" must still be "{shape}", and dataset_sources and model_sources must be complete.
kaggle kernels pull {names.notebook} -p /tmp/{names.name} -m && cat /tmp/{names.name}/kernel-metadata.json

# Wait for "complete", then read the log. Two GPU sessions at a time, about 30 hours a week{shape_costs(names)}.
kaggle kernels status {names.notebook}
kaggle kernels logs {names.notebook}

# Submit version N: one submission a day. -f is the name of the output file.
kaggle competitions submit {names.competition} -k {names.notebook} -v N -f submission.json -m MESSAGE
kaggle competitions submissions {names.competition}
"""


def shape_costs(names: Names) -> str:
    """What is worth knowing of a machine's price."""
    return "; an hour on L4 x4 counts twice" if names.accelerator == "l4x4" else ""
