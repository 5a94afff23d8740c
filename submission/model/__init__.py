"""A checkpoint in memory: loading, quantization, LoRA, attention, KV cache, and what memory it takes."""
