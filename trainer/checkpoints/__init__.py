"""Checkpoints: the file, which of them stay, and pretrained weights."""
