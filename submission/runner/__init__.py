"""A run over all tasks: schedule, worker processes, dispatcher, summary."""
