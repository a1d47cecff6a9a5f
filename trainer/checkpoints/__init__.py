"""Checkpoints: file format, retention, and pretrained weights."""
