"""What programs may import: BARC's library and the rest of it, and that the library opens nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from submission.arc.tasks import grid
from submission.programs.sandbox.modules import MODULES, OPTIONAL, REMOVED_BUILTINS
from submission.programs.sandbox.sandbox import Sandbox
from tests.support.cases import cases
from tests.support.hostile_programs import LIMITS, assert_untouched

GRID = grid([[1, 2, 3], [4, 5, 6]])

NAMES = {
    "Color", "MirrorSymmetry", "RotationalSymmetry", "Symmetry", "TranslationalSymmetry", "blit", "blit_object",
    "blit_sprite", "bounding_box", "bounding_box_mask", "check_between_objects", "collision", "contact", "crop",
    "detect_mirror_symmetry", "detect_objects", "detect_rotational_symmetry", "detect_translational_symmetry",
    "draw_line", "find_connected_components", "flood_fill", "generate_position_has_interval", "is_contiguous", "np",
    "object_boundary", "object_colors", "object_interior", "object_neighbors", "object_position", "orbit", "random",
    "random_free_location_for_object", "random_free_location_for_sprite", "random_sprite", "randomly_scatter_points",
    "randomly_spaced_indices", "scale_pattern", "scale_sprite", "show_colored_grid", "translate",
}  # fmt: skip
"""All that `from common import *` brings."""


def told(sandbox: Sandbox, body: str) -> str:
    """What a `transform` with this body raises, as the sandbox tells it."""
    source = "from common import *\nimport common\ndef transform(grid):\n"
    outcome = sandbox.run_once(source + "".join(f"    {line}\n" for line in body.splitlines()), [GRID])
    assert outcome.reasons[0] is not None
    return outcome.reasons[0]


def value(sandbox: Sandbox, expression: str, before: str = "") -> str:
    """The value of an expression in a program, as text."""
    lines = [*before.splitlines(), f"raise ValueError({expression})"]
    return told(sandbox, "\n".join(lines)).removeprefix("ValueError: ")


def test_a_star_import_brings_the_library_and_nothing_else(sandbox: Sandbox) -> None:
    present = value(sandbox, "[k for k in sorted(vars(common)) if k[0] != '_' and k not in names]", f"names = {NAMES}")
    assert present == "[]"
    assert value(sandbox, "[k for k in names if k not in vars(common)]", f"names = {NAMES}") == "[]"
    assert value(sandbox, "[k for k in names if k not in globals()]", f"names = {NAMES}") == "[]"


def test_the_colours_have_the_names_of_the_seeds_and_of_the_trained_models(sandbox: Sandbox) -> None:
    first = "BLACK BLUE RED GREEN YELLOW GRAY PINK ORANGE PURPLE BROWN"
    second = "BLACK BLUE RED GREEN YELLOW GREY PINK ORANGE TEAL MAROON"
    for names in (first, second):
        assert value(sandbox, f"[getattr(Color, k) for k in {names.split()}]") == str(list(range(10)))
    assert value(sandbox, "(Color.ALL_COLORS, Color.NOT_BLACK)") == f"({list(range(10))}, {list(range(1, 10))})"
    assert value(sandbox, "(Color.BACKGROUND, Color.TRANSPARENT)") == "(0, 0)"


WALK = """\
function = type(crop)
functions = [k for k in vars(common).values() if isinstance(k, function)]
for kind in (k for k in vars(common).values() if isinstance(k, type)):
    functions += [k for k in vars(kind).values() if isinstance(k, function)]
"""
"""The functions and methods of the library, in a program."""


def test_no_function_of_the_library_reaches_what_programs_lack(sandbox: Sandbox) -> None:
    removed = sorted(REMOVED_BUILTINS)
    assert value(sandbox, "len(functions)", WALK) == "45"
    assert value(sandbox, f"{{k for f in functions for k in {removed} if k in f.__builtins__}}", WALK) == "set()"
    module = "type(common)"
    reached = f"sorted({{v.__name__ for f in functions for v in f.__globals__.values() if isinstance(v, {module})}})"
    assert value(sandbox, reached, WALK) == "['itertools', 'math', 'numpy', 'numpy.typing', 'random']"


@cases(
    "theft",
    [
        "crop.__builtins__['open']('PLANTED')",
        "crop.__globals__['__builtins__']['open']('PLANTED')",
        "orbit.__builtins__['__import__']('os').system('id')",
        "random_sprite.__builtins__['__import__']('submission.programs.sandbox.forkserver')",
        "common.np.fromfile('PLANTED', dtype='u1')",
        "common.np.save('PLANTED', grid)",
        "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
        "import submission",
        "import sys",
        "import numpy.testing",
        "import scipy.io",
    ],
)
def test_a_way_out_by_the_library_is_closed(sandbox: Sandbox, planted: Path, theft: str) -> None:
    reason = told(sandbox, theft.replace("PLANTED", str(planted)))
    assert any(word in reason for word in ("KeyError: 'open'", "ImportError", "PermissionError", "SystemError")), reason
    assert_untouched(planted)


def test_sleeping_takes_the_programs_time(sandbox: Sandbox) -> None:
    start = time.monotonic()
    assert told(sandbox, "import time\ntime.sleep(100)") == f"it took more than {LIMITS.call_seconds:g} s"
    assert time.monotonic() - start < LIMITS.call_seconds + 1.0


def test_what_a_program_does_to_the_library_is_gone_with_it(sandbox: Sandbox) -> None:
    told(sandbox, "common.crop = Color.RED = None\nColor.NOT_BLACK.clear()\nraise ValueError")
    assert value(sandbox, "(common.crop is crop is not None, Color.RED, len(Color.NOT_BLACK))") == "(True, 2, 9)"


def test_every_module_that_may_be_imported_is_there(sandbox: Sandbox) -> None:
    source = "\n".join(f"import {name}" for name in sorted(MODULES - {"__future__"}))
    star = (
        "\nfrom typing import *\nfrom collections import *\nfrom numpy import exceptions, dtypes\nimport numpy.strings"
    )
    outcome = sandbox.run(source + star + "\ndef transform(grid: List[int]): return grid", [GRID])
    assert outcome.reasons == (None,)


SCIPY = """
import scipy
from scipy import ndimage
from scipy.ndimage import binary_dilation, binary_fill_holes, label
def transform(grid):
    scipy.ndimage.convolve(grid, [[1, 1]]), ndimage.center_of_mass(grid), binary_fill_holes(binary_dilation(grid > 1))
    return [[label(grid)[1]]]
"""


def test_scipys_image_functions_are_there_where_scipy_is_installed(sandbox: Sandbox) -> None:
    outcome = sandbox.run(SCIPY, [grid([[1, 0, 1]])])
    if importlib.util.find_spec("scipy") is None:
        assert outcome.reasons == ("ImportError: scipy must not be imported here",)
    else:
        assert outcome.outputs[0] is not None and outcome.outputs[0].tolist() == [[2]]
    assert set(OPTIONAL) == {"scipy", "scipy.ndimage"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed"),
        ("raise SystemError", "SystemError"),
        ("", "ModuleNotFoundError: No module named 'scipy.ndimage'"),
    ],
)
def test_a_scipy_that_cannot_be_loaded_is_told_and_done_without(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").write_text(content)
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parents[3])!r}]\n"
        "from submission.programs.sandbox import modules\nprint(modules.load())\n"
        "import common\nprint(common.is_contiguous(common.np.ones((2, 2))), 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(why)
    assert second == "True False"
