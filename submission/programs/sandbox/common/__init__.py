"""The module `common` that programs may import: BARC's library of grid functions, written anew.

BARC (Li et al., arXiv 2411.02272) trains its writers on programs that begin with `from common import *`; names,
arguments and results here are those that its library documents. A grid is an array indexed [x, y]: x counts its first
axis, the rows of a grid as a writer is shown it, and a width counts along x.

`submission.programs.sandbox.modules` loads these modules for the programs, without the builtins that programs lack, and
joins the names of their `__all__` in one module. Nothing here may import anything but numpy, `random`, the standard
library's mathematics, and its own modules; `labelling` is the one module whose names programs do not get.
"""
