"""Run directory, metrics and console output."""
