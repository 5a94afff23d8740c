"""Kaggle: the preparation of its machine (uploaded), and the bundle that goes there (`packaging`, not uploaded)."""
