"""The domain: tasks and grids, views, the token layouts of model families, prompts and training rows."""
