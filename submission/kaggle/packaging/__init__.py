"""The bundle for Kaggle, made and checked on the user's machine by build.py; none of this package is uploaded."""
