"""A run over all tasks: schedule, dispatcher, worker processes, summary."""
