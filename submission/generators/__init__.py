"""Rule families of our own: endless pairs for training, whose hidden parameters only the demonstrations tell.

Each function with `@rule` describes one kind of rule. Its arguments are what stays hidden (colours, directions, which
property counts ...), so one call makes one rule: how to draw an input, and the output that belongs to it. No task
was looked at to write them.

Rules are written for one direction; `viewed` gives them the other ones. Black (0) is the background.
"""

# ruff: noqa: I001  Rules enter RULES in this order, on which it depends what a seed draws.
from submission.generators import whole, colours, objects, motion, drawing, filling, counting, repetition, panels
from submission.generators.canvas import Unfit
from submission.generators.instances import MOST_CELLS, RULES, Instance, family, pair

__all__ = ["KINDS", "MOST_CELLS", "RULES", "Instance", "Unfit", "family", "pair"]

KINDS = (whole, colours, objects, motion, drawing, filling, counting, repetition, panels)
"""The modules that fill RULES."""
