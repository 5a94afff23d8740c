"""Rule families of our own: endless pairs for training, whose hidden parameters only the demonstrations tell.

Each function with `@rule` describes one kind of rule. Its arguments are what stays hidden (colours, directions, which
property counts ...), so one call makes one rule: how to draw an input, and the output that belongs to it. No task
was looked at to write them.

Rules are written for one direction; `viewed` gives them the other ones. Black (0) is the background.
"""

# ruff: noqa: I001  Rules enter RULES in this order, on which it depends what a seed draws.
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
"""The modules that fill RULES."""
