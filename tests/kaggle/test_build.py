"""The bundle: the same bytes each time, checked to the last file; wheels that fit; models in safetensors only."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, sha256, wrong_files
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.bundle import bundle, digests
from submission.kaggle.packaging.image import OFFLINE_WHEELS, PROFILES, Image, Profile, misfit, platforms, read_image
from submission.kaggle.packaging.metadata import Names, kernel_metadata
from submission.kaggle.packaging.model_upload import prepared_model
from submission.kaggle.packaging.notebook import notebook
from submission.kaggle.packaging.push_commands import commands
from submission.kaggle.packaging.verify import verify
from tests.support.kaggle_inputs import weights, wheelhouse

ROOT = Path(build.__file__).parent
NAMES = Names("someone")
IMAGE = Image((3, 12), (2, 35), {})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the place of offline_wheels/: a profile "native" of one small wheel, locked and downloaded."""
    folder = tmp_path_factory.mktemp("home")
    wheel = wheelhouse(folder / "made")
    (folder / "native").mkdir()
    shutil.copyfile(wheel, folder / "native" / wheel.name)
    (folder / "native.lock").write_text(f"small-thing==1.0 --hash=sha256:{sha256(wheel)}\n")
    shutil.copyfile(OFFLINE_WHEELS / "image.txt", folder / "image.txt")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model folder, with things in it that must not travel."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text('{"model_type": "llama"}\n')
    (folder / "tokenizer.json").write_text("{}\n")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("print('code')\n")
    weights(folder / "model.safetensors", 1000)
    return folder


@pytest.fixture(scope="module")
def ready(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made ready."""
    return prepared_model(str(model), tmp_path_factory.mktemp("ready") / "model")


@pytest.fixture(scope="module")
def made(home: Path, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle with a model."""
    out = tmp_path_factory.mktemp("made") / "bundle"
    bundle(Names("someone", model_version=1), out, Profile("native", home), None, ready)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


# -- the bundle --------------------------------------------------------------------------------------------------


def test_a_bundle_is_right_as_it_is_made(made: Path, home: Path) -> None:
    assert verify(made, home) == ([], [])


def test_a_bundle_is_the_same_to_the_byte_under_other_clocks_masks_and_languages(
    made: Path, home: Path, ready: Path, tmp_path: Path
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from submission.kaggle.packaging.bundle import bundle; "
        "from submission.kaggle.packaging.image import Profile; "
        "from submission.kaggle.packaging.metadata import Names; os.umask(0o077); "
        "out, home, ready = map(Path, sys.argv[1:]); "
        "bundle(Names('someone', model_version=1), out, Profile('native', home), None, ready)"
    )
    other = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", program, tmp_path / "again", home, ready]
    subprocess.run(words, env={**os.environ, **other}, cwd=tmp_path, check=True)
    assert digests(tmp_path / "again") == digests(made)


def test_the_code_of_a_bundle_is_what_a_run_needs_and_nothing_else(made: Path) -> None:
    files = set(digests(made / "code"))
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "submission").rglob("*.py")}
    assert {path for path in files if path.endswith(".py")} == {"kernel_main.py"} | {
        path for path in package if not path.startswith("submission/kaggle/packaging/")
    }
    assert {"LICENSE", "submission/results/report.css", "submission/models/embedded/config.json"} <= files
    assert not [path for path in files if "__pycache__" in path or "trunk" in path or path.startswith("tests")]


def test_every_module_of_a_bundle_is_imported_from_the_bundle_alone(made: Path) -> None:
    modules = sorted(
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in digests(made / "code")
        if path.endswith(".py") and not path.endswith("__main__.py") and path != "submission/runner/ray_workers.py"
    )
    program = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "outside = [m.__file__ for n, m in sys.modules.items() if n.startswith('submission') and m.__file__]\n"
        "print(*{f for f in outside if not f.startswith(sys.argv[1])})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(made / "code")],
        cwd=made / "code", capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_metadata_has_internet_off_the_gpu_by_name_and_all_sources(made: Path) -> None:
    kernel = json.loads((made / "notebook" / "kernel-metadata.json").read_text())
    assert kernel["enable_internet"] is False
    assert kernel["machine_shape"] == "NvidiaL4"
    assert kernel["dataset_sources"] == ["someone/arc-submission-code", "someone/arc-submission-wheels"]
    assert kernel["model_sources"] == ["someone/arc-submission-model/Transformers/default/1"]
    assert kernel["competition_sources"] == ["arc-prize-2026-arc-agi-2"]
    assert kernel["title"] == kernel["id"].split("/")[1], "a title that makes another slug is a conflict"
    for part in ("code", "wheels"):
        metadata = json.loads((made / part / "dataset-metadata.json").read_text())
        assert 6 <= len(metadata["title"]) <= 50
        assert len(metadata["licenses"]) == 1
    assert kernel_metadata(Names("someone", accelerator="t4x2"))["machine_shape"] == "NvidiaTeslaT4"


