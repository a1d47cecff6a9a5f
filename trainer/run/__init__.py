"""The run directory and what is logged to it."""
