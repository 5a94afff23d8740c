"""The entry: a complete blank first, one sentence for whatever goes wrong after it, and a child that always ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import kernel_main
from submission.arc.task_files import read_challenges, read_tasks
from submission.kaggle import prepare
from submission.kaggle.packaging.bundle import write_code
from submission.kaggle.packaging.metadata import Names
from submission.results import submission_file
from tests import drill
from tests.support.fake_gpus import BROKEN, program
from tests.support.kaggle_inputs import TASK, asked, attach, wheelhouse

ROOT = Path(kernel_main.__file__).parent


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data sets of a bundle whose one wheel is a small one, and an image to install it into."""
    folder = tmp_path_factory.mktemp("parts")
    write_code(folder / "bundle" / "code", Names("someone"))
    wheelhouse(folder / "bundle" / "wheels")
    drill.image(folder)
    return folder


def attached(parts: Path, folder: Path, layout: str = "by kind") -> drill.Machine:
    drill.mounted(parts / "bundle", folder, layout, 6)
    return drill.Machine(folder, parts / "venv" / "bin" / "python")


def the(machine: drill.Machine, name: str) -> Path:
    """The one file or folder of this name among a machine's inputs."""
    return next((machine.root / "input").rglob(name))


def check(machine: drill.Machine, path: str | None = None, scored: bool = False) -> subprocess.CompletedProcess[str]:
    """The entry's preparation, up to the moment before a child starts, or the sentence that ends it."""
    environment = drill.surroundings(machine, 1.0, scored) | ({"PATH": path} if path else {})
    words = [machine.python, the(machine, "kernel_main.py"), "check"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, cwd=machine.root / "working")


def assert_blank(machine: drill.Machine) -> None:
    tasks = read_challenges(the(machine, drill.TEST_FILE))
    submission = json.loads(machine.submission.read_text())
    assert submission == submission_file.blank(tasks)


# -- the blank ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", drill.LAYOUTS)
def test_the_tasks_are_found_however_they_are_mounted_and_the_blank_is_complete(
    layout: str, parts: Path, tmp_path: Path
) -> None:
    machine = attached(parts, tmp_path, layout)
    copy = the(machine, "code_manifest.json").parent / drill.TEST_FILE
    copy.write_text("{}")  # A copy in a data set is not what is asked.
    asked = kernel_main.write_blank(tmp_path / "input", machine.submission)
    copy.unlink()
    assert asked == the(machine, drill.TEST_FILE)
    assert_blank(machine)
    assert [path.name for path in machine.submission.parent.iterdir()] == ["submission.json"]


def test_odd_tasks_do_not_take_the_blank_of_the_others_with_them(tmp_path: Path) -> None:
    test = [{"input": [[1]]}] * 2
    bodies = {
        "good": {"train": [], "test": test}, "null": None, "list": [], "no test": {}, "object": {"test": {"a": 1}},
        "empty": {"test": []}, "": {"test": test}, "../x": {"test": test},
    }  # fmt: skip
    tasks = asked(tmp_path / "input", bodies)
    assert kernel_main.write_blank(tmp_path / "input", tmp_path / "submission.json") == tasks
    blank = json.loads((tmp_path / "submission.json").read_text())
    assert {name: len(each) for name, each in blank.items()} == {
        **dict.fromkeys(bodies, 1), "good": 2, "": 2, "../x": 2
    }  # fmt: skip
    assert {name: bad.tests for name, bad in read_tasks(asked(tmp_path, {**bodies, "ok": TASK})).bad.items()} == {
        name: len(each) for name, each in blank.items()
    }, "as many as the run leaves blank"
    for content in (b"[" * 100_000, b"[1]", b"{", b"5"):
        tasks.write_bytes(content)
        with pytest.raises(ValueError, match="is not a file of tasks"):
            kernel_main.write_blank(tmp_path / "input", tmp_path / "submission.json")


def test_the_blank_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import kernel_main; "
        "assert not {'numpy', 'submission', 'torch'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-S", "-I", "-c", program, ROOT]).returncode == 0


# -- what may be wrong: one sentence, and the blank stays --------------------------------------------------------


def spoil_wheel(machine: drill.Machine) -> None:
    wheel = the(machine, "small_thing-1.0-py3-none-any.whl")
    wheel.write_bytes(wheel.read_bytes() + b" ")


def cut_weights(machine: drill.Machine) -> None:
    weights = the(machine, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100_000])


