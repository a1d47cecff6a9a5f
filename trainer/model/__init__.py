"""Networks, their precision and the average of their weights."""
