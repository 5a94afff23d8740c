"""A synthesizer of short programs in the grid language: found by search, verified on every demonstration.

`search` explores the states that the language reaches from all inputs of a task at once, cheapest first.

A program (`solution`) is a state that equals the output, or a state with one learned step after it (`learned_steps`):
- `cell_rules` learns the output cell by cell from `features` (those of components and panels: `regions`), as a
  decision table (`tables`), as decision trees (`trees`), or as a stack of states (`layers`);
- `scans` learns rules that run over the grid line by line;
- `object_rules` learns what happens to each object: moves of `grid_language.object_vocabulary`, chosen by the traits in
  `objects`; `templates` draws a pattern wherever some of its cells are seen alone;
- `learned_selection` learns which part of the input is the output;
- `mosaics` arranges states as tiles.

`colour_normalization` renames colours and searches again, `expressions` prints programs as Python, `synthesizer` ranks
them, and `python -m submission bench synthesis` measures all of it.
"""