def test_the_notebook_is_readable_python_that_checks_runs_and_looks() -> None:
    content = json.loads(notebook(NAMES))
    cells = {cell["id"]: "".join(cell["source"]) for cell in content["cells"]}
    assert list(cells) == ["title", "check", "run", "look"]
    for name in ("check", "run", "look"):
        ast.parse(cells[name])
    assert "base64" not in str(cells)
    assert "someone/arc-submission-code" in cells["title"]
    assert all(cell["outputs"] == [] for cell in content["cells"] if cell["cell_type"] == "code")
    assert notebook(NAMES) == notebook(NAMES)


def rewrite(path: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return spoil


def cut(folder: Path) -> None:
    path = folder / "model" / "weights" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def add_torch(folder: Path) -> None:
    (folder / "wheels" / "wheelhouse" / "torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl").write_bytes(b"x")


def many(folder: Path) -> None:
    for k in range(60):
        (folder / "model" / "weights" / f"part{k}.json").write_text("{}")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "internet on": (
        rewrite("notebook/kernel-metadata.json", '"enable_internet": false', '"enable_internet": true'),
        "enable_internet should be False",
    ),
    "another GPU": (
        rewrite("notebook/kernel-metadata.json", "NvidiaL4", "NvidiaTeslaP100"),
        "machine_shape should be 'NvidiaL4'",
    ),
    "an edited notebook": (rewrite("notebook/arc-submission.ipynb", "SCORED", "RATED"), "bundle again"),
    "edited code": (rewrite("code/submission/solver/solve.py", "import", "import "), "solve.py: was changed"),
    "a missing module": (lambda f: (f / "code" / "submission" / "runner" / "run.py").unlink(), "run.py: is missing"),
    "a file more": (lambda f: (f / "code" / "notes.txt").write_text(""), "notes.txt: does not belong"),
    "no wheel": (lambda f: shutil.rmtree(f / "wheels" / "wheelhouse"), "small-thing==1.0: no wheel has its sha256"),
    "torch": (add_torch, "torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl: must not be shipped"),
    "weights cut off": (cut, "upload the model again"),
    "too many files": (many, "of which Kaggle takes 50"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_bundle_that_was_spoilt_is_told_from_a_right_one(
    fault: str, copy: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words = SPOILT[fault]
    spoil(copy)
    wrong, _ = verify(copy, home)
    assert any(words in sentence for sentence in wrong), wrong


def test_what_is_no_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "is not a bundle" in told
    assert len(told.splitlines()) == 1


def test_nothing_is_overwritten(made: Path, home: Path) -> None:
    with pytest.raises(BadInput, match="nothing is overwritten"):
        bundle(NAMES, made, Profile("native", home), None, None)


@pytest.mark.parametrize(
    "wrong", [{"owner": "Some One"}, {"owner": ""}, {"name": "x"}, {"accelerator": "p100"}, {"model_version": 0}]
)
def test_names_that_kaggle_would_refuse_are_refused_before(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Names(**{"owner": "someone", **wrong})  # type: ignore[arg-type]


def test_the_commands_name_every_part_and_push_nothing(made: Path, tmp_path: Path) -> None:
    text = commands(made, Names("someone", model_version=1))
    for words in ("datasets create", "models variations create", "kernels push", "kernels pull", "competitions submit"):
        assert f"kaggle {words}" in text
    uploads = [
        line for line in text.splitlines() if line.startswith(("kaggle datasets create", "kaggle models variations"))
    ]
    assert all("-r zip" in line for line in uploads), "without it folders are left out"
    assert "--accelerator NvidiaL4" in text
    assert "models" not in commands(made, NAMES)
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "kaggle "))]
    assert lines == []


# -- wheels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("bitsandbytes-0.50.2-py3-none-manylinux_2_24_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp38-abi3-manylinux2014_x86_64.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-py39-none-manylinux_2_28_x86_64.whl", True),
        ("a-1-1-py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-abi3-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_39_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        ("a-1-cp312-cp312-win_amd64.whl", False),
        ("a-1.tar.gz", False),
        ("torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("triton-3.6.0-cp312-cp312-manylinux_2_27_x86_64.whl", False),
        ("nvidia_cublas_cu12-12.8.4.1-py3-none-manylinux_2_27_x86_64.whl", False),
    ],
)
def test_a_wheel_fits_the_image_or_not_by_its_name(wheel: str, fits: bool) -> None:
    assert (misfit(wheel, IMAGE) == "") is fits, misfit(wheel, IMAGE)


def test_no_platform_tag_is_left_out() -> None:
    tags = platforms(IMAGE)
    assert [f"manylinux_2_{k}_x86_64" for k in range(35, 4, -1)] == tags[:31]
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_locks_have_what_is_asked_for_and_never_torch(profile: str) -> None:
    pins = {pin.name: pin for pin in wheels.read_lock(Profile(profile))}
    assert "bitsandbytes" in pins
    assert profile in pins or profile == "native"
    assert not [name for name in pins if name in ("torch", "triton") or name.startswith("nvidia")]
    assert wheels.lock_text(Profile(profile), pins.values()) == Profile(profile).lock.read_text()
    image = read_image(Profile(profile).image)
    assert image.python == (3, 12)
    assert not [name for name, pin in pins.items() if image.versions.get(name) == pin.version], "the image has these"


def test_what_the_image_has_in_this_version_is_not_shipped() -> None:
    def each(name: str, version: str) -> dict[str, object]:
        info = {"archive_info": {"hashes": {"sha256": "0" * 64}}}
        return {"metadata": {"name": name, "version": version}, "download_info": info}

    found = [
        each("New_Thing", "1.0"),
        each("numpy", "2.0.2"),
        each("trl", "2"),
        each("torch", "2.11"),
        each("triton", "9"),
    ]
    report = {"install": [*found, each("nvidia-nccl-cu12", "2.27.5")]}
    pins = wheels.needed(report, {"numpy": "2.0.2", "trl": "1", "torch": "2.10.0"})
    assert [pin.name for pin in pins] == ["new-thing", "trl"]


def test_a_lock_without_hashes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "native.lock").write_text("bitsandbytes==0.50.2\n")
    with pytest.raises(BadInput, match="--hash=sha256"):
        wheels.read_lock(Profile("native", tmp_path))


