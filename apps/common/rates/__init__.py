"""Token buckets: how much of whom is let through."""
