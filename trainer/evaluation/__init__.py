"""Evaluation on all ranks, during training and of a saved run."""
