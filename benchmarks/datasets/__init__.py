"""Datasets of the benchmarks: downloads, photographs, re-encoded shards."""
