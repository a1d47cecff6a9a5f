"""bench-frameworks: training steps of PyTorch compared with those of Keras."""
