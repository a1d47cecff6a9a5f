"""Evaluation over all ranks, and of a finished run."""
