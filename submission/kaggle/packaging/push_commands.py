"""The commands of Kaggle's command line that upload a bundle and submit it. They are printed; nothing is uploaded."""

from __future__ import annotations

import shlex
from pathlib import Path

from submission.kaggle.packaging.image import ACCELERATORS
from submission.kaggle.packaging.metadata import CLOSED, NO_COMPETITION, Names

INSTALL = """\
# Once: pip install 'kaggle>=2' six, then kaggle auth login. (six: kaggle 2.2.5 imports it and does not require it.)
"""


def commands(folder: Path, names: Names) -> str:
    """The commands in order, with comments on what Kaggle does silently."""
    whole = [INSTALL, _join(names), _datasets(folder), model_calls(folder, names), _push(folder, names)]
    return "\n".join(filter(None, [*whole, _submit(names)]))


def _join(names: Names) -> str:
    if names.competition == NO_COMPETITION:
        return "# No competition: nothing to join and nothing to submit; the score is in the log.\n"
    page = f"https://www.kaggle.com/competitions/{names.competition}"
    joined = f"# Join the competition: only participants get its tasks and its L4 x4 machines.\n# {page}\n"
    if when := CLOSED.get(names.competition):
        joined += (
            f"# It closed {when}. If its page offers late submissions, they get a score but no place; else bundle\n"
            f"# again with --competition NAME of an open one, or with --competition {NO_COMPETITION}.\n"
        )
    return joined


def _datasets(folder: Path) -> str:
    code, wheels = (shlex.quote(str(folder / part)) for part in ("code", "wheels"))
    return f"""\
# The data sets. Without `-r zip` folders are silently left out.
# Later versions: kaggle datasets version -p FOLDER -r zip -m WHAT_IS_NEW
kaggle datasets create -p {code} -r zip
kaggle datasets create -p {wheels} -r zip
"""


def _push(folder: Path, names: Names) -> str:
    shape, notebook = ACCELERATORS[names.accelerator], shlex.quote(str(folder / "notebook"))
    read_back = "dataset_sources and model_sources must be complete"
    if shape:
        read_back = (
            f'a machine_shape that you may not use silently becomes\n# another. It must be "{shape}", and {read_back}'
        )
    quota = "two GPU sessions at a time, about 30 hours a week" + quota_note(names)
    return f"""\
# Both must be ready before the notebook is pushed.
kaggle datasets status {names.code}
kaggle datasets status {names.wheels}

# The notebook. Pushing it runs it once, {f"on {shape}" if shape else "without a GPU"}{_first_run(names)}.
# The exit status is 0 even where Kaggle refuses (an unknown source, a quota): look for
# "Kernel version N successfully pushed". No -t: a time limit set here would also limit the scored rerun.
kaggle kernels push -p {notebook}{f" --accelerator {shape}" if shape else ""}

# Read back what was granted: {read_back}.
kaggle kernels pull {names.notebook} -p /tmp/{names.name} -m && cat /tmp/{names.name}/kernel-metadata.json

# Wait for "complete", then read the log.{f" Quota: {quota}." if shape else ""}
kaggle kernels status {names.notebook}
kaggle kernels logs {names.notebook}

# Its output, with all candidates: python -m submission score /tmp/{names.name}-output{_run_folder(names)} --revote RULE
kaggle kernels output {names.notebook} -p /tmp/{names.name}-output
"""


def _first_run(names: Names) -> str:
    return "" if names.competition == NO_COMPETITION else ", for ten minutes at most"


def _run_folder(names: Names) -> str:
    return "" if names.competition == NO_COMPETITION else "/canary"


def _submit(names: Names) -> str:
    if names.competition == NO_COMPETITION:
        return ""
    return f"""\
# Submit version N: one submission a day. -f is the name of the output file.
kaggle competitions submit {names.competition} -k {names.notebook} -v N -f submission.json -m MESSAGE
kaggle competitions submissions {names.competition}
"""


def model_calls(folder: Path, names: Names) -> str:
    """The calls that upload the model of a bundle, or that list the files of one on Kaggle; "" for the embedded one."""
    if names.model_source is not None:
        return f"""
# The model is on Kaggle already. Its files must be a config.json, safetensors and, if the model has one, the tokenizer.
# Where its page asks you to agree to a licence, do so first. A commit run for which no model is mounted fails.
kaggle models variations versions files {names.model_source}
"""
    if names.model_version is None:
        return ""
    weights = shlex.quote(str(folder / "model" / "weights"))
    return f"""
# The model. Later versions: kaggle models variations versions create {names.model} -p {weights} -n WHAT_IS_NEW
# and then `python build.py bundle ... --model-version N`: the notebook names the model version that it runs.
kaggle models create -p {shlex.quote(str(folder / "model"))}
kaggle models variations create -p {weights} -r zip
"""


def quota_note(names: Names) -> str:
    """How the machine counts against the weekly quota, where that is not one to one."""
    return "; an hour on L4 x4 counts twice" if names.accelerator == "l4x4" else ""
