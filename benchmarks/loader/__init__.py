"""bench-loader: the input pipeline without a model."""
