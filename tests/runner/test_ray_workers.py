"""The same run over a cluster: the same answers, and a node that is lost costs its running tasks one retry."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from submission.config import with_changes
from submission.errors import BadInput
from submission.results import submission_file
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Loader

PATIENT = with_changes(SCRIPTED, ["time.loading_timeout=60"])

ray = pytest.importorskip("ray", reason="ray, an optional extra, is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of two nodes with two CPUs each, on this machine."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_run_over_two_nodes_of_which_one_is_lost(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=2)
    tasks, solutions = copies(12)
    job = RunSpec(
        tmp_path / "out", tmp_path, PATIENT, workers=4, ray=cluster.address, load=Loader(pause=0.3), seconds=None
    )

    def kill_when_under_way() -> None:
        while len(list((tmp_path / "out" / "journal").glob("*.json"))) < 2:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)

    threading.Thread(target=kill_when_under_way, daemon=True).start()
    summary = run(job, tasks, solutions)
    assert summary["solved_tasks"] == 12
    notes = [record["notes"] for record in records(tmp_path / "out")]
    assert any("lost" in note for each in notes for note in each)
    assert max(map(len, notes)) == 1, "one retry each"

    alone = RunSpec(tmp_path / "alone", tmp_path, SCRIPTED, workers=2, load=Loader())
    run(alone, tasks, solutions)
    written = [(tmp_path / name / "submission.json").read_bytes() for name in ("out", "alone")]
    assert written[0] == written[1]
    assert submission_file.check(json.loads(written[0]), tasks) == []


def test_an_address_where_there_is_no_cluster_is_bad_input(tmp_path: Path) -> None:
    job = RunSpec(tmp_path / "out", tmp_path, SCRIPTED, workers=1, ray="127.0.0.1:1", load=Loader())
    with pytest.raises(BadInput, match="no cluster answers there"):
        run(job, copies(1)[0], None)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((out / "journal").glob("*.json"))]
