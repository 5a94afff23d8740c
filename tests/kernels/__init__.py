"""unsloth's kernels in Triton's interpreter."""
