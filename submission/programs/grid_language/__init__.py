"""The grid language: typed operations on grids and on lists of parts, each with a cost.

The operations are plain functions that take and return values, as in Hodel's arc-dsl; which of them the search may
use, and at which cost, is listed in `vocabulary`.
"""
