"""Pretrained weights of others, for tests by hand or with `pytest -m real`: a small model that a package brings."""
