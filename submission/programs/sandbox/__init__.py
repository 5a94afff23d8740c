"""A sandbox for programs that nobody has read."""
