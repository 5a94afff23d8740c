"""What a run leaves: submission.json, the journal, scores, the report."""