def test_wheels_of_another_content_are_not_bundled(home: Path, tmp_path: Path) -> None:
    other = wheelhouse(tmp_path / "other", "value = 8\n").parent
    with pytest.raises(BadInput, match="no wheel has its sha256"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), other, None)
    assert not (tmp_path / "out").exists()


def test_without_wheels_and_without_an_index_there_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name in ("native.lock", "image.txt"):
        shutil.copyfile(home / name, tmp_path / name)
    with pytest.raises(BadInput, match="could not be had from the package index") as told:
        bundle(NAMES, tmp_path / "out", Profile("native", tmp_path), None, None)
    assert len(str(told.value).splitlines()) == 1


# -- models ------------------------------------------------------------------------------------------------------


def test_a_model_that_is_ready_has_safetensors_only_and_a_manifest(ready: Path) -> None:
    assert sorted(path.name for path in ready.iterdir()) == [
        "config.json", "manifest.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert wrong_files(ready, MODEL_MANIFEST) == []


def test_a_model_that_was_not_made_ready_or_was_changed_since_is_not_bundled(
    model: Path, ready: Path, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"run `python build\.py model"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), None, model)
    other = shutil.copytree(ready, tmp_path / "other")
    (other / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="is not the file"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), None, other)


def test_what_is_no_whole_model_in_safetensors_is_refused(model: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(BadInput, match=words):
            prepared_model(str(tmp_path / "m"), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused("no config.json")
    (tmp_path / "m").mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        shutil.copyfile(model / name, tmp_path / "m" / name)
    refused("pickled weights are not taken")
    (tmp_path / "m" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-1])
    refused("upload the model again")
    shutil.copyfile(model / "model.safetensors", tmp_path / "m" / "model.safetensors")
    (tmp_path / "m" / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model-2.safetensors"}}')
    refused("the index names it")


def test_a_model_on_the_hub_needs_a_network_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert build.main(["model", "hf:someone/something", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "someone/something could not be downloaded" in told
    assert len(told.splitlines()) == 1


def test_a_model_is_quantized_on_request(tiny_grid_model: Path, tmp_path: Path) -> None:
    out = prepared_model(str(tiny_grid_model), tmp_path / "out", quantize=True)
    config = json.loads((out / "config.json").read_text())
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert wrong_files(out, MODEL_MANIFEST) == []
