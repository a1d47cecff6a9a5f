"""bench-compute: the training steps without input."""
