"""Losses and metrics of each task."""
