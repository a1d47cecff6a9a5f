"""Comparison of our loader with others, each in its own process."""
