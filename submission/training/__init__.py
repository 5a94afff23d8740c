"""Training on many tasks: the embedded model from scratch, or a large base by LoRA."""
