"""What is learned: losses and metrics of each task."""
