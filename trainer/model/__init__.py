"""Models, their precision, and averages of their weights."""