FAULTS: dict[str, tuple[Callable[[drill.Machine], object], str]] = {
    "another wheel": (spoil_wheel, "upload the wheels again"),
    "a missing wheel": (lambda m: the(m, "small_thing-1.0-py3-none-any.whl").unlink(), "upload the wheels again"),
    "no wheels": (lambda m: shutil.rmtree(the(m, "wheels_manifest.json").parent), "attach the wheels"),
    "weights cut off": (cut_weights, "upload the model again"),
    "edited code": (lambda m: the(m, "solve.py").write_text(""), "upload the code again"),
    "no folders": (lambda m: shutil.rmtree(the(m, "submission")), "No module named 'submission'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_in_one_sentence_and_the_blank_stays(fault: str, parts: Path, tmp_path: Path) -> None:
    spoil, words = FAULTS[fault]
    machine = attached(parts, tmp_path)
    spoil(machine)
    done = check(machine)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert_blank(machine)


def test_a_bug_ends_with_its_traceback_and_the_blank_stays(parts: Path, tmp_path: Path) -> None:
    """A ValueError is bad input only where the package says so."""
    machine = attached(parts, tmp_path)
    manifests = the(machine, "manifests.py")
    manifests.write_text(manifests.read_text() + "\n\ndef sha256(path: Path) -> str:\n    raise ValueError('a bug')\n")
    done = check(machine)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and done.stderr.endswith("ValueError: a bug\n")
    assert_blank(machine)


def test_a_failing_nvidia_smi_with_a_model_attached_ends_the_commit_run_in_one_sentence(
    parts: Path, tmp_path: Path
) -> None:
    machine = attached(parts, tmp_path / "kaggle")
    attach(machine.root / "input")
    done = check(machine, program(tmp_path, f'echo "{BROKEN}"; exit 9')["PATH"])
    assert done.returncode == 2
    assert f"needs a GPU, but nvidia-smi failed with exit status 9: {BROKEN}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert_blank(machine)


@pytest.mark.slow
def test_what_is_only_doubtful_does_not_stop_the_run_that_counts(parts: Path, tmp_path: Path) -> None:
    machine = attached(parts, tmp_path)
    the(machine, "solve.py").write_text("")
    done = check(machine, scored=True)
    assert "this is the scored rerun" in done.stdout
    assert "solve.py: is not the file" in done.stdout
    assert "small-thing==1.0" in done.stdout


def test_a_p100_is_refused_in_one_sentence_and_the_blank_stays(parts: Path, tmp_path: Path) -> None:
    machine = attached(parts, tmp_path / "kaggle")
    done = check(machine, drill.nvidia_smi(tmp_path, "Tesla P100-PCIE-16GB, 16384, 6.0\n")["PATH"])
    assert done.returncode == 2
    assert "P100" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert_blank(machine)


@pytest.mark.parametrize("content", [None, "{", "5", "[1]"])
def test_without_readable_tasks_there_is_one_sentence(content: str | None, parts: Path, tmp_path: Path) -> None:
    machine = attached(parts, tmp_path)
    the(machine, drill.TEST_FILE).unlink() if content is None else the(machine, drill.TEST_FILE).write_text(content)
    done = check(machine)
    assert done.returncode == 2
    assert drill.TEST_FILE in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_full_disk_is_told_in_one_sentence_and_the_file_before_stays_whole(parts: Path, tmp_path: Path) -> None:
    if not drill.can_isolate(tmp_path / "probe"):
        pytest.skip("this machine permits no namespaces, and so no small disk to fill")
    machine = attached(parts, tmp_path / "kaggle")
    working = machine.root / "working"
    program = (
        'mount -t tmpfs -o size=8k none "$0" && cd "$0" && echo \'{"old": 1}\' > submission.json; '
        '! head -c 9000 /dev/zero > fill 2> /dev/null; "$@"; echo "status $?"; cat submission.json'
    )
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", program, working, machine.python]
    environment = drill.surroundings(machine, 1.0, scored=False)
    done = subprocess.run(
        [*words, the(machine, "kernel_main.py"), "check"], env=environment, capture_output=True, text=True
    )
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == 'status 2\n{"old": 1}\n'


@pytest.mark.slow
def test_all_that_is_right_goes_on_to_the_child(parts: Path, tmp_path: Path) -> None:
    """The image of this test has no bitsandbytes, so that the child can do no more than begin."""
    machine = attached(parts, tmp_path)
    done = check(machine)
    assert "nothing is scored: 4 tasks" in done.stdout
    assert "small-thing==1.0" in done.stdout
    assert "the embedded one runs" in done.stdout
    assert_blank(machine)


# -- the child ---------------------------------------------------------------------------------------------------

DEAF = """
import os, signal, sys, time
def heard(*_):
    open("asked", "w").close()
    if "deaf" not in sys.argv:
        sys.exit(7)
signal.signal(signal.SIGTERM, heard)
open("began.part", "w").write(" ".join(sys.argv[1:]))
os.rename("began.part", "began")
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the entry and a package that works for ever, and ends when asked to, or not even then."""
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "__init__.py").touch()  # Or the real package, later on the path, would come before it.
    (tmp_path / "submission" / "__main__.py").write_text(DEAF)
    shutil.copyfile(ROOT / "kernel_main.py", tmp_path / "kernel_main.py")
    monkeypatch.setattr(kernel_main, "HERE", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def own_handler() -> object:
    """The entry sets a handler of SIGTERM; here it is put back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def a_while() -> float:
    """Seconds in which a child has begun, on this machine, as busy as it is."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import os, signal, sys, time"], check=True)
    return 1.0 + 4 * (time.monotonic() - began)


def test_a_child_beyond_its_time_is_asked_to_end(deaf: Path) -> None:
    assert kernel_main.child(["run"], os.environ, seconds=a_while()) == 7


def test_a_child_that_does_not_end_when_asked_is_killed(deaf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_main, "GRACE", a_while() / 4)
    assert kernel_main.child(["run", "deaf"], os.environ, seconds=a_while()) == -signal.SIGKILL
    assert (deaf / "asked").exists()


def test_off_kaggle_the_options_and_a_signal_are_passed_on(deaf: Path) -> None:
    environment = {**os.environ, "ARC_KAGGLE_ROOT": str(deaf / "nowhere")}
    entry = subprocess.Popen([sys.executable, deaf / "kernel_main.py", "--tasks", "3"], env=environment)
    until = time.monotonic() + 120
    while not (deaf / "began").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    entry.terminate()
    assert entry.wait(120) == 7
    assert (deaf / "began").read_text() == "run --preset laptop --tasks 3"


def test_the_run_of_the_entry_is_bounded_by_the_plan(deaf: Path, tmp_path: Path) -> None:
    """The hard end of a plan is the time that its child gets."""
    now = time.monotonic()
    begun = prepare.KagglePlan(
        tmp_path / "t", tmp_path / "s", tmp_path, tmp_path, "laptop", (), now, now + a_while(), {}, ()
    )
    status = prepare.run_with_restarts(begun, lambda words, left: kernel_main.child(words, os.environ, left))
    assert status == 7
