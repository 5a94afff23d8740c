"""Kaggle: a machine made ready (`prepare`), and the bundle that goes there (everything that `build.py` calls)."""
