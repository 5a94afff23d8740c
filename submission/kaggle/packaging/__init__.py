"""The bundle for Kaggle: what `build.py` calls. None of it is uploaded."""
