"""bench-frameworks: the training steps beside those of Keras."""
