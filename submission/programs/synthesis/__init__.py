"""A synthesizer of short programs in a small grid language, found by search and verified on every demonstration.

The language, from grids to grids and to lists of parts and back: `values`, `components`, `shapes`, `colours`,
`drawing`, `patterns`, `cutting`, `choosing`, `joining`, `sizes`; `vocabulary` lists its operations with their costs.

The search: `search` explores the states that the language reaches from all inputs of a task at once, cheapest first.

What a program may end with, besides a state that is the output (`found`): `cells` learns what becomes of a cell, as a
table over few `features` (`tables`), as decision trees (`trees`), or as layers of states (`layers`); `scans` learns
rules that run from line to line; `choices` learns which part is meant; `mosaics` puts states side by side.

Around it: `naming` renames colours and searches again, `expressions` prints programs as Python, `synthesizer` ranks
them, and `python -m submission.benchmarks.synthesis` measures it all.
"""
