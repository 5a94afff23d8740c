"""The Kaggle drill, short: a bundle's own notebook ends with a complete submission, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from submission.arc.task_files import read_challenges
from submission.errors import BadInput
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.metadata import Names
from submission.results import submission_file
from tests import drill


@pytest.mark.slow
def test_the_notebook_of_a_bundle_hands_in_a_complete_submission_without_a_network(tmp_path: Path) -> None:
    if not drill.can_isolate(tmp_path / "probe"):
        pytest.skip("this machine permits no network namespaces (unshare --user --net)")
    try:
        bundle(Names("someone"), tmp_path / "bundle", Profile("native"), None, None)
    except BadInput as error:
        pytest.skip(f"the wheels are not here and cannot be downloaded: {error}")
    drill.mounted(tmp_path / "bundle", tmp_path / "kaggle", "by kind", 5)
    machine = drill.Machine(tmp_path / "kaggle", drill.image(tmp_path))
    notebook = tmp_path / "bundle" / "notebook" / "arc-submission.ipynb"
    done = drill.run(machine, notebook, drill.surroundings(machine, 0.6, scored=True), timeout=300)
    assert done.returncode == 0, done.stdout
    assert "this is the scored rerun" in done.stdout
    assert "bitsandbytes==0.50.2" in done.stdout
    assert "removed torchao 0.10.0" in done.stdout
    assert list(machine.python.parent.parent.rglob("libbitsandbytes_cpu.so")), "the wheel came from the bundle"
    assert "Traceback" not in done.stdout
    asked = read_challenges(next(machine.root.rglob(drill.TEST_FILE)))
    assert submission_file.check(json.loads(machine.submission.read_text()), asked) == []
    assert json.loads((machine.root / "working" / "summary.json").read_text())["tasks"] == 5
