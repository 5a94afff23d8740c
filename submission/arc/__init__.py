"""The domain: grids, tasks, views, the token layouts, prompts and training rows."""
