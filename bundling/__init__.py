"""What build.py is made of: wheels, model, notebook, bundle, and their checks. Never on Kaggle."""
