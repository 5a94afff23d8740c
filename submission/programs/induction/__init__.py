"""Programs in Python written by a language model, verified on the demonstrations."""
