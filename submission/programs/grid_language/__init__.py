"""The grid language: typed operations on grids and on lists of parts, each with a cost."""
