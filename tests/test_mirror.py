"""The tests mirror the package: submission/x/y.py is tested in tests/x/test_y.py, and what is shared is in support/."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "submission"

ELSEWHERE = {
    "arc/json_files": "arc/test_task_files",
    "arc/task_parsing": "arc/test_task_files",
    "arc/tokenizer_layouts": "arc/test_layouts",
    "benchmarks/gpu_subject": "benchmarks/test_gpu_sections",
    "benchmarks/alternation": "benchmarks/test_trainer_comparison",
    "benchmarks/ablation_table": "benchmarks/test_ablation",
    "benchmarks/network_figures": "benchmarks/test_ablation",
    "benchmarks/forecast_table": "benchmarks/test_forecast",
    "benchmarks/rates": "benchmarks/test_forecast",
    "benchmarks/search_table": "benchmarks/test_search",
    "benchmarks/synthetic_checkpoint": "benchmarks/test_gpu_sections",
    "checkpoint/bounded_json": "checkpoint/test_checkpoint",
    "checkpoint/config_json": "checkpoint/test_checkpoint",
    "checkpoint/quantization": "checkpoint/test_checkpoint",
    "checkpoint/weight_files": "checkpoint/test_checkpoint",
    "cli/bench": "cli/test_commands",
    "cli/findings": "cli/test_preflight",
    "cli/library_versions": "cli/test_preflight",
    "cli/examples": "test_readme",
    "cli/training_arguments": "cli/test_settings_table",
    "errors": "cli/test_commands",
    "kaggle/install": "kaggle/test_prepare",
    "kaggle/limits": "kaggle/test_prepare",
    "model/modules": "model/test_loading",
    "model/unsloth_import": "model/test_unsloth_kernels",
    "programs/grid_language/assembly": "programs/grid_language/test_vocabulary",
    "programs/grid_language/colours": "programs/grid_language/test_vocabulary",
    "programs/grid_language/drawing": "programs/grid_language/test_vocabulary",
    "programs/grid_language/object_changes": "programs/grid_language/test_object_vocabulary",
    "programs/grid_language/object_drawing": "programs/grid_language/test_object_vocabulary",
    "programs/grid_language/object_moves": "programs/grid_language/test_object_vocabulary",
    "programs/grid_language/scenes": "programs/grid_language/test_object_vocabulary",
    "programs/grid_language/part_selection": "programs/grid_language/test_vocabulary",
    "programs/grid_language/patterns": "programs/grid_language/test_vocabulary",
    "programs/grid_language/segmentation": "programs/grid_language/test_vocabulary",
    "programs/grid_language/shapes": "programs/grid_language/test_vocabulary",
    "programs/program": "programs/induction/test_induction",
    "programs/sandbox/common/colours": "programs/sandbox/test_modules",
    "programs/synthesis/cell_rules": "programs/synthesis/test_synthesizer",
    "programs/synthesis/object_fits": "programs/synthesis/test_object_rules",
    "programs/synthesis/regions": "programs/synthesis/test_features",
    "results/report_tasks": "results/test_report",
    "runner/devices": "runner/test_workers",
    "runner/messages": "runner/test_workers",
    "runner/worker_process": "runner/test_workers",
    "solver/engine": "solver/test_solve",
    "training/generators/colours": "training/generators/test_rules",
    "training/generators/counting": "training/generators/test_rules",
    "training/generators/drawing": "training/generators/test_rules",
    "training/generators/filling": "training/generators/test_rules",
    "training/generators/instances": "training/generators/test_rules",
    "training/generators/motion": "training/generators/test_rules",
    "training/generators/objects": "training/generators/test_rules",
    "training/generators/panels": "training/generators/test_rules",
    "training/generators/repetition": "training/generators/test_rules",
    "training/generators/whole": "training/generators/test_rules",
}
"""Modules without a test file of their own, and the file that tests them."""

NO_MODULE = {
    "attacks/test_attacks": "attacks on everything that a user names",
    "drill/test_drill": "the notebook of a bundle, on a machine like Kaggle's",
    "faults/test_faults": "whole runs in which something goes wrong",
    "gpu/test_cuda_graphs": "CUDA graphs on a GPU",
    "gpu/test_gpu": "an 8B's shape on a GPU",
    "kernels/test_kernels": "unsloth's kernels in Triton's interpreter",
    "inference/test_pretended_gpu": "all stages on a pretended GPU",
    "models/test_embedded": "the embedded model",
    "programs/sandbox/common/test_programs": "programs in BARC's form, on tasks",
    "real/test_smollm2": "a large model's path with pretrained weights",
    "runner/test_quick_runs": "whole runs with a scripted engine",
    "runner/test_same_bytes": "whole runs under other circumstances",
    "support/test_cases": "a helper of the tests",
    "test_import_law": "the imports of all modules",
    "test_kernel_main": "the entry",
    "test_mirror": "this file",
    "test_packaging": "the source distribution and the wheel",
    "test_readme": "the README",
    "test_readme_runs": "the README's commands",
    "test_recipes": "the presets against the published recipes",
    "test_research_page": "the experiments of docs/research.md",
    "training/generators/test_rules": "every rule of every kind",
}
"""Test files that are not about one module, and what they are about."""


def names(folder: Path, pattern: str) -> set[str]:
    """Files below a folder, without their endings."""
    found = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(pattern))
    return {name for name in found if not name.endswith(("__init__", "__main__"))}


def file_of(module: str) -> str:
    """`x/test_y` for `x/y`."""
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}" if folder else f"test_{name}"


MODULES = names(PACKAGE, "*.py")
TEST_FILES = names(TESTS, "test_*.py")


def test_every_module_has_its_test_file_or_names_the_one_that_tests_it() -> None:
    assert sorted(each for each in MODULES - set(ELSEWHERE) if file_of(each) not in TEST_FILES) == []
    assert sorted(each for each in ELSEWHERE if each not in MODULES or file_of(each) in TEST_FILES) == []
    assert sorted(set(ELSEWHERE.values()) - TEST_FILES) == []


def test_every_test_file_is_about_a_module_or_says_what_it_is_about() -> None:
    assert sorted(TEST_FILES - {file_of(each) for each in MODULES} - set(NO_MODULE)) == []
    assert sorted(set(NO_MODULE) - TEST_FILES) == []


def test_no_test_file_takes_anything_from_another() -> None:
    taken = [
        f"{path.relative_to(TESTS)}: {node.module}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1].startswith("test_")
        if (node.module or "").startswith("tests.")
    ]
    assert taken == []
