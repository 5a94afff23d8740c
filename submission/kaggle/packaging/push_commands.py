"""The commands of Kaggle's command line that upload a bundle and submit it. They are printed; nothing is uploaded."""

from __future__ import annotations

import shlex
from pathlib import Path

from submission.kaggle.packaging.image import ACCELERATORS
from submission.kaggle.packaging.metadata import Names


def commands(folder: Path, names: Names) -> str:
    """The commands in order, with comments on what Kaggle does silently."""
    folders = {part: shlex.quote(str(folder / part)) for part in ("code", "wheels", "model", "notebook")}
    weights = shlex.quote(str(folder / "model" / "weights"))
    shape = ACCELERATORS[names.accelerator]
    model = f"""
# The model. Later versions: kaggle models variations versions create {names.model} -p {weights} -n WHAT_IS_NEW
# and then `python build.py bundle ... --model-version N`: the notebook names the model version that it runs.
kaggle models create -p {folders["model"]}
kaggle models variations create -p {weights} -r zip
"""
    return f"""\
# Once: pip install 'kaggle>=2', kaggle auth login, and join the competition on its page: only participants get its
# tasks and its L4 x4 machines.

# The data sets. Without `-r zip` folders are silently left out.
# Later versions: kaggle datasets version -p FOLDER -r zip -m WHAT_IS_NEW
kaggle datasets create -p {folders["code"]} -r zip
kaggle datasets create -p {folders["wheels"]} -r zip
{model if names.model_version is not None else ""}
# Both must be ready before the notebook is pushed.
kaggle datasets status {names.code}
kaggle datasets status {names.wheels}

# The notebook. Pushing it runs it once, on {shape}, for ten minutes at most.
# The exit status is 0 even where Kaggle refuses (an unknown source, a quota): look for
# "Kernel version N successfully pushed". No -t: a time limit set here would also limit the scored rerun.
kaggle kernels push -p {folders["notebook"]} --accelerator {shape}

# Read back what was granted: a machine_shape that you may not use silently becomes a P100, which torch cannot use.
# "machine_shape" must still be "{shape}", and dataset_sources and model_sources must be complete.
kaggle kernels pull {names.notebook} -p /tmp/{names.name} -m && cat /tmp/{names.name}/kernel-metadata.json

# Wait for "complete", then read the log. Quota: two GPU sessions at a time, about 30 hours a week{quota_note(names)}.
kaggle kernels status {names.notebook}
kaggle kernels logs {names.notebook}

# Submit version N: one submission a day. -f is the name of the output file.
kaggle competitions submit {names.competition} -k {names.notebook} -v N -f submission.json -m MESSAGE
kaggle competitions submissions {names.competition}
"""


def quota_note(names: Names) -> str:
    """How the machine counts against the weekly quota, where that is not one to one."""
    return "; an hour on L4 x4 counts twice" if names.accelerator == "l4x4" else ""
