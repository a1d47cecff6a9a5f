"""Data sets that benchmarks run on: downloads, photographs, re-encoded shards."""
