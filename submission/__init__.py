"""An ARC Prize solver: a 4-bit language model, test-time training, exact search, and a vote."""

__version__ = "0.1.0"
