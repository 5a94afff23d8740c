"""A sandbox for untrusted Python programs: confined processes, forked from a clean interpreter."""
