"""One task, from its demonstrations to two attempts: search the views, score, vote."""
