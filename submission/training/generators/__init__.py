"""Generators of training families: rules with hidden parameters, and endless pairs that follow them.

A function with `@rule` is one kind of rule. Its arguments are the hidden parameters (colours, directions, a property
that decides), which a solver has to infer from the demonstrations. A call returns an `Instance`: how to draw an input,
and how to make its output. The rules were written without reference to any task.

Rules are written for one direction; `viewed` turns and mirrors them. Black (0) is the background.
"""

# ruff: noqa: I001  RULES has the order of these imports, and with it the corpus.
from submission.training.generators import whole
from submission.training.generators import colours
from submission.training.generators import objects
from submission.training.generators import motion
from submission.training.generators import drawing
from submission.training.generators import filling
from submission.training.generators import counting
from submission.training.generators import repetition
from submission.training.generators import panels
from submission.training.generators.canvas import Unfit
from submission.training.generators.instances import MOST_CELLS, RULES, Instance, family, pair

__all__ = ["KINDS", "MOST_CELLS", "RULES", "Instance", "Unfit", "family", "pair"]

KINDS = (whole, colours, objects, motion, drawing, filling, counting, repetition, panels)
"""The modules whose rules are in RULES."""
